// The sparse kernel: runs compiled networks on images, 16 at a time through all their layers, so that activations stay
// in cache. A zero weight costs nothing. See plan.py for how a network becomes steps, sparse.py for who calls this.
//
// Activations lie as [channel][row][column][16 images]: one vector holds the same pixel of 16 images, so that each
// non-zero weight is one broadcast and a run of fused multiply-adds. Planes that convolutions pad have a border of zeros,
// which whoever writes them writes as well. What
// enters linear layers lies as [feature][slot][16 images], so that they run for SLOTS groups of images at once.

#include <Python.h>

#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

constexpr int64_t LANES = 16;
constexpr int64_t SLOTS = 8;

#define INLINE static inline __attribute__((always_inline))

enum Kind { SUMS, COPY, MAXIMUM, MEAN, CENTRE };
enum Space { ARENA, IMAGES, WIDE };  // where a tensor lies: this thread's arena, the images, or with SLOTS groups a pixel
// Activations; mirrors NAMES in curves.py. The first few are done in registers.
enum Curve { NOTHING, RELU, RELU6, LEAKY_RELU, HARDSWISH, HARDSIGMOID, SIGMOID, SILU, GELU, GELU_TANH, ELU, TANH };

// One line of the plan; all distances are in floats. Mirrors FIELDS in plan.py.
struct Step {
  int64_t kind, tail;                                        // tail: once for all slots, in place of once for each
  int64_t in_space, in, in_plane, in_row, in_column;         // input: origin, channel, output row, output column
  int64_t out_space, out, out_plane, out_row, out_column;    // output
  int64_t channels, rows, columns;                           // of the output
  int64_t lead, gap;                                         // zeros before each plane and after the last, before rows
  int64_t add_space, add, add_plane, add_row, add_column;    // added to the output: origin (-1: nothing) and distances
  int64_t add_from, add_to;                                  // output channels that it is added to
  int64_t times;                                             // copies: multiplied with, in place of added
  int64_t act, bend;                                         // activation, and its setting: a float32 by its bits
  int64_t pool;                                              // sums: 1 if only the largest of each 2 x 2 is written
  int64_t block;                                             // sums: output channels that read the same input channels
  int64_t row_spans, column_spans, row_gap, column_gap;      // pooling: windows, and the distance of input pixels
  int64_t epsilon;                                           // centring: beside the variance, a float32 by its bits
};

// A pooling window along one axis, pixels [first, last), and what its sum is multiplied with. Mirrors SPAN in plan.py.
struct Span {
  int32_t first, last;
  float share;
};

// What to do next: run a step for a candidate, with the weights at `starts` and `biases`, `runs` of them for each output.
// It writes to a level of the arena and reads from others. `packed`: where the weights of a dense product begin, or -1.
struct Order {
  int64_t step, starts, biases, runs, candidate, level, in_level, add_level, packed;
};

struct Network {
  const Step *steps;
  const Order *orders, *tail;
  int64_t order_count, tail_count, candidates;
  const int64_t *starts;
  const int32_t *offsets;
  const float *weights, *biases;
  const int32_t *packed;              // weights of dense products; see winograd.h
  const Span *spans;
  const float *images;
  int64_t image_group;                // floats of 16 images
  int64_t level;                      // floats of a level of the arena
  int64_t partial;                    // where in a level sums wait for their other weights
  int64_t wide_size;                  // floats of a candidate's wide tensors
  int64_t result, classes, groups;
  float *logits;                      // [candidate][group][class][16]
};

// One step of a network on all groups, before the next: batch norm's statistics want them all.
struct Stage {
  const Step *finish;                 // the step before, as it is with its batch norm; null if there is nothing to do
  const float *scales, *shifts;       // of that batch norm, by channel
  Order next;
  const int64_t *images;              // in each group, 16 but for the last
  float *arenas, *wide;               // each group's own memory, one after the other
  double *means, *squares;            // [group][channel], or null: means, and squared deviations from them
};

// A layer's weights, and where to list those that are kept: output by output in runs of `run` weights, where they read and
// their values times the output's scale. `starts` begins with the first free place, and gets where each run ends. What lies
// up to 15 places behind the last may be overwritten.
struct Kept {
  const uint8_t *kept;                // [output][input], or null: all
  const float *weights, *scales;      // [output][input], [output]
  const int32_t *offsets, *origins;   // where an input reads, and where an output does
  int64_t outputs, inputs, run;
  int64_t *starts;
  int32_t *listed;
  float *values;
};

