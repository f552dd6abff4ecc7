// A tape's operations and their gradients, compiled by kernel.cpp once for each kind of processor, behind steps.h.

namespace gradients {

using tape::Op;
using tape::Tape;

constexpr int64_t CACHE = 32 * 1024;     // bytes of the first cache

INLINE Vector at(const float *p) { return *(const Vector *)p; }

// The sum of a vector's elements.
INLINE float total(Vector v) {
  alignas(64) float parts[WIDTH];
  *(Vector *)parts = v;
#pragma GCC unroll 4
  for (int half = WIDTH / 2; half; half /= 2)
#pragma GCC unroll 8
    for (int i = 0; i < half; i++) parts[i] += parts[i + half];
  return parts[0];
}

// A multiple of the fewest sums that are computed at once.
INLINE int64_t padded(int64_t n) { return (n + 3) / 4 * 4; }

// 1 for the lanes of a group that hold images, 0 for the others.
INLINE void filled(const Tape &t, int64_t group, float *lanes) {
  for (int64_t i = 0; i < LANES; i++) lanes[i] = group * LANES + i < t.images;
}

INLINE float *value(const Tape &t, int64_t group, int64_t place) { return t.values + group * t.level + place; }
INLINE float *gradient(const Tape &t, int64_t group, int64_t place) { return t.gradients + group * t.level + place; }

INLINE int64_t row_of(const Tape &t, int64_t image) { return t.order ? t.order[image] : image; }

// Rows of features become lanes, with zeros where there are no images, or are added to them.
static void load(const Tape &t, const float *rows, int64_t features, float *values, int64_t place, bool add) {
  for (int64_t g = 0; g < t.groups; g++) {
    float *out = values + g * t.level + place;
    for (int64_t i = 0; i < LANES; i++) {
      const int64_t image = g * LANES + i;
      const float *row = image < t.images ? rows + row_of(t, image) * features : nullptr;
      for (int64_t f = 0; f < features; f++) {
        const float x = row ? row[f] : 0;
        out[f * LANES + i] = add ? out[f * LANES + i] + x : x;
      }
    }
  }
}

// And back.
static void store(const Tape &t, const float *values, int64_t place, int64_t features, float *rows) {
  for (int64_t image = 0; image < t.images; image++) {
    const float *in = values + image / LANES * t.level + place + image % LANES;
    for (int64_t f = 0; f < features; f++) rows[image * features + f] = in[f * LANES];
  }
}

// Weighted sums of the pixels that a list names: a layer's outputs, or the gradient of its inputs.
struct Sums {
  const float *in;
  float *out;
  int64_t inputs, in_plane, outputs, out_plane, pixels;
  const int32_t *starts, *reads, *taps_read;
  int64_t taps, width;                 // width: outputs, padded
  const float *weights, *bias;         // [input][tap][width]
  bool relu, add;
};

// T outputs from the m-th on, for all pixels and groups; the sums stay in registers.
template <int T>
INLINE void block(const Tape &t, const Sums &s, int64_t m) {
  const int64_t real = s.outputs - m < T ? s.outputs - m : T;
  for (int64_t g = 0; g < t.groups; g++)
    for (int64_t p = 0; p < s.pixels; p++)
      for (int64_t lane = 0; lane < LANES; lane += WIDTH) {
        Vector sums[T];
#pragma GCC unroll 16
        for (int k = 0; k < T; k++) sums[k] = s.bias && k < real ? all(s.bias[m + k]) : Vector{};
        const float *in = s.in + g * t.level + lane, *weights = s.weights + m;
        for (int64_t c = 0; c < s.inputs; c++, in += s.in_plane, weights += s.taps * s.width)
          for (int64_t l = s.starts[p]; l < s.starts[p + 1]; l++) {
            const Vector x = at(in + s.reads[l] * LANES);
            const float *weight = weights + s.taps_read[l] * s.width;
#pragma GCC unroll 16
            for (int k = 0; k < T; k++) sums[k] += weight[k] * x;
          }
        float *out = s.out + g * t.level + m * s.out_plane + p * LANES + lane;
#pragma GCC unroll 16
        for (int k = 0; k < T; k++)
          if (k < real) {
            Vector &place = *(Vector *)(out + k * s.out_plane);
            if (s.relu) sums[k] = larger(sums[k], Vector{});
            place = s.add ? place + sums[k] : sums[k];
          }
      }
}

// All outputs, in blocks of about one size.
static void weighted(const Tape &t, const Sums &s) {
  const int64_t blocks = (s.outputs + SUMS_FIT - 1) / SUMS_FIT, size = padded((s.outputs + blocks - 1) / blocks);
  for (int64_t m = 0; m < s.outputs; m += size) {
    const int64_t left = s.outputs - m < size ? s.outputs - m : size;
    if (SUMS_FIT >= 16 && left > 12)
      block<16>(t, s, m);
    else if (SUMS_FIT >= 16 && left > 8)
      block<12>(t, s, m);
    else if (left > 4)
      block<8>(t, s, m);
    else
      block<4>(t, s, m);
  }
}

// Weights [outputs][inputs][taps] as [input][tap][output], or with the roles of outputs and inputs changed.
static void turned(const Op &o, bool back, float *out, int64_t width) {
  const int64_t inputs = back ? o.out_channels : o.in_channels, outputs = back ? o.in_channels : o.out_channels;
  const int64_t step = back ? o.taps : o.in_channels * o.taps, jump = back ? o.in_channels * o.taps : o.taps;
  for (int64_t c = 0; c < inputs; c++)
    for (int64_t tap = 0; tap < o.taps; tap++, out += width) {
      const float *in = o.weight + c * jump + tap;
      for (int64_t m = 0; m < outputs; m++) out[m] = in[m * step];
      for (int64_t m = outputs; m < width; m++) out[m] = 0;
    }
}

static void weighted_forward(const Tape &t, const Op &o) {
  const int64_t width = padded(o.out_channels);
  turned(o, false, t.scratch, width);
  weighted(t, {t.values + o.in, t.values + o.out, o.in_channels, o.in_pixels * LANES, o.out_channels,
               o.out_pixels * LANES, o.out_pixels, o.starts, o.reads, o.taps_read, o.taps, width, t.scratch, o.bias,
               o.relu != 0, false});
}

// The sums of N vectors' elements.
template <int N>
INLINE void totals(const Vector *sums, float *found) {
  alignas(64) float parts[2][N * WIDTH];
  for (int k = 0; k < N; k++) *(Vector *)(parts[0] + k * WIDTH) = sums[k];
  int from = 0;
#pragma GCC unroll 4
  for (int size = N * WIDTH / 2; size >= N; size /= 2, from ^= 1)
    for (int i = 0; i < size; i++) parts[from ^ 1][i] = parts[from][2 * i] + parts[from][2 * i + 1];
  for (int k = 0; k < N; k++) found[k] = parts[from][k];
}

// The gradients of O x C neighbouring pairs of channels by one tap: sums over pixels and images.
template <int O, int C>
INLINE void products(const Tape &t, const Op &op, int64_t o, int64_t c, int64_t tap, int64_t first, int64_t last) {
  Vector sums[O * C] = {};
  const int64_t in_plane = op.in_pixels * LANES, out_plane = op.out_pixels * LANES;
  for (int64_t g = first; g < last; g++) {
    const float *x = value(t, g, op.in) + c * in_plane, *y = gradient(t, g, op.out) + o * out_plane;
    for (int64_t l = op.tap_starts[tap]; l < op.tap_starts[tap + 1]; l++)
      for (int64_t lane = 0; lane < LANES; lane += WIDTH) {
        const float *in = x + op.tap_ins[l] * LANES + lane, *out = y + op.tap_outs[l] * LANES + lane;
        Vector xs[C];
#pragma GCC unroll 4
        for (int j = 0; j < C; j++) xs[j] = at(in + j * in_plane);
#pragma GCC unroll 4
        for (int k = 0; k < O; k++) {
          const Vector d = at(out + k * out_plane);
#pragma GCC unroll 4
          for (int j = 0; j < C; j++) sums[k * C + j] += d * xs[j];
        }
      }
  }
  float found[O * C];
  totals<O * C>(sums, found);
  for (int k = 0; k < O; k++)
    for (int j = 0; j < C; j++) {
      float &place = op.weight_gradient[((o + k) * op.in_channels + c + j) * op.taps + tap];
      place = first ? place + found[k * C + j] : found[k * C + j];
    }
}

// The same by all taps, for so many groups at a time as the first cache holds.
template <int O, int C>
INLINE void products_of(const Tape &t, const Op &op, int64_t o, int64_t c) {
  const int64_t bytes = (O * op.out_pixels + C * op.in_pixels) * LANES * sizeof(float);
  const int64_t at_once = bytes < CACHE ? CACHE / bytes : 1;
  for (int64_t first = 0; first < t.groups; first += at_once) {
    const int64_t last = first + at_once < t.groups ? first + at_once : t.groups;
    for (int64_t tap = 0; tap < op.taps; tap++) products<O, C>(t, op, o, c, tap, first, last);
  }
}

template <int O>
INLINE void products_of_outputs(const Tape &t, const Op &op, int64_t o) {
  constexpr int C = SUMS_FIT / 4;
  int64_t c = 0;
  for (; c + C <= op.in_channels; c += C) products_of<O, C>(t, op, o, c);
  for (; c < op.in_channels; c++) products_of<O, 1>(t, op, o, c);
}

static void weighted_backward(const Tape &t, const Op &op) {
  if (op.bias_gradient)
    for (int64_t o = 0; o < op.out_channels; o++) {
      Vector sum{};
      for (int64_t g = 0; g < t.groups; g++) {
        const float *d = gradient(t, g, op.out) + o * op.out_pixels * LANES;
        for (int64_t i = 0; i < op.out_pixels * LANES; i += WIDTH) sum += at(d + i);
      }
      op.bias_gradient[o] = total(sum);
    }
  if (op.weight_gradient) {
    int64_t o = 0;
    for (; o + 4 <= op.out_channels; o += 4) products_of_outputs<4>(t, op, o);
    for (; o < op.out_channels; o++) products_of_outputs<1>(t, op, o);
  }
  if (!op.back) return;
  const int64_t width = padded(op.in_channels);
  turned(op, true, t.scratch, width);
  weighted(t, {t.gradients + op.out, t.gradients + op.in, op.out_channels, op.out_pixels * LANES, op.in_channels,
               op.in_pixels * LANES, op.in_pixels, op.back_starts, op.back_reads, op.back_taps, op.taps, width,
               t.scratch, nullptr, false, op.back == 2});
}

// Mean and variance of a channel over the images that there are.
INLINE void moments(const Tape &t, const Op &op, int64_t c, double count, double &mean, double &variance) {
  alignas(64) float lanes[LANES];
  double first = 0, second = 0;
  for (int pass = 0; pass < 2; pass++)
    for (int64_t g = 0; g < t.groups; g++) {
      filled(t, g, lanes);
      const float *x = value(t, g, op.in) + c * op.in_pixels * LANES;
      const Vector centre = all((float)(pass ? first / count : 0));
      Vector sum{};
      for (int64_t p = 0; p < op.in_pixels; p++)
        for (int64_t lane = 0; lane < LANES; lane += WIDTH) {
          const Vector v = (at(x + p * LANES + lane) - centre) * at(lanes + lane);
          sum += pass ? v * v : v;
        }
      (pass ? second : first) += total(sum);
    }
  mean = first / count;
  variance = second / count;
}

static void norm_forward(const Tape &t, const Op &op) {
  const double count = (double)t.images * op.in_pixels;
  for (int64_t c = 0; c < op.in_channels; c++) {
    double mean = op.mean[c], variance = op.variance[c];
    if (op.training) {
      moments(t, op, c, count, mean, variance);
      op.mean[c] = (float)((1 - op.momentum) * op.mean[c] + op.momentum * mean);
      op.variance[c] = (float)((1 - op.momentum) * op.variance[c] + op.momentum * variance * count / (count - 1));
    }
    const double root = 1 / __builtin_sqrt(variance + op.eps);
    op.saved[c] = (float)mean;
    op.saved[op.in_channels + c] = (float)root;
    const Vector scale = all((float)(op.weight ? op.weight[c] * root : root)), centre = all((float)mean);
    const Vector shift = all(op.bias ? op.bias[c] : 0);
    for (int64_t g = 0; g < t.groups; g++) {
      const float *in = value(t, g, op.in) + c * op.in_pixels * LANES;
      float *out = value(t, g, op.out) + c * op.in_pixels * LANES;
      for (int64_t i = 0; i < op.in_pixels * LANES; i += WIDTH) {
        const Vector y = (at(in + i) - centre) * scale + shift;
        *(Vector *)(out + i) = op.relu ? larger(y, Vector{}) : y;
      }
    }
  }
}

static void norm_backward(const Tape &t, const Op &op) {
  alignas(64) float lanes[LANES];
  const float count = (float)((double)t.images * op.in_pixels);
  for (int64_t c = 0; c < op.in_channels; c++) {
    const Vector mean = all(op.saved[c]), root = all(op.saved[op.in_channels + c]);
    Vector sum{}, product{};
    for (int64_t g = 0; g < t.groups; g++) {
      const float *x = value(t, g, op.in) + c * op.in_pixels * LANES;
      const float *d = gradient(t, g, op.out) + c * op.in_pixels * LANES;
      for (int64_t i = 0; i < op.in_pixels * LANES; i += WIDTH) {
        sum += at(d + i);
        product += at(d + i) * ((at(x + i) - mean) * root);
      }
    }
    const float sums = total(sum), products = total(product);
    if (op.weight_gradient) op.weight_gradient[c] = products;
    if (op.bias_gradient) op.bias_gradient[c] = sums;
    if (!op.back) continue;
    const Vector scale = op.weight ? all(op.weight[c]) * root : root;
    const Vector by_mean = all(op.training ? sums / count : 0), by_root = all(op.training ? products / count : 0);
    for (int64_t g = 0; g < t.groups; g++) {
      filled(t, g, lanes);
      const float *x = value(t, g, op.in) + c * op.in_pixels * LANES;
      const float *d = gradient(t, g, op.out) + c * op.in_pixels * LANES;
      float *back = gradient(t, g, op.in) + c * op.in_pixels * LANES;
      for (int64_t p = 0; p < op.in_pixels * LANES; p += LANES)
        for (int64_t lane = 0; lane < LANES; lane += WIDTH) {
          const int64_t i = p + lane;
          const Vector y = at(d + i) - by_mean - (at(x + i) - mean) * root * by_root;
          Vector &place = *(Vector *)(back + i);
          const Vector own = y * scale * at(lanes + lane);  // where there is no image, nothing may reach the layers before
          place = op.back == 2 ? place + own : own;
        }
    }
  }
}

// Every channel's pixels by their windows: the largest or the mean.
static void pooled_forward(const Tape &t, const Op &op) {
  for (int64_t g = 0; g < t.groups; g++)
    for (int64_t c = 0; c < op.in_channels; c++)
      for (int64_t p = 0; p < op.out_pixels; p++)
        for (int64_t lane = 0; lane < LANES; lane += WIDTH) {
          const float *in = value(t, g, op.in) + c * op.in_pixels * LANES + lane;
          const int64_t first = op.starts[p], last = op.starts[p + 1];
          Vector found = at(in + op.reads[first] * LANES);
          for (int64_t l = first + 1; l < last; l++) {
            const Vector x = at(in + op.reads[l] * LANES);
            found = op.kind == tape::LARGEST ? larger(found, x) : found + x;
          }
          if (op.kind == tape::AVERAGE) found *= all(1.0f / (last - first));
          *(Vector *)(value(t, g, op.out) + (c * op.out_pixels + p) * LANES + lane) = found;
        }
}

// Of several that are the largest, the first has the gradient.
static void pooled_backward(const Tape &t, const Op &op) {
  if (!op.back) return;
  for (int64_t g = 0; g < t.groups; g++)
    for (int64_t c = 0; c < op.in_channels; c++) {
      const float *in = value(t, g, op.in) + c * op.in_pixels * LANES;
      float *back = gradient(t, g, op.in) + c * op.in_pixels * LANES;
      if (op.back == 1) std::memset(back, 0, op.in_pixels * LANES * sizeof(float));
      for (int64_t p = 0; p < op.out_pixels; p++)
        for (int64_t lane = 0; lane < LANES; lane += WIDTH) {
          const int64_t first = op.starts[p], last = op.starts[p + 1];
          const int64_t place = (c * op.out_pixels + p) * LANES + lane;
          const Vector found = at(value(t, g, op.out) + place);
          Vector left = at(gradient(t, g, op.out) + place);
          if (op.kind == tape::AVERAGE) left *= all(1.0f / (last - first));
          for (int64_t l = first; l < last; l++) {
            Vector &own = *(Vector *)(back + op.reads[l] * LANES + lane);
            if (op.kind == tape::AVERAGE) {
              own += left;
              continue;
            }
            const auto here = at(in + op.reads[l] * LANES + lane) == found;
            own += here ? left : Vector{};
            left = here ? Vector{} : left;
          }
        }
    }
}

static void elementwise_forward(const Tape &t, const Op &op) {
  for (int64_t g = 0; g < t.groups; g++) {
    const float *in = value(t, g, op.in), *other = op.kind == tape::ADD ? value(t, g, op.other) : nullptr;
    float *out = value(t, g, op.out);
    for (int64_t i = 0; i < op.in_channels * op.in_pixels * LANES; i += WIDTH) {
      const Vector y = other ? at(in + i) + at(other + i) : at(in + i);
      *(Vector *)(out + i) = op.relu ? larger(y, Vector{}) : y;
    }
  }
}

INLINE void passed(const Tape &t, const Op &op, int64_t to, int64_t back) {
  if (!back) return;
  for (int64_t g = 0; g < t.groups; g++) {
    const float *d = gradient(t, g, op.out);
    float *own = gradient(t, g, to);
    for (int64_t i = 0; i < op.in_channels * op.in_pixels * LANES; i += WIDTH)
      *(Vector *)(own + i) = back == 2 ? at(own + i) + at(d + i) : at(d + i);
  }
}

// What a ReLU cut off has no gradient.
INLINE void gated(const Tape &t, const Op &op) {
  for (int64_t g = 0; g < t.groups; g++) {
    const float *out = value(t, g, op.out);
    float *d = gradient(t, g, op.out);
    for (int64_t i = 0; i < op.out_channels * op.out_pixels * LANES; i += WIDTH)
      *(Vector *)(d + i) = at(out + i) > 0 ? at(d + i) : Vector{};
  }
}

// Cross-entropy with the labels, and its gradient by every class.
static void classes_backward(const Tape &t, const Op &op) {
  const int64_t classes = op.in_channels;
  for (int64_t image = 0; image < t.groups * LANES; image++) {
    const int64_t place = op.in + image % LANES, group = image / LANES;
    const float *x = value(t, group, place);
    float *d = gradient(t, group, place);
    const bool real = image < t.images;
    float most = x[0], sum = 0;
    for (int64_t c = 1; c < classes; c++) most = x[c * LANES] > most ? x[c * LANES] : most;
    for (int64_t c = 0; real && c < classes; c++) sum += __builtin_expf(x[c * LANES] - most);
    const int64_t label = real ? op.labels[row_of(t, image)] : 0;
    for (int64_t c = 0; c < classes; c++) {
      const float chance = real ? __builtin_expf(x[c * LANES] - most) / sum : 0;
      const float own = real ? (chance - (c == label)) / t.images : 0;
      d[c * LANES] = op.back == 2 ? d[c * LANES] + own : own;
    }
    if (real) *t.loss += (__builtin_log(sum) + most - x[label * LANES]) / t.images;
  }
}

// The mean squared distance to rows, times alpha, and its gradient.
static void distance_backward(const Tape &t, const Op &op) {
  const int64_t features = op.in_channels * op.in_pixels;
  const double share = op.alpha / ((double)t.images * features);
  for (int64_t image = 0; image < t.groups * LANES; image++) {
    const int64_t place = op.in + image % LANES, group = image / LANES;
    const float *x = value(t, group, place);
    const float *wanted = image < t.images ? op.rows + row_of(t, image) * features : nullptr;
    float *d = gradient(t, group, place);
    double sum = 0;
    for (int64_t f = 0; f < features; f++) {
      const float away = wanted ? x[f * LANES] - wanted[f] : 0, own = (float)(2 * share) * away;
      sum += away * away;
      d[f * LANES] = op.back == 2 ? d[f * LANES] + own : own;
    }
    *t.loss += share * sum;
  }
}

static void forwards(const Tape &t) {
  for (int64_t i = 0; i < t.count; i++) {
    const Op &op = t.ops[i];
    switch (op.kind) {
      case tape::LOAD: load(t, op.rows, op.out_channels * op.out_pixels, t.values, op.out, false); break;
      case tape::WEIGHTED: weighted_forward(t, op); break;
      case tape::NORM: norm_forward(t, op); break;
      case tape::LARGEST:
      case tape::AVERAGE: pooled_forward(t, op); break;
      case tape::STORE: store(t, t.values, op.in, op.in_channels * op.in_pixels, op.rows); break;
      case tape::CLASSES:
      case tape::DISTANCE: break;
      default: elementwise_forward(t, op);
    }
  }
}

static void backwards(const Tape &t) {
  for (int64_t i = t.count - 1; i >= 0; i--) {
    const Op &op = t.ops[i];
    if (op.relu) gated(t, op);
    switch (op.kind) {
      case tape::LOAD:
        if (op.rows_gradient) store(t, t.gradients, op.out, op.out_channels * op.out_pixels, op.rows_gradient);
        break;
      case tape::WEIGHTED: weighted_backward(t, op); break;
      case tape::NORM: norm_backward(t, op); break;
      case tape::LARGEST:
      case tape::AVERAGE: pooled_backward(t, op); break;
      case tape::STORE:
        if (op.back)
          load(t, op.rows_gradient, op.in_channels * op.in_pixels, t.gradients, op.in, op.back == 2);
        break;
      case tape::CLASSES: classes_backward(t, op); break;
      case tape::DISTANCE: distance_backward(t, op); break;
      default:
        passed(t, op, op.in, op.back);
        if (op.kind == tape::ADD) passed(t, op, op.other, op.other_back);
    }
  }
}

// A step of SGD for one parameter, as torch's.
static void step(const tape::Learned &l, float rate, float momentum, float decay) {
  for (int64_t i = 0; i < l.size; i++) {
    const float velocity = momentum * l.velocity[i] + (l.gradient[i] + decay * l.value[i]);
    l.velocity[i] = velocity;
    l.value[i] -= rate * velocity;
  }
  for (int64_t i = 0; l.kept && i < l.size; i++) l.value[i] *= l.kept[i];
}

static void train(const Tape &whole, const tape::Training &training) {
  for (int64_t s = 0; s < training.steps; s++) {
    Tape t = whole;
    t.images = training.bounds[s + 1] - training.bounds[s];
    t.groups = (t.images + LANES - 1) / LANES;
    t.order = training.order + training.bounds[s];
    t.loss = training.losses + s;
    forwards(t);
    backwards(t);
    for (int64_t i = 0; i < training.parameters; i++)
      step(training.learned[i], (float)training.rates[s], (float)training.momentum, (float)training.decay);
  }
}

}  // namespace gradients
