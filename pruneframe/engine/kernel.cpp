// The sparse kernel: runs a compiled network on images, 16 at a time through all its layers, so that activations stay in
// cache. A zero weight costs nothing. See plan.py for how a network becomes steps, sparse.py for who calls this.
//
// Activations lie as [channel][row][column][16 images]: one vector holds the same pixel of 16 images, so that each
// non-zero weight is one broadcast and a run of fused multiply-adds. Planes have a border of zeros for padding.

#include <Python.h>

#include <cstdint>

namespace {

constexpr int64_t LANES = 16;

// GCC and Clang lower this to whatever the clone at hand has: one AVX-512 register, two of AVX2, four of NEON.
typedef float Vector __attribute__((vector_size(64), aligned(64)));

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif

// One line of the plan; all distances are in floats. Mirrors FIELDS in plan.py.
struct Step {
  int64_t kind;                                             // 0 weighted sums, 1 copy, 2 maximum, 3 mean
  int64_t from_images;                                      // whether the input is the images, not the arena
  int64_t in, in_plane, in_row, in_column;                  // input: origin, channel, output row, output column
  int64_t out, out_plane, out_row;                          // output: origin, channel, row
  int64_t channels, rows, columns;                          // of the output
  int64_t add, add_plane, add_row, add_column;              // added to the output: origin (-1: nothing) and distances
  int64_t add_from, add_to;                                 // output channels that it is added to
  int64_t act;                                              // 0 nothing, 1 ReLU, 2 ReLU6
  int64_t first;                                            // kind 0: the first output channel's row in `starts`
  int64_t window_rows, window_columns, row_gap, column_gap; // kinds 2 and 3: the window, and the distance of its pixels
};

static inline __attribute__((always_inline)) Vector activated(Vector v, int64_t act) {
  if (act) v = v > 0 ? v : Vector{};
  if (act == 2) v = v < 6 ? v : Vector{} + 6;
  return v;
}

// T neighbouring pixels of one output channel; their sums stay in registers while the weights go by.
template <int T>
static inline __attribute__((always_inline)) void tile(const float *in, int64_t column, const int32_t *offsets,
                                                       const float *weights, int64_t from, int64_t to, float bias,
                                                       const float *add, int64_t add_column, int64_t act, float *out) {
  Vector sums[T];
  for (int t = 0; t < T; t++) sums[t] = Vector{} + bias;
  for (int64_t k = from; k < to; k++) {
    const float *pixel = in + offsets[k];
    const Vector weight = Vector{} + weights[k];
    for (int t = 0; t < T; t++) sums[t] += weight * *(const Vector *)(pixel + t * column);
  }
  if (add)
    for (int t = 0; t < T; t++) sums[t] += *(const Vector *)(add + t * add_column);
  for (int t = 0; t < T; t++) *(Vector *)(out + t * LANES) = activated(sums[t], act);
}

// One pixel alone, as behind a linear layer: four sums, since each would wait for itself.
static inline __attribute__((always_inline)) void pixel(const float *in, const int32_t *offsets, const float *weights,
                                                        int64_t from, int64_t to, float bias, const float *add,
                                                        int64_t act, float *out) {
  Vector sums[4] = {Vector{} + bias, Vector{}, Vector{}, Vector{}};
  int64_t k = from;
  for (; k + 4 <= to; k += 4)
    for (int t = 0; t < 4; t++) sums[t] += (Vector{} + weights[k + t]) * *(const Vector *)(in + offsets[k + t]);
  for (; k < to; k++) sums[0] += (Vector{} + weights[k]) * *(const Vector *)(in + offsets[k]);
  Vector sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  if (add) sum += *(const Vector *)add;
  *(Vector *)out = activated(sum, act);
}

static inline __attribute__((always_inline)) void weighted(const Step &s, const float *in, float *arena,
                                                           const int64_t *starts, const int32_t *offsets,
                                                           const float *weights, const float *biases) {
  for (int64_t y = 0; y < s.rows; y++)
    for (int64_t x = 0; x < s.columns;) {
      const int64_t left = s.columns - x;
      const int64_t width = left >= 16 ? 16 : left >= 8 ? 8 : left >= 4 ? 4 : 1;
      const float *source = in + s.in + y * s.in_row + x * s.in_column;
      for (int64_t o = 0; o < s.channels; o++) {
        const int64_t from = starts[s.first + o], to = starts[s.first + o + 1];
        const float bias = biases[s.first + o];
        const bool adds = s.add >= 0 && o >= s.add_from && o < s.add_to;
        const float *add = adds ? arena + s.add + (o - s.add_from) * s.add_plane + y * s.add_row + x * s.add_column : nullptr;
        float *out = arena + s.out + o * s.out_plane + y * s.out_row + x * LANES;
        if (width == 16) tile<16>(source, s.in_column, offsets, weights, from, to, bias, add, s.add_column, s.act, out);
        else if (width == 8) tile<8>(source, s.in_column, offsets, weights, from, to, bias, add, s.add_column, s.act, out);
        else if (width == 4) tile<4>(source, s.in_column, offsets, weights, from, to, bias, add, s.add_column, s.act, out);
        else pixel(source, offsets, weights, from, to, bias, add, s.act, out);
      }
      x += width;
    }
}

static inline __attribute__((always_inline)) void windowed(const Step &s, const float *in, float *arena) {
  const float share = 1.0f / float(s.window_rows * s.window_columns);
  for (int64_t c = 0; c < s.channels; c++)
    for (int64_t y = 0; y < s.rows; y++)
      for (int64_t x = 0; x < s.columns; x++) {
        const float *source = in + s.in + c * s.in_plane + y * s.in_row + x * s.in_column;
        Vector value = *(const Vector *)source;
        for (int64_t i = 0; i < s.window_rows; i++)
          for (int64_t j = i == 0 ? 1 : 0; j < s.window_columns; j++) {
            const Vector other = *(const Vector *)(source + i * s.row_gap + j * s.column_gap);
            value = s.kind == 2 ? (value > other ? value : other) : value + other;
          }
        if (s.kind == 3) value *= share;
        if (s.add >= 0 && c >= s.add_from && c < s.add_to)
          value += *(const Vector *)(arena + s.add + (c - s.add_from) * s.add_plane + y * s.add_row + x * s.add_column);
        *(Vector *)(arena + s.out + c * s.out_plane + y * s.out_row + x * LANES) = activated(value, s.act);
      }
}

}  // namespace

// Runs groups [first, last) of 16 images. `images` holds the groups one after the other, `arena` is this thread's own
// memory, zero where nothing is ever written; `logits` takes [group][class][16].
extern "C" CLONES __attribute__((visibility("default"))) void pruneframe_run(
    const int64_t *steps, int64_t count, const int64_t *starts, const int32_t *offsets, const float *weights,
    const float *biases, const float *images, int64_t group, int64_t first, int64_t last, float *arena,
    int64_t result, int64_t classes, float *logits) {
  for (int64_t g = first; g < last; g++) {
    for (int64_t i = 0; i < count; i++) {
      const Step &s = ((const Step *)steps)[i];
      const float *in = s.from_images ? images + g * group : arena;
      if (s.kind == 0) weighted(s, in, arena, starts, offsets, weights, biases);
      else windowed(s, in, arena);
    }
    for (int64_t k = 0; k < classes * LANES; k++) logits[g * classes * LANES + k] = arena[result + k];
  }
}

static PyModuleDef module = {PyModuleDef_HEAD_INIT, "_kernel", "Only its address matters: ctypes calls pruneframe_run.", -1,
                             nullptr, nullptr, nullptr, nullptr, nullptr};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModule_Create(&module); }