// A dense 3 x 3 convolution of stride 1, its outputs' rows and columns, and where to pack its weights in bfloat16.
struct Packed {
  const uint8_t *kept;                // [output][input][9], or null: all
  const float *weights, *scales;      // [output][input][9], [output]
  int64_t outputs, inputs, rows, columns;
  int32_t *words;
};

}  // namespace

#include "tape.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

// Whole functions are compiled for a processor, not clones of them: GCC lowers vectors before it clones, and keeps those
// that are wider than a register in memory.
#define WIDTH 4
#if defined(__aarch64__)
#define SUMS_FIT 16
#else
#define SUMS_FIT 8
#endif
namespace portable {
#include "steps.h"
#include "gradients.h"
}

#if defined(__x86_64__)
#undef WIDTH
#undef SUMS_FIT
#define WIDTH 8
#define SUMS_FIT 8
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
namespace avx2 {
#include "steps.h"
#include "gradients.h"
}
#undef WIDTH
#undef SUMS_FIT
#define WIDTH 16
#define SUMS_FIT 16
#if defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11
#define BFLOAT16
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512bf16,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512bf16,fma")
#endif
namespace bfloat16 {
#include "winograd.h"
}
#if !defined(__clang__)
#pragma GCC pop_options
#pragma GCC push_options
#endif
#endif
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,fma")
#endif
namespace avx512 {
#include "steps.h"
#include "gradients.h"
}
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

// What this processor can run: 0 anything, 1 AVX2, 2 AVX-512.
EXPORT int64_t pruneframe_processor() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f")) return 2;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 1;
#endif
  return 0;
}

// Whether this processor multiplies bfloat16, and whoever built the kernel could make use of it.
EXPORT int64_t pruneframe_bfloat16() {
#if defined(BFLOAT16)
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512bf16");
#endif
  return 0;
}

// Runs groups [first, last) of 16 images on a processor that can. `arena` and `wide` are the calling thread's own memory.
// Behind the wide tensors of all candidates there is room for what dense
// products need.
EXPORT void pruneframe_run(int64_t processor, const Network *n, int64_t first, int64_t last, float *arena, float *wide) {
#if defined(__x86_64__)
  if (processor == 2) return avx512::run(*n, first, last, arena, wide);
  if (processor == 1) return avx2::run(*n, first, last, arena, wide);
#endif
  portable::run(*n, first, last, arena, wide);
}

// One stage for groups [first, last).
EXPORT void pruneframe_stage(int64_t processor, const Network *n, const Stage *stage, int64_t first, int64_t last) {
#if defined(__x86_64__)
  if (processor == 2) return avx512::stage(*n, *stage, first, last);
  if (processor == 1) return avx2::stage(*n, *stage, first, last);
#endif
  portable::stage(*n, *stage, first, last);
}

// Lists a layer's kept weights; see `Kept`. Returns the first place that is free after them.
EXPORT int64_t pruneframe_list(int64_t processor, const Kept *kept) {
#if defined(__x86_64__)
  if (processor == 2) return avx512::list(*kept);
  if (processor == 1) return avx2::list(*kept);
#endif
  return portable::list(*kept);
}

// Packs a layer's weights for bfloat16, where that is there; see `pack` in winograd.h. Returns how many words they take.
EXPORT int64_t pruneframe_pack(const Packed *layer) {
#if defined(BFLOAT16)
  return bfloat16::pack(*layer);
#endif
  return 0;
}

// Floats that the products of a layer with so many input channels need.
EXPORT int64_t pruneframe_room(int64_t inputs) {
#if defined(BFLOAT16)
  return bfloat16::room_of(inputs);
#endif
  return 0;
}

// Runs a tape forwards, or backwards behind that.
EXPORT void pruneframe_tape(int64_t processor, const tape::Tape *t, int64_t back) {
#if defined(__x86_64__)
  if (processor == 2) return back ? avx512::gradients::backwards(*t) : avx512::gradients::forwards(*t);
  if (processor == 1) return back ? avx2::gradients::backwards(*t) : avx2::gradients::forwards(*t);
#endif
  back ? portable::gradients::backwards(*t) : portable::gradients::forwards(*t);
}

// Trains the parameters behind a tape whose last operations are losses.
EXPORT void pruneframe_train(int64_t processor, const tape::Tape *t, const tape::Training *training) {
#if defined(__x86_64__)
  if (processor == 2) return avx512::gradients::train(*t, *training);
  if (processor == 1) return avx2::gradients::train(*t, *training);
#endif
  portable::gradients::train(*t, *training);
}

static PyModuleDef module = {PyModuleDef_HEAD_INIT, "_kernel", "Only its addresses matter: ctypes calls pruneframe_run.",
                             -1, nullptr, nullptr, nullptr, nullptr, nullptr};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModule_Create(&module); }
