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

INLINE Vector activated(Vector v, int64_t act) {
  if (act) v = larger(v, Vector{});
  return act == 2 ? (v < 6 ? v : all(6)) : v;
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
  if (s.act)
#pragma GCC unroll 16
    for (int t = 0; t < R * C; t++) sums[t] = activated(sums[t], s.act);
  if (R % 2 == 0 && C % 2 == 0 && s.pool) {
#pragma GCC unroll 16
    for (int t = 0; t < R * C / 4; t++) {
      const int half = C > 1 ? C / 2 : 1, at = t / half * 2 * C + t % half * 2;
      const Vector above = larger(sums[at], sums[at + 1]), below = larger(sums[at + C], sums[at + C + 1]);
      *(Vector *)(out + at / C / 2 * s.out_row + at % C / 2 * out_column) = larger(above, below);
    }
    return;
  }
#pragma GCC unroll 16
  for (int t = 0; t < R * C; t++) *(Vector *)(out + t / C * s.out_row + t % C * out_column) = sums[t];
}

// One tile of all output channels, by runs of weights: the windows that a run reads fit the first cache.
template <int R, int C, bool NEAR>
INLINE void tiles(const Step &s, const Network &n, const Order &o, const float *in, const float *add, float *partial,
                  float *out) {
  for (int64_t r = 0; r < o.runs; r++)
    for (int64_t c = 0; c < s.channels; c++) {
      const int64_t *run = n.starts + o.starts + c * o.runs + r;
      const bool last = r + 1 == o.runs;
      if (r && !last && run[0] == run[1]) continue;
      const bool adds = add && c >= s.add_from && c < s.add_to;
      for (int64_t i = 0; i < LANES; i += WIDTH)
        tile<R, C, NEAR>(s, in + i, n.offsets + run[0], n.weights + run[0], run[1] - run[0],
                         r ? nullptr : n.biases + o.biases + c, adds ? add + (c - s.add_from) * s.add_plane + i : nullptr,
                         partial + c * R * C * LANES + i, last, out + c * s.out_plane + i);
    }
}

template <bool NEAR>
INLINE void weighted(const Step &s, const Network &n, const Order &o, const float *in, const float *add,
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
        case 0x11: tiles<1, 1, NEAR>(s, n, o, from, plus, partial, to); break;
        case 0x12: tiles<1, 2, NEAR>(s, n, o, from, plus, partial, to); break;
        case 0x14: tiles<1, 4, NEAR>(s, n, o, from, plus, partial, to); break;
        case 0x18: tiles<1, 8, NEAR>(s, n, o, from, plus, partial, to); break;
        case 0x21: tiles<2, 1, NEAR>(s, n, o, from, plus, partial, to); break;
        case 0x22: tiles<2, 2, NEAR>(s, n, o, from, plus, partial, to); break;
        case 0x24: tiles<2, 4, NEAR>(s, n, o, from, plus, partial, to); break;
        case 0x28: if (SUMS_FIT >= 16) tiles<2, 8, NEAR>(s, n, o, from, plus, partial, to); break;
        case 0x41: tiles<4, 1, NEAR>(s, n, o, from, plus, partial, to); break;
        case 0x42: tiles<4, 2, NEAR>(s, n, o, from, plus, partial, to); break;
        case 0x44: if (SUMS_FIT >= 16) tiles<4, 4, NEAR>(s, n, o, from, plus, partial, to); break;
      }
      x += width;
    }
    y += rows;
  }
}

INLINE void windowed(const Step &s, const float *in, const float *add, float *out, int64_t columns) {
  const Vector share = all(1.0f / float(s.window_rows * s.window_columns));
  for (int64_t c = 0; c < s.channels; c++)
    for (int64_t y = 0; y < s.rows; y++)
      for (int64_t x = 0; x < columns; x++)
        for (int64_t lane = 0; lane < LANES; lane += WIDTH) {
          const float *source = in + c * s.in_plane + y * s.in_row + x * s.in_column + lane;
          Vector value = *(const Vector *)source;
          for (int64_t i = 0; i < s.window_rows; i++)
            for (int64_t j = i == 0 ? 1 : 0; j < s.window_columns; j++) {
              const Vector other = *(const Vector *)(source + i * s.row_gap + j * s.column_gap);
              value = s.kind == MAXIMUM ? larger(value, other) : value + other;
            }
          if (s.kind == MEAN) value *= share;
          if (add && c >= s.add_from && c < s.add_to)
            value += *(const Vector *)(add + (c - s.add_from) * s.add_plane + y * s.add_row + x * s.add_column + lane);
          *(Vector *)(out + c * s.out_plane + y * s.out_row + x * s.out_column + lane) = activated(value, s.act);
        }
}

// Follows one order for group `g`, which has slot `slot`; tail steps run for `slots` groups at once.
INLINE void follow(const Network &n, const Order &o, float *arena, float *wide, int64_t g, int64_t slot, int64_t slots) {
  const Step &s = n.steps[o.step];
#if WIDTH == 16 && defined(BFLOAT16)
  float *room = wide + n.candidates * n.wide_size;
#endif
  wide += o.candidate * n.wide_size + slot * LANES;
  auto at = [&](int64_t space, int64_t level, int64_t origin) -> float * {
    if (space == IMAGES) return const_cast<float *>(n.images) + g * n.image_group + origin;
    return (space == WIDE ? wide : arena + level * n.level) + origin;
  };
  const float *in = at(s.in_space, o.in_level, s.in);
  const float *add = s.add < 0 ? nullptr : at(s.add_space, o.add_level, s.add);
  float *out = at(s.out_space, o.level, s.out);
#if WIDTH == 16 && defined(BFLOAT16)
  if (o.packed >= 0) return bfloat16::run(s, n.packed + o.packed, n.biases + o.biases, in, add, room, out);
#endif
  const int64_t columns = s.tail ? slots : s.columns;
  const bool near = s.in_column == LANES && s.out_column == LANES && (!add || s.add_column == LANES);
  if (s.kind == SUMS && near) weighted<true>(s, n, o, in, add, arena + n.partial, out, columns);
  else if (s.kind == SUMS) weighted<false>(s, n, o, in, add, arena + n.partial, out, columns);
  else windowed(s, in, add, out, columns);
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
          *value = activated(sum, s.act);
        }
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
      float *add = s.add < 0 ? nullptr : (s.add_space == WIDE ? wide : arena) + s.add;
      affine(s, t.scales, t.shifts, add, (s.out_space == WIDE ? wide : arena) + s.out);
    }
    follow(n, t.next, arena, wide, g, 0, 1);
    const Step &s = n.steps[t.next.step];
    if (t.means)
      moments(s, (s.out_space == WIDE ? wide : arena) + s.out, t.images[g], t.means + g * s.channels,
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
