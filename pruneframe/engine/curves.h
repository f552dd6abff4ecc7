// Activations that take more than a comparison, included by steps.h: each is a type with `of(values, setting)`.

typedef int32_t Integers __attribute__((vector_size(WIDTH * 4), aligned(WIDTH * 4)));

INLINE Vector smaller(Vector a, Vector b) { return a < b ? a : b; }

// 2^n exp(r) = exp(x): n, and r within ln 2 / 2 of 0 (Cody and Waite, 1980).
INLINE Vector reduced(Vector x, Integers *n) {
  const Vector magic = all(12582912.0f), turns = x * 1.44269504088896341f + magic;  // rounds to whole numbers
  *n = (Integers)turns - (Integers)magic;
  const Vector whole = turns - magic;
  return (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
}

INLINE Vector power(Integers n) { return (Vector)((n + 127) << 23); }

// (exp(r) - 1 - r) / r^2 for small r.
INLINE Vector rest(Vector r) {
  Vector p = all(1.0f / 5040);
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  return p * r + 0.5f;
}

INLINE Vector exponential(Vector x) {
  x = larger(smaller(x, all(88.0f)), all(-87.0f));
  Integers n;
  const Vector r = reduced(x, &n);
  return (r * r * rest(r) + r + 1.0f) * power(n);
}

// exp(x) - 1 without losing what is small.
INLINE Vector exponential_less_one(Vector x) {
  x = larger(smaller(x, all(88.0f)), all(-87.0f));
  Integers n;
  const Vector r = reduced(x, &n), scale = power(n);
  return (r * r * rest(r) + r) * scale + (scale - 1.0f);
}

INLINE Vector logistic(Vector x) {
  const Vector e = exponential(-x);
  return 1.0f / (1.0f + e);
}

struct LeakyRelu {
  INLINE Vector of(Vector x, float bend) { return x > 0 ? x : x * bend; }
};
struct Hardsigmoid {
  INLINE Vector of(Vector x, float) { return larger(smaller(x + 3.0f, all(6.0f)), Vector{}) * (1.0f / 6); }
};
struct Hardswish {
  INLINE Vector of(Vector x, float bend) { return x * Hardsigmoid::of(x, bend); }
};
struct Sigmoid {
  INLINE Vector of(Vector x, float) { return logistic(x); }
};
struct Silu {
  INLINE Vector of(Vector x, float) { return x * logistic(x); }
};
struct GeluTanh {  // (1 + tanh u) / 2 is the logistic function of 2u
  INLINE Vector of(Vector x, float) { return x * logistic(1.5957691216057308f * (x + 0.044715f * x * x * x)); }
};
struct Elu {
  INLINE Vector of(Vector x, float bend) { return x > 0 ? x : bend * exponential_less_one(x); }
};
struct Tanh {
  INLINE Vector of(Vector x, float) {
    const Vector e = exponential_less_one(-2.0f * larger(smaller(x, all(20.0f)), all(-20.0f)));
    return -e / (e + 2.0f);
  }
};
struct Gelu {
  // The normal distribution's tail beyond |x| is exp(-x^2 / 2) times a polynomial in t, fitted by least squares with the
  // relative error levelled out; that is below 1e-8.
  INLINE Vector of(Vector x, float) {
    const Vector distance = larger(x, -x), t = 1.0f / (1.0f + 0.282842712474619f * distance);
    Vector tail = all(-0.015298482f);
    tail = tail * t + 0.10174182802438736f;
    tail = tail * t - 0.25587108731269836f;
    tail = tail * t + 0.282390296459198f;
    tail = tail * t - 0.14944405853748322f;
    tail = tail * t + 0.13995949923992157f;
    tail = tail * t + 0.06347102671861649f;
    tail = tail * t + 0.107755646109581f;
    tail = tail * t + 0.11243999749422073f;
    tail = tail * t + 0.11285533010959625f;
    tail = tail * t * exponential(-0.5f * distance * distance);
    return x * (x > 0 ? 1.0f - tail : tail);
  }
};
