// Dense 3 x 3 convolutions of stride 1 with factors in bfloat16, for processors with AVX512-BF16: F(2 x 2, 3 x 3) of
// Lavin and Gray (2016). Inputs are transformed by 4 x 4, and weights, in float32, and rounded to bfloat16; of each of
// the 16 positions products are summed in float32, of two channels at once. 2 x 2 outputs take 16 multiplications in
// place of 36.

constexpr int64_t POSITIONS = 16;
constexpr int64_t TILES = 4, OUTPUTS = 4;    // whose products are summed at once: 16 of 32 registers
constexpr int64_t SUM = POSITIONS + 1;       // vectors from one tile's sums to the next one's: powers of two share cache lines
constexpr int64_t STRIP = 16, CACHE = 8192;  // tiles that are transformed at once, and vectors at most unless they are few
constexpr int64_t TAPS = 9;
constexpr int64_t CENTER = 5;                // the position whose sum all four outputs take as it is

// What `pays` compares, in processor cycles on Zen 4: `benchmarks/dense.py` prints where the two routines are as fast.
constexpr double PRODUCT = 1, PAIR = 100, OUTPUT = 60;  // of two channels and 16 images; a tile's inputs and outputs
constexpr double KEPT = 1.25;  // of a kept weight, a pixel and 16 images in float32

typedef __m512 Vector;

// Weights of a layer as `pack` writes them, without the channels that have none. Outputs with weights come first.
struct Layer {
  int64_t live_inputs, live_outputs, pairs, stride;
  const int32_t *outputs, *inputs, *weights;  // weights: [4 outputs][position][pair of inputs][output] of 2 bfloat16

  Layer(const Step &s, const int32_t *words) {
    live_inputs = words[0], live_outputs = words[1];
    pairs = (live_inputs + 1) / 2, stride = pairs | 1;
    outputs = words + 2, inputs = outputs + s.channels, weights = inputs + live_inputs;
  }
};

// Two vectors as pairs of bfloat16, rounded to the nearest.
INLINE __m512i rounded(Vector one, Vector other) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,
                                         23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(other, one));
}

// One column of a tile's inputs, transformed.
struct Column {
  Vector v[4];

  Column(const float *const *rows, int64_t at, bool outside, bool below) {
    const Vector zero{};
    const Vector a = outside ? zero : _mm512_load_ps(rows[0] + at), b = outside ? zero : _mm512_load_ps(rows[1] + at);
    const Vector c = outside ? zero : _mm512_load_ps(rows[2] + at);
    const Vector d = outside || below ? zero : _mm512_load_ps(rows[3] + at);
    v[0] = a - c, v[1] = b + c, v[2] = c - b, v[3] = b - d;
  }
};

// Inputs of the tiles from (y, x) on: [tile][position][pair] of 16 images and 2 channels.
static void transform(const Step &s, const Layer &l, const float *in, int64_t y, int64_t x, int64_t tiles, __m512i *values) {
  static const float zeros[LANES] __attribute__((aligned(64))) = {};
  const bool below = y + 1 == s.rows;
  for (int64_t p = 0; p < l.pairs; p++) {
    const bool single = 2 * p + 1 == l.live_inputs;
    const float *one[4], *other[4];
    for (int64_t i = 0; i < 4; i++) {
      const int64_t row = (y + i) * s.in_row;
      one[i] = in + l.inputs[2 * p] * s.in_plane + row;
      other[i] = single ? zeros : in + l.inputs[2 * p + 1] * s.in_plane + row;
    }
    const int64_t step = s.in_column, next = single ? 0 : step;
    Column a0(one, x * step, false, below), a1(one, (x + 1) * step, false, below);
    Column b0(other, x * next, false, below), b1(other, (x + 1) * next, false, below);
    __m512i *to = values + p;
    for (int64_t t = 0; t < tiles; t++, to += POSITIONS * l.stride) {
      const int64_t at = x + 2 * t + 2;
      const Column a2(one, at * step, false, below), b2(other, at * next, false, below);
#pragma GCC unroll 4
      for (int64_t i = 0; i < 4; i++) to[4 * i * l.stride] = rounded(a0.v[i] - a2.v[i], b0.v[i] - b2.v[i]);
#pragma GCC unroll 4
      for (int64_t i = 0; i < 4; i++) to[(4 * i + 1) * l.stride] = rounded(a1.v[i] + a2.v[i], b1.v[i] + b2.v[i]);
#pragma GCC unroll 4
      for (int64_t i = 0; i < 4; i++) to[(4 * i + 2) * l.stride] = rounded(a2.v[i] - a1.v[i], b2.v[i] - b1.v[i]);
      const bool outside = at > s.columns;
      const Column a3(one, (at + 1) * step, outside, below), b3(other, (at + 1) * next, outside, below);
#pragma GCC unroll 4
      for (int64_t i = 0; i < 4; i++) to[(4 * i + 3) * l.stride] = rounded(a1.v[i] - a3.v[i], b1.v[i] - b3.v[i]);
      a0 = a2, a1 = a3, b0 = b2, b1 = b3;
    }
  }
}

