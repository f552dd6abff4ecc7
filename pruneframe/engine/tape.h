// A tape: the operations of a network in order, run forwards and then backwards; see tape.py for who makes one.
//
// Values and their gradients lie as [group][value][channel][pixel][16 images], as in the rest of the kernel.

namespace tape {

enum Kind { LOAD, WEIGHTED, NORM, RELU, LARGEST, AVERAGE, ADD, STORE, CLASSES, DISTANCE };

// One operation. Mirrors FIELDS in tape.py. A list has one row for each pixel or tap, which ends where the next begins.
struct Op {
  int64_t kind;
  int64_t in, other, out;              // values: floats from the first of a group; other: the second one of a sum
  int64_t in_channels, in_pixels, out_channels, out_pixels;
  int64_t taps;                        // weights of an output that read the same channel
  int64_t relu;                        // what is below zero becomes zero
  int64_t back, other_back;            // the gradient of `in`, of `other`: 0 is not wanted, 1 is written, 2 is added to
  const int32_t *starts, *reads, *taps_read;               // by output pixel: the input pixels that it reads, by which tap
  const int32_t *back_starts, *back_reads, *back_taps;     // by input pixel: the output pixels that read it
  const int32_t *tap_starts, *tap_ins, *tap_outs;          // by tap: pairs of input and output pixels
  const float *weight, *bias;          // [outputs][inputs][taps] and [outputs], or a norm's scale and shift; may be null
  float *weight_gradient, *bias_gradient;                  // null where they are not wanted
  float *mean, *variance;              // a norm's running statistics
  double momentum, eps;
  int64_t training;                    // whether a norm takes the batch's own statistics, and moves the running ones
  float *saved;                        // a norm's [mean, 1 / deviation][channel] of this pass
  float *rows;                         // LOAD, STORE, DISTANCE: [image][feature]
  float *rows_gradient;
  const int64_t *labels;               // CLASSES: of each image
  double alpha;                        // DISTANCE: what its mean square is multiplied with
};

struct Tape {
  const Op *ops;
  int64_t count, images, groups, level;  // level: floats of a group
  float *values, *gradients;
  float *scratch;                        // for the weights of the largest layer, turned round and padded
  const int64_t *order;                  // which rows the images are; null: the first ones
  double *loss;                          // what CLASSES and DISTANCE add their means to
};

// A parameter that is trained.
struct Learned {
  float *value, *gradient, *velocity;
  const float *kept;                     // 1 for what stays, 0 for what is pruned; null: all stays
  int64_t size;
};

// Steps of SGD with momentum, one batch after the other.
struct Training {
  const int64_t *order, *bounds;         // rows, and where each batch begins among them, [steps + 1]
  const double *rates;                   // [steps]
  int64_t steps;
  double momentum, decay;
  const Learned *learned;
  int64_t parameters;
  double *losses;                        // [steps]
};

}  // namespace tape
