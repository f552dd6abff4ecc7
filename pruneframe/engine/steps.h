// How a network runs, compiled by kernel.cpp once for each kind of processor: a register takes WIDTH of the 16 images,
// and so many sums as SUMS_FIT stay in registers.

typedef float Vector __attribute__((vector_size(WIDTH * 4), aligned(WIDTH * 4)));

INLINE Vector all(float x) {
#if WIDTH == 16
  return Vector{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
#elif WIDTH == 8
  return Vector{x, x, x, x, x, x, x, x};
#else
  return Vector{x, x, x, x};
#endif
}

INLINE Vector larger(Vector a, Vector b) { return a > b ? a : b; }

INLINE float number(int64_t bits) {
  const int32_t half = int32_t(bits);
  float found;
  memcpy(&found, &half, sizeof found);
  return found;
}

// Activations of one comparison or two.
INLINE Vector activated(Vector v, int64_t act) {
  if (act) v = larger(v, Vector{});
  return act == RELU6 ? (v < 6 ? v : all(6)) : v;
}

#include "curves.h"

// Bends what has been written: R x C pixels, where activations take more than that.
static __attribute__((noinline)) void bent(const Step &s, float *out, int64_t rows, int64_t columns, int64_t row,
                                           int64_t column, int64_t lanes) {
  const float bend = number(s.bend);
  auto each = [&](auto curve) __attribute__((always_inline)) {
    for (int64_t y = 0; y < rows; y++)
      for (int64_t x = 0; x < columns; x++)
        for (int64_t lane = 0; lane < lanes; lane += WIDTH) {
          Vector *value = (Vector *)(out + y * row + x * column + lane);
          *value = curve.of(*value, bend);
        }
  };
  switch (s.act) {
    case LEAKY_RELU: return each(LeakyRelu{});
    case HARDSWISH: return each(Hardswish{});
    case HARDSIGMOID: return each(Hardsigmoid{});
    case SIGMOID: return each(Sigmoid{});
    case SILU: return each(Silu{});
    case GELU: return each(Gelu{});
    case GELU_TANH: return each(GeluTanh{});
    case ELU: return each(Elu{});
    case TANH: return each(Tanh{});
  }
}

// R x C neighbouring pixels of one output channel; their sums stay in registers while a run of weights goes by. They
// begin with a bias or with what earlier runs left in `partial`, and end there or, after the last run, in `out`.
// NEAR: neighbours in all tensors are next to each other, which spares their addresses.
template <int R, int C, bool NEAR>
INLINE void tile(const Step &s, const float *in, const int32_t *offsets, const float *weights, int64_t count,
                 const float *bias, const float *add, float *partial, bool last, float *out) {
  const int64_t in_column = NEAR ? LANES : s.in_column, out_column = NEAR ? LANES : s.out_column;
  const int64_t add_column = NEAR ? LANES : s.add_column;
  Vector sums[R * C];
#pragma GCC unroll 16
  for (int t = 0; t < R * C; t++) sums[t] = bias ? all(*bias) : *(const Vector *)(partial + t * LANES);
  for (int64_t k = 0; k < count; k++) {
    const float *row = in + offsets[k];
    const Vector weight = all(weights[k]);
#pragma GCC unroll 16
    for (int i = 0; i < R; i++, row += s.in_row) {
      asm("" : "+r"(row));  // keeps GCC from computing the address of each pixel anew
      const float *pixel = row;
#pragma GCC unroll 16
      for (int j = 0; j < C; j++, pixel += in_column) sums[i * C + j] += weight * *(const Vector *)pixel;
    }
  }
  if (!last) {
#pragma GCC unroll 16
    for (int t = 0; t < R * C; t++) *(Vector *)(partial + t * LANES) = sums[t];
    return;
  }
  if (add)
#pragma GCC unroll 16
    for (int t = 0; t < R * C; t++) sums[t] += *(const Vector *)(add + t / C * s.add_row + t % C * add_column);
  if (s.act && s.act <= RELU6)
#pragma GCC unroll 16
    for (int t = 0; t < R * C; t++) sums[t] = activated(sums[t], s.act);
  if (R % 2 == 0 && C % 2 == 0 && s.pool) {
#pragma GCC unroll 16
    for (int t = 0; t < R * C / 4; t++) {
      const int half = C > 1 ? C / 2 : 1, at = t / half * 2 * C + t % half * 2;
      const Vector above = larger(sums[at], sums[at + 1]), below = larger(sums[at + C], sums[at + C + 1]);
      *(Vector *)(out + at / C / 2 * s.out_row + at % C / 2 * out_column) = larger(above, below);
    }
    if (s.act > RELU6) bent(s, out, R / 2, C / 2, s.out_row, out_column, WIDTH);
    return;
  }
#pragma GCC unroll 16
  for (int t = 0; t < R * C; t++) *(Vector *)(out + t / C * s.out_row + t % C * out_column) = sums[t];
  if (s.act > RELU6) bent(s, out, R, C, s.out_row, out_column, WIDTH);
}

// One tile of a block of output channels, by runs of weights: the windows that a run reads fit the first cache.
template <int R, int C, bool NEAR>
INLINE void tiles(const Step &s, const Network &n, const Order &o, int64_t from, const float *in, const float *add,
                  float *partial, float *out) {
  for (int64_t r = 0; r < o.runs; r++)
    for (int64_t c = from; c < from + s.block; c++) {
      const int64_t *run = n.starts + o.starts + c * o.runs + r;
      const bool last = r + 1 == o.runs;
      if (r && !last && run[0] == run[1]) continue;
      const bool adds = add && c >= s.add_from && c < s.add_to;
      for (int64_t i = 0; i < LANES; i += WIDTH)
        tile<R, C, NEAR>(s, in + i, n.offsets + run[0], n.weights + run[0], run[1] - run[0],
                         r ? nullptr : n.biases + o.biases + c, adds ? add + (c - s.add_from) * s.add_plane + i : nullptr,
                         partial + (c - from) * R * C * LANES + i, last, out + c * s.out_plane + i);
    }
}

// All tiles of a block of output channels.
template <bool NEAR>
INLINE void blocked(const Step &s, const Network &n, const Order &o, int64_t c, const float *in, const float *add,
                    float *partial, float *out, int64_t columns) {
  for (int64_t y = 0; y < s.rows;) {
    const int64_t down = s.rows - y;
    const int64_t rows = down == 1 ? 1 : SUMS_FIT >= 16 && columns < 8 && down >= 4 ? 4 : 2;
    const int64_t fit = SUMS_FIT / rows;
    for (int64_t x = 0; x < columns;) {
      const int64_t right = columns - x;
      const int64_t width = right >= 8 && fit >= 8 ? 8 : right >= 4 && fit >= 4 ? 4 : right >= 2 ? 2 : 1;
      const float *from = in + y * s.in_row + x * s.in_column;
      const float *plus = add ? add + y * s.add_row + x * s.add_column : nullptr;
      float *to = out + (y >> s.pool) * s.out_row + (x >> s.pool) * s.out_column;
      switch (rows * 16 + width) {
        case 0x11: tiles<1, 1, NEAR>(s, n, o, c, from, plus, partial, to); break;
        case 0x12: tiles<1, 2, NEAR>(s, n, o, c, from, plus, partial, to); break;
        case 0x14: tiles<1, 4, NEAR>(s, n, o, c, from, plus, partial, to); break;
        case 0x18: tiles<1, 8, NEAR>(s, n, o, c, from, plus, partial, to); break;
        case 0x21: tiles<2, 1, NEAR>(s, n, o, c, from, plus, partial, to); break;
        case 0x22: tiles<2, 2, NEAR>(s, n, o, c, from, plus, partial, to); break;
        case 0x24: tiles<2, 4, NEAR>(s, n, o, c, from, plus, partial, to); break;
        case 0x28: if (SUMS_FIT >= 16) tiles<2, 8, NEAR>(s, n, o, c, from, plus, partial, to); break;
        case 0x41: tiles<4, 1, NEAR>(s, n, o, c, from, plus, partial, to); break;
        case 0x42: tiles<4, 2, NEAR>(s, n, o, c, from, plus, partial, to); break;
        case 0x44: if (SUMS_FIT >= 16) tiles<4, 4, NEAR>(s, n, o, c, from, plus, partial, to); break;
      }
      x += width;
    }
    y += rows;
  }
}

// Weighted sums, block by block of output channels, since others read other planes.
template <bool NEAR>
INLINE void weighted(const Step &s, const Network &n, const Order &o, const float *in, const float *add,
                     float *partial, float *out, int64_t columns) {
  for (int64_t c = 0; c < s.channels; c += s.block) blocked<NEAR>(s, n, o, c, in, add, partial, out, columns);
}

// Sums or the largest of windows that may differ in size.
template <bool LARGEST>
INLINE void windowed(const Step &s, const Network &n, const float *in, float *out) {
  const Span *rows = n.spans + s.row_spans, *columns = n.spans + s.column_spans;
  for (int64_t c = 0; c < s.channels; c++)
    for (int64_t y = 0; y < s.rows; y++)
      for (int64_t x = 0; x < s.columns; x++)
        for (int64_t lane = 0; lane < LANES; lane += WIDTH) {
          const Span down = rows[y], right = columns[x];
          Vector value = LARGEST ? all(-__builtin_inff()) : Vector{};
          for (int64_t i = down.first; i < down.last; i++) {
            const float *pixel = in + c * s.in_plane + i * s.row_gap + right.first * s.column_gap + lane;
            int64_t left = right.last - right.first;
            Vector one = LARGEST ? value : Vector{}, two = one, three = one, four = one;  // so that none waits for another
            for (; left >= 4; left -= 4, pixel += 4 * s.column_gap) {
              const Vector a = *(const Vector *)pixel, b = *(const Vector *)(pixel + s.column_gap);
              const Vector d = *(const Vector *)(pixel + 2 * s.column_gap);
              const Vector e = *(const Vector *)(pixel + 3 * s.column_gap);
              one = LARGEST ? larger(one, a) : one + a;
              two = LARGEST ? larger(two, b) : two + b;
              three = LARGEST ? larger(three, d) : three + d;
              four = LARGEST ? larger(four, e) : four + e;
            }
            for (; left; left--, pixel += s.column_gap) {
              const Vector a = *(const Vector *)pixel;
              one = LARGEST ? larger(one, a) : one + a;
            }
            one = LARGEST ? larger(larger(one, two), larger(three, four)) : (one + two) + (three + four);
            value = LARGEST ? larger(value, one) : value + one;
          }
          if (!LARGEST) value *= all(down.share * right.share);
          float *to = out + c * s.out_plane + y * s.out_row + x * s.out_column + lane;
          *(Vector *)to = s.act <= RELU6 ? activated(value, s.act) : value;
        }
}

// A tensor as it is, with another one added to it or multiplied with it.
INLINE void copied(const Step &s, const float *in, const float *add, float *out, int64_t columns) {
  for (int64_t c = 0; c < s.channels; c++) {
    const bool adds = add && c >= s.add_from && c < s.add_to;
    for (int64_t y = 0; y < s.rows; y++)
      for (int64_t x = 0; x < columns; x++)
        for (int64_t lane = 0; lane < LANES; lane += WIDTH) {
          Vector value = *(const Vector *)(in + c * s.in_plane + y * s.in_row + x * s.in_column + lane);
          if (adds) {
            const Vector other = *(const Vector *)(add + (c - s.add_from) * s.add_plane + y * s.add_row + x * s.add_column + lane);
            value = s.times ? value * other : value + other;
          }
          float *to = out + c * s.out_plane + y * s.out_row + x * s.out_column + lane;
          *(Vector *)to = s.act <= RELU6 ? activated(value, s.act) : value;
        }
  }
}

// Each pixel less the mean of its channels, divided by their deviation, as in layer norm.
INLINE void centred(const Step &s, const float *in, float *out, int64_t columns) {
  const Vector share = all(1.0f / float(s.channels)), epsilon = all(number(s.epsilon));
  for (int64_t y = 0; y < s.rows; y++)
    for (int64_t x = 0; x < columns; x++)
      for (int64_t lane = 0; lane < LANES; lane += WIDTH) {
        const float *pixel = in + y * s.in_row + x * s.in_column + lane;
        Vector mean{}, variance{};
        for (int64_t c = 0; c < s.channels; c++) mean += *(const Vector *)(pixel + c * s.in_plane);
        mean *= share;
        for (int64_t c = 0; c < s.channels; c++) {
          const Vector off = *(const Vector *)(pixel + c * s.in_plane) - mean;
          variance += off * off;
        }
        variance = variance * share + epsilon;
        Vector scale;
        for (int64_t k = 0; k < WIDTH; k++) scale[k] = 1.0f / __builtin_sqrtf(variance[k]);
        float *to = out + y * s.out_row + x * s.out_column + lane;
        for (int64_t c = 0; c < s.channels; c++) {
          const Vector value = (*(const Vector *)(pixel + c * s.in_plane) - mean) * scale;
          *(Vector *)(to + c * s.out_plane) = s.act <= RELU6 ? activated(value, s.act) : value;
        }
      }
}

INLINE void zeros(float *from, int64_t floats) {
  for (int64_t i = 0; i < floats; i += WIDTH) {
    *(Vector *)(from + i) = Vector{};
    asm volatile("" : : : "memory");  // keeps GCC from calling memset for a vector or two
  }
}

// Zeros around the planes that a step writes.
INLINE void bordered(const Step &s, float *out) {
  if (!s.lead && !s.gap) return;
  const int64_t rows = s.rows >> s.pool, columns = s.columns >> s.pool;
  for (int64_t c = 0; c < s.channels; c++) {
    float *plane = out + c * s.out_plane;
    zeros(plane - s.lead, s.lead);
    for (int64_t y = 1; y < rows; y++) zeros(plane + y * s.out_row - s.gap, s.gap);
  }
  zeros(out + (s.channels - 1) * s.out_plane + (rows - 1) * s.out_row + columns * s.out_column, s.lead);
}

// What remains to be done with what a step has written: to bend it, if that is not done, and its border.
INLINE void finished(const Step &s, float *out, int64_t columns, bool bends) {
  if (bends)
    for (int64_t c = 0; c < s.channels; c++)
      bent(s, out + c * s.out_plane, s.rows >> s.pool, columns >> s.pool, s.out_row, s.out_column, LANES);
  bordered(s, out);
}

// Where a tensor of group `g` begins.
INLINE float *place(const Network &n, float *arena, float *wide, int64_t g, int64_t space, int64_t origin) {
  if (space == IMAGES) return const_cast<float *>(n.images) + g * n.image_group + origin;
  return (space == WIDE ? wide : arena) + origin;
}

// Follows one order for group `g`, which has slot `slot`; tail steps run for `slots` groups at once.
INLINE void follow(const Network &n, const Order &o, float *arena, float *wide, int64_t g, int64_t slot, int64_t slots) {
  const Step &s = n.steps[o.step];
#if WIDTH == 16 && defined(BFLOAT16)
  float *room = wide + n.candidates * n.wide_size;
#endif
  wide += o.candidate * n.wide_size + slot * LANES;
  const float *in = place(n, arena + o.in_level * n.level, wide, g, s.in_space, s.in);
  const float *add = s.add < 0 ? nullptr : place(n, arena + o.add_level * n.level, wide, g, s.add_space, s.add);
  float *out = place(n, arena + o.level * n.level, wide, g, s.out_space, s.out);
#if WIDTH == 16 && defined(BFLOAT16)
  if (o.packed >= 0) {
    bfloat16::run(s, n.packed + o.packed, n.biases + o.biases, in, add, room, out);
    return finished(s, out, s.columns, s.act > RELU6);
  }
#endif
  const int64_t columns = s.tail ? slots : s.columns;
  const bool near = s.in_column == LANES && s.out_column == LANES && (!add || s.add_column == LANES);
  if (s.kind == SUMS && near) weighted<true>(s, n, o, in, add, arena + n.partial, out, columns);
  else if (s.kind == SUMS) weighted<false>(s, n, o, in, add, arena + n.partial, out, columns);
  else if (s.kind == COPY) copied(s, in, add, out, columns);
  else if (s.kind == CENTRE) centred(s, in, out, columns);
  else if (s.kind == MAXIMUM) windowed<true>(s, n, in, out);
  else windowed<false>(s, n, in, out);
  finished(s, out, columns, s.kind != SUMS && s.act > RELU6);
}

// Groups [first, last) of 16 images through the orders, then SLOTS groups at once through those of the tail.
static void run(const Network &n, int64_t first, int64_t last, float *arena, float *wide) {
  for (int64_t g = first; g < last; g += SLOTS) {
    const int64_t slots = last - g < SLOTS ? last - g : SLOTS;
    for (int64_t slot = 0; slot < slots; slot++)
      for (int64_t k = 0; k < n.order_count; k++) follow(n, n.orders[k], arena, wide, g + slot, slot, slots);
    for (int64_t k = 0; k < n.tail_count; k++) follow(n, n.tail[k], arena, wide, g, 0, slots);
    for (int64_t c = 0; c < n.candidates; c++)
      for (int64_t slot = 0; slot < slots; slot++)
        for (int64_t k = 0; k < n.classes; k++)
          memcpy(n.logits + ((c * n.groups + g + slot) * n.classes + k) * LANES,
                 wide + c * n.wide_size + n.result + (k * SLOTS + slot) * LANES, LANES * sizeof(float));
  }
}

// What a step has written for a group, times a scale and plus a shift for each channel, then added to and activated.
INLINE void affine(const Step &s, const float *scales, const float *shifts, const float *add, float *out) {
  for (int64_t c = 0; c < s.channels; c++) {
    const Vector scale = all(scales[c]), shift = all(shifts[c]);
    const bool adds = add && c >= s.add_from && c < s.add_to;
    for (int64_t y = 0; y < s.rows; y++)
      for (int64_t x = 0; x < s.columns; x++)
        for (int64_t lane = 0; lane < LANES; lane += WIDTH) {
          Vector *value = (Vector *)(out + c * s.out_plane + y * s.out_row + x * s.out_column + lane);
          Vector sum = *value * scale + shift;
          if (adds) sum += *(const Vector *)(add + (c - s.add_from) * s.add_plane + y * s.add_row + x * s.add_column + lane);
          *value = s.act <= RELU6 ? activated(sum, s.act) : sum;
        }
    if (s.act > RELU6) bent(s, out + c * s.out_plane, s.rows, s.columns, s.out_row, s.out_column, LANES);
  }
}

// Sums over all pixels of the first `images` of a channel, in double precision, of the values' differences from `center`
// and of their squares.
INLINE void sums_of(const Step &s, const float *plane, float center, int64_t images, double *first, double *second) {
  *first = *second = 0;
  for (int64_t lane = 0; lane < images; lane += WIDTH) {
    double once[WIDTH] = {}, twice[WIDTH] = {};
    for (int64_t y = 0; y < s.rows; y++) {
      Vector one{}, two{};
      for (int64_t x = 0; x < s.columns; x++) {
        const Vector off = *(const Vector *)(plane + y * s.out_row + x * s.out_column + lane) - all(center);
        one += off;
        two += off * off;
      }
      for (int64_t k = 0; k < WIDTH; k++) once[k] += one[k], twice[k] += two[k];
    }
    for (int64_t k = 0; k < WIDTH && lane + k < images; k++) *first += once[k], *second += twice[k];
  }
}

// Means of a step's channels over the first `images` of a group, and their squared deviations from these.
INLINE void moments(const Step &s, const float *out, int64_t images, double *means, double *squares) {
  const double count = double(images * s.rows * s.columns);
  for (int64_t c = 0; c < s.channels; c++) {
    double first, second;
    sums_of(s, out + c * s.out_plane, out[c * s.out_plane], images, &first, &second);  // about a value of its own
    const double center = out[c * s.out_plane], mean = center + first / count;
    sums_of(s, out + c * s.out_plane, float(mean), images, &first, &second);
    means[c] = float(mean) + first / count;
    squares[c] = second - first * first / count;
  }
}

// Finishes one step for groups [first, last), then runs the next one and takes its moments; each group has memory of its
// own.
static void stage(const Network &n, const Stage &t, int64_t first, int64_t last) {
  for (int64_t g = first; g < last; g++) {
    float *arena = t.arenas + g * n.level, *wide = t.wide + g * n.wide_size;
    if (t.finish) {
      const Step &s = *t.finish;
      const float *add = s.add < 0 ? nullptr : place(n, arena, wide, g, s.add_space, s.add);
      affine(s, t.scales, t.shifts, add, place(n, arena, wide, g, s.out_space, s.out));
    }
    follow(n, t.next, arena, wide, g, 0, 1);
    const Step &s = n.steps[t.next.step];
    if (t.means)
      moments(s, place(n, arena, wide, g, s.out_space, s.out), t.images[g], t.means + g * s.channels,
              t.squares + g * s.channels);
  }
}

// Lists a layer's kept weights. Nothing here branches on what is kept.
static int64_t list(const Kept &layer) {
  int64_t *starts = layer.starts, k = *starts++;
  int32_t *__restrict listed = layer.listed;
  float *__restrict values = layer.values;
  for (int64_t o = 0; o < layer.outputs; o++) {
    const float *weights = layer.weights + o * layer.inputs, scale = layer.scales[o];
    const uint8_t *kept = layer.kept ? layer.kept + o * layer.inputs : nullptr;
    const int32_t origin = layer.origins[o];
    for (int64_t i = 0; i < layer.inputs;) {
      const int64_t end = i + layer.run < layer.inputs ? i + layer.run : layer.inputs;
#if WIDTH == 16
      for (; kept && i + 16 <= end; i += 16) {
        const __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(kept + i)));
        const __mmask16 which = _mm512_test_epi32_mask(bytes, bytes);
        const __m512i reads = _mm512_add_epi32(_mm512_loadu_si512(layer.offsets + i), _mm512_set1_epi32(origin));
        const __m512 scaled = _mm512_mul_ps(_mm512_loadu_ps(weights + i), _mm512_set1_ps(scale));
        _mm512_storeu_si512(listed + k, _mm512_maskz_compress_epi32(which, reads));
        _mm512_storeu_ps(values + k, _mm512_maskz_compress_ps(which, scaled));
        k += __builtin_popcount(which);
      }
#endif
      for (; i < end; i++) {
        listed[k] = origin + layer.offsets[i];
        values[k] = weights[i] * scale;
        k += kept ? kept[i] : 1;
      }
      *starts++ = k;
    }
  }
  return k;
}