// Products of T tiles at one position with 4 outputs, which begin with `biases`: [output][tile], SUM vectors apart.
template <int T>
INLINE void multiplied(const __m512i *values, int64_t tile, const int32_t *weights, int64_t pairs, const float *biases,
                       Vector *to) {
  Vector sums[OUTPUTS * T];
#pragma GCC unroll 16
  for (int k = 0; k < OUTPUTS * T; k++) sums[k] = _mm512_set1_ps(biases[k / T]);
  for (int64_t p = 0; p < pairs; p++) {
    __m512bh value[T];
#pragma GCC unroll 4
    for (int t = 0; t < T; t++) value[t] = (__m512bh)values[p + t * tile];
#pragma GCC unroll 4
    for (int o = 0; o < OUTPUTS; o++) {
      const __m512bh weight = (__m512bh)_mm512_set1_epi32(weights[p * OUTPUTS + o]);
#pragma GCC unroll 4
      for (int t = 0; t < T; t++) sums[o * T + t] = _mm512_dpbf16_ps(sums[o * T + t], value[t], weight);
    }
  }
#pragma GCC unroll 16
  for (int k = 0; k < OUTPUTS * T; k++) to[k * SUM] = sums[k];
}

// Activations of one comparison or two; whoever runs a step does others.
INLINE Vector activated(Vector v, int64_t act) {
  if (act > RELU6) return v;
  if (act) v = _mm512_max_ps(v, Vector{});
  return act == RELU6 ? _mm512_min_ps(v, _mm512_set1_ps(6)) : v;
}

// The 2 x 2 outputs of one channel that a tile's sums make, or those of them that are no further `right` or `below`.
INLINE void finish(const Step &s, const Vector *m, const float *add, float *out, bool right, bool below) {
  Vector a[4], b[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++, m += 4) a[i] = m[0] + (m[1] + m[2]), b[i] = (m[1] - m[2]) - m[3];
  Vector y[4] = {a[0] + (a[1] + a[2]), b[0] + (b[1] + b[2]), (a[1] - a[2]) - a[3], (b[1] - b[2]) - b[3]};
#pragma GCC unroll 4
  for (int k = 0; k < 4; k++) {
    if ((k & 1 && right) || (k & 2 && below)) continue;
    if (add) y[k] += _mm512_load_ps(add + (k >> 1) * s.add_row + (k & 1) * s.add_column);
    y[k] = activated(y[k], s.act);
    if (!s.pool) _mm512_store_ps(out + (k >> 1) * s.out_row + (k & 1) * s.out_column, y[k]);
  }
  if (s.pool) _mm512_store_ps(out, _mm512_max_ps(_mm512_max_ps(y[0], y[1]), _mm512_max_ps(y[2], y[3])));
}

