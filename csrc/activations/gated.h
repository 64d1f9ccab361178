// The self-gated activations: x times a smooth step of x. Below 0 each is written with the exponential as a factor of
// the whole, so the tails keep their last bit.
#pragma once

#include "../math/logistic.h"
#include "../math/normal.h"

namespace act_ext {

// x sigmoid(z), z of the magnitude of x or larger where x is large.
template <class V, class X>
ACT_FN V logistic_gate(V x, X z) {
  const auto s = logistic(z);
  // Where the gate is 0 after any rounding, x must not outweigh it.
  const V bounded = select(head(z) < V(-exp_limit<V>), copysign(V(1), x), x);
  return s.times_top(bounded, s.denominator);
}

// The slope of x sigmoid(z): s(z) (1 + w s(-z)) with w = x dz/dx.
template <class V, class X>
ACT_FN V logistic_gate_slope(V w, X z) {
  const auto s = logistic(z);
  const V bounded = clamp(w, V(-4 * exp_limit<V>), V(4 * exp_limit<V>));
  // (1 + e)^2 = 1 + e (2 + e), with one rounding that counts.
  return s.times_top(fma(bounded, s.other, s.denominator), fma(s.e, V(2) + s.e, V(1)));
}

template <class V>
struct Silu {
  static constexpr Spec spec{
      .name = "silu", .params = "", .formula = "x * sigmoid(x)", .paper = "arXiv:1702.03118", .heavy = true};
  ACT_FN V forward(V x) const { return logistic_gate(x, x); }
  ACT_FN V slope(V x) const { return logistic_gate_slope(x, x); }
};

template <class V>
struct Swish {
  static constexpr Spec spec{.name = "swish",
                             .params = "float beta=1.0",
                             .formula = "x * sigmoid(beta * x)",
                             .paper = "arXiv:1710.05941",
                             .heavy = true};
  V beta;
  ACT_FN V forward(V x) const { return logistic_gate(x, product(beta, x)); }
  ACT_FN V slope(V x) const {
    const auto z = product(beta, x);
    return logistic_gate_slope(z.hi, z);
  }
};

template <class V>
struct QuickGelu {
  static constexpr Spec spec{.name = "quick_gelu",
                             .params = "",
                             .formula = "x * sigmoid(1.702 * x)",
                             .paper = "arXiv:1606.08415",
                             .heavy = true};
  ACT_FN V forward(V x) const { return logistic_gate(x, argument(x)); }
  ACT_FN V slope(V x) const {
    const auto z = argument(x);
    return logistic_gate_slope(z.hi, z);
  }

 private:
  ACT_FN static Pair<V> argument(V x) { return product(constant_pair<V>(1.702), x); }
};

template <class V>
struct Gelu {
  static constexpr Spec spec{.name = "gelu",
                             .params = "*, str approximate='none'",
                             .formula = "0.5 * x * erfc(-x * sqrt(0.5))",
                             .paper = "arXiv:1606.08415",
                             .heavy = true};
  ACT_FN V forward(V x) const {
    const auto t = normal_tail(x);
    return at_least(x, V(-0.0)) - t.times(t.a * t.numerator);
  }
  ACT_FN V slope(V x) const {
    const auto t = normal_tail(x);
    const V density = t.a * V(0.398942280401432677939946);  // 1 / sqrt(2 pi)
    const V tail = t.times(fma(-density, t.denominator, t.numerator));
    return select(x < V(0), tail, keep_nan(x, V(1) - tail));
  }
};

template <class V>
struct GeluTanh {
  static constexpr Spec spec{.name = "gelu_tanh",
                             .params = "",
                             .formula = "x * sigmoid(sqrt(8 / pi) * (x + 0.044715 * x**3))",
                             .paper = "arXiv:1606.08415",
                             .heavy = true};
  ACT_FN V forward(V x) const { return logistic_gate(x, argument(x)); }
  ACT_FN V slope(V x) const {
    // x dz/dx = x (linear + 3 cubic x^2)
    return logistic_gate_slope(x * fma(V(3 * cubic), x * x, V(linear)), argument(x));
  }

 private:
  // 0.5 (1 + tanh(u)) = sigmoid(2 u) with 2 u = linear x + cubic x^3, in two words.
  static constexpr double linear = 0x1.9884533d43651p+0, linear_rest = -0x1.cbc0d30ebfd15p-54;
  static constexpr double cubic = 0x1.2444f2a4d8b4bp-4, cubic_rest = -0x1.6c843a29d1c70p-61;
  ACT_FN static Pair<V> argument(V x) {
    const auto c1 = constant_pair<V>(linear, linear_rest);
    const auto c3 = constant_pair<V>(cubic, cubic_rest);
    const auto square = product(x, x);
    const auto curved = product(c3, square.hi);
    const auto total = sum(c1.hi, curved.hi);
    const V rest = total.lo + (c1.lo + fma(c3.hi, square.lo, curved.lo));
    return product(Pair<V>{total.hi, rest}, x);
  }
};

template <class V>
struct Mish {
  static constexpr Spec spec{.name = "mish",
                             .params = "",
                             .formula = "x * tanh(logaddexp(zeros_like(x), x))",
                             .paper = "arXiv:1908.08681",
                             .heavy = true};
  // With e = e^-|x|: tanh(softplus(x)) = m / d, below 0 with a factor e before it.
  ACT_FN V forward(V x) const {
    const auto s = logistic(x);
    const auto [bounded, m, d] = parts(x, s);
    return s.times_top(bounded * m, d);
  }
  ACT_FN V slope(V x) const {
    const auto s = logistic(x);
    const auto [bounded, m, d] = parts(x, s);
    const V bend = V(4) * select(s.negative, V(1), s.e * s.e) * (V(1) + s.e);
    return s.times_top(fma(at_most(bounded, V(exp_limit<V>)), bend, m * d), d * d);
  }

 private:
  struct Parts {
    V bounded, m, d;
  };
  ACT_FN static Parts parts(V x, const Logistic<V>& s) {
    // Below the limit the result is -0, which an infinite x must not outweigh.
    const V bounded = at_least(x, V(-exp_limit<V>));
    const V m = select(s.negative, V(2) + s.e, fma(V(2), s.e, V(1)));
    return {bounded, m, select(s.negative, fma(s.e, m, V(2)), fma(V(2) * s.e, s.e, m))};
  }
};

using Gated = List<Silu, Swish, QuickGelu, Gelu, GeluTanh, Mish>;

}  // namespace act_ext