// T transformed tiles from (y, x) on, for all outputs.
template <int T>
static void tiles(const Step &s, const Layer &l, const __m512i *values, const float *biases, Vector *sums, int64_t y,
                  int64_t x, const float *add, float *out) {
  static const float zeros[OUTPUTS] = {};
  for (int64_t first = 0; first < s.channels; first += OUTPUTS) {
    const int64_t count = s.channels - first < OUTPUTS ? s.channels - first : OUTPUTS;
    const int64_t pairs = first < l.live_outputs ? l.pairs : 0;
    const int32_t *weights = l.weights + first * POSITIONS * l.pairs;
    float own[OUTPUTS] = {};
    for (int64_t o = 0; o < count; o++) own[o] = biases[l.outputs[first + o]];
    for (int64_t k = 0; k < POSITIONS; k++)
      multiplied<T>(values + k * l.stride, POSITIONS * l.stride, weights + k * l.pairs * OUTPUTS, pairs,
                    k == CENTER ? own : zeros, sums + k);
    for (int64_t o = 0; o < count; o++) {
      const int64_t c = l.outputs[first + o];
      const bool adds = add && c >= s.add_from && c < s.add_to;
      const float *plus = adds ? add + (c - s.add_from) * s.add_plane + y * s.add_row + x * s.add_column : nullptr;
      float *to = out + c * s.out_plane + (y >> s.pool) * s.out_row + (x >> s.pool) * s.out_column;
      for (int64_t t = 0; t < T; t++) {
        finish(s, sums + (o * T + t) * SUM, plus, to, x + 2 * t + 1 == s.columns, y + 1 == s.rows);
        plus = adds ? plus + 2 * s.add_column : nullptr;
        to += (2 >> s.pool) * s.out_column;
      }
    }
  }
}

// Tiles that are transformed at once, of inputs in so many vectors apart.
INLINE int64_t strip_of(int64_t stride) {
  const int64_t fit = CACHE / (POSITIONS * stride) / TILES * TILES;
  return fit < TILES ? TILES : fit < STRIP ? fit : STRIP;
}

// Runs a step of sums with the packed weights at `words`; `room` is memory of `room_of` floats.
static void run(const Step &s, const int32_t *words, const float *biases, const float *in, const float *add, float *room,
                float *out) {
  const Layer l(s, words);
  Vector *sums = (Vector *)room;
  __m512i *values = (__m512i *)(sums + OUTPUTS * TILES * SUM);
  const int64_t across = (s.columns + 1) / 2, most = strip_of(l.stride);
  for (int64_t y = 0; y < s.rows; y += 2)
    for (int64_t first = 0; first < across; first += most) {
      const int64_t strip = across - first < most ? across - first : most;
      transform(s, l, in, y, 2 * first, strip, values);
      for (int64_t t = 0; t < strip; t += TILES) {
        const __m512i *from = values + t * POSITIONS * l.stride;
        const int64_t x = 2 * (first + t);
        switch (strip - t) {
          case 1: tiles<1>(s, l, from, biases, sums, y, x, add, out); break;
          case 2: tiles<2>(s, l, from, biases, sums, y, x, add, out); break;
          case 3: tiles<3>(s, l, from, biases, sums, y, x, add, out); break;
          default: tiles<4>(s, l, from, biases, sums, y, x, add, out);
        }
      }
    }
}

// Floats of memory for a layer with so many input channels.
static int64_t room_of(int64_t inputs) {
  const int64_t stride = (inputs + 1) / 2 | 1;
  return (OUTPUTS * TILES * SUM + strip_of(stride) * POSITIONS * stride) * LANES;
}

// Whether a layer takes less time so than by its kept weights, in processor cycles for one tile, or four pixels.
static bool pays(const Packed &layer, int64_t kept, int64_t live_inputs, int64_t live_outputs) {
  const int64_t pairs = (live_inputs + 1) / 2, fours = (live_outputs + OUTPUTS - 1) / OUTPUTS * OUTPUTS;
  const int64_t tiles = ((layer.rows + 1) / 2) * ((layer.columns + 1) / 2);
  const double dense = POSITIONS * pairs * fours * PRODUCT + pairs * PAIR + layer.outputs * OUTPUT;
  return live_inputs && tiles * dense < layer.rows * layer.columns * kept * KEPT;
}

// A filter's 3 x 3 weights, in the first 9 places, transformed: a value for each position.
INLINE Vector transformed(Vector g) {
  const float h = 0.5f;
  const Vector first = _mm512_setr_ps(1, h, h, 0, 1, h, h, 0, 1, h, h, 0, 1, h, h, 0);
  const Vector second = _mm512_setr_ps(0, h, -h, 0, 0, h, -h, 0, 0, h, -h, 0, 0, h, -h, 0);
  const Vector third = _mm512_setr_ps(0, h, h, 1, 0, h, h, 1, 0, h, h, 1, 0, h, h, 1);
  const Vector down_first = _mm512_setr_ps(1, 1, 1, 1, h, h, h, h, h, h, h, h, 0, 0, 0, 0);
  const Vector down_second = _mm512_setr_ps(0, 0, 0, 0, h, h, h, h, -h, -h, -h, -h, 0, 0, 0, 0);
  const Vector down_third = _mm512_setr_ps(0, 0, 0, 0, h, h, h, h, h, h, h, h, 1, 1, 1, 1);
  const __m512i one = _mm512_set1_epi32(1), four = _mm512_set1_epi32(4);
  const __m512i left = _mm512_setr_epi32(0, 0, 0, 0, 3, 3, 3, 3, 6, 6, 6, 6, 0, 0, 0, 0);
  const __m512i middle = _mm512_add_epi32(left, one), right = _mm512_add_epi32(middle, one);
  const Vector across = _mm512_permutexvar_ps(left, g) * first + _mm512_permutexvar_ps(middle, g) * second +
                        _mm512_permutexvar_ps(right, g) * third;
  const __m512i top = _mm512_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
  const __m512i center = _mm512_add_epi32(top, four), bottom = _mm512_add_epi32(center, four);
  return _mm512_permutexvar_ps(top, across) * down_first + _mm512_permutexvar_ps(center, across) * down_second +
         _mm512_permutexvar_ps(bottom, across) * down_third;
}

// The filter between an output and an input channel, masked, scaled and transformed.
INLINE Vector filter_of(const Packed &layer, int64_t output, int64_t input) {
  const int64_t at = (output * layer.inputs + input) * TAPS;
  __mmask16 which = (1 << TAPS) - 1;
  if (layer.kept) {
    uint8_t kept[16] = {};
    memcpy(kept, layer.kept + at, TAPS);
    const __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)kept));
    which = _mm512_test_epi32_mask(bytes, bytes);
  }
  return transformed(_mm512_maskz_loadu_ps(which, layer.weights + at) * _mm512_set1_ps(layer.scales[output]));
}

// Counts a layer's kept weights, and lists the channels that have any.
static int64_t count(const Packed &layer, int32_t *words) {
  int32_t *outputs = words + 2, *inputs = outputs + layer.outputs, *live = inputs + layer.inputs;
  int64_t all = 0, rows = 0, columns = 0, dead = layer.outputs;
  for (int64_t i = 0; i < layer.inputs; i++) live[i] = 0;
  for (int64_t o = 0; o < layer.outputs; o++) {
    int64_t own = 0;
    for (int64_t i = 0; i < layer.inputs; i++) {
      int32_t kept = layer.kept ? 0 : int32_t(TAPS);
      if (layer.kept)
        for (int64_t k = 0; k < TAPS; k++) kept += layer.kept[(o * layer.inputs + i) * TAPS + k];
      live[i] += kept;
      own += kept;
    }
    outputs[own ? rows++ : --dead] = int32_t(o);
    all += own;
  }
  for (int64_t i = 0; i < layer.inputs; i++)
    if (live[i]) inputs[columns++] = int32_t(i);
  words[0] = int32_t(columns), words[1] = int32_t(rows);
  return all;
}

// Packs a layer's weights for `run`, and returns how many words they take; 0 if its kept weights take less time.
static int64_t pack(const Packed &layer) {
  int32_t *words = layer.words;
  const int64_t kept = count(layer, words), inputs = words[0], live = words[1], pairs = (inputs + 1) / 2;
  if (!pays(layer, kept, inputs, live)) return 0;
  const int32_t *outputs = words + 2, *channels = outputs + layer.outputs;
  int32_t *weights = words + 2 + layer.outputs + inputs;
  const __m512i places = _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                                            _mm512_set1_epi32(int32_t(pairs * OUTPUTS)));
  const int64_t fours = (live + OUTPUTS - 1) / OUTPUTS;
  for (int64_t o = 0; o < fours * OUTPUTS; o++)
    for (int64_t p = 0; p < pairs; p++) {
      Vector one{}, other{};
      if (o < live) one = filter_of(layer, outputs[o], channels[2 * p]);
      if (o < live && 2 * p + 1 < inputs) other = filter_of(layer, outputs[o], channels[2 * p + 1]);
      int32_t *to = weights + (o / OUTPUTS * POSITIONS * pairs + p) * OUTPUTS + o % OUTPUTS;
      _mm512_i32scatter_epi32(to, places, rounded(one, other), 4);
    }
  return weights + fours * OUTPUTS * POSITIONS * pairs - words;
}
