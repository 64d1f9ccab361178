// The S-shaped activations and the integrals and complements that share their arithmetic.
#pragma once

#include <limits>

#include "../math/logistic.h"

namespace act_ext {

template <class V>
struct Sigmoid {
  static constexpr Spec spec{
      .name = "sigmoid",
      .params = "",
      .formula = "1 / (1 + exp(-x))",
      .derivative = "sigmoid(x) * sigmoid(-x)",
      .paper = "doi:10.1038/323533a0",
      .facts = Facts{.infimum = 0, .supremum = 1, .zero_centred = false, .saturates = Saturates::both},
      .saves = Saves::result,
      .heavy = true};
  ACT_FN V forward(V x) const { return sigmoid(x); }
  ACT_FN Near<V> near_forward(V x) const { return in_pieces_below<SigmoidBelow>(x); }
  ACT_FN V slope(V y) const { return y * (V(1) - y); }
};

template <class V>
struct SigmoidIn16Bits : Sigmoid<V> {
  ACT_FN Near<V> near_forward(V x) const { return in_pieces_below<SigmoidBelowIn16Bits>(x); }
};
template <>
struct In16Bits<Sigmoid> : ByAnother<SigmoidIn16Bits> {};

template <class V>
struct Logsigmoid {
  static constexpr Spec spec{.name = "logsigmoid",
                             .params = "",
                             .formula = "-logaddexp(zeros_like(x), -x)",
                             .derivative = "sigmoid(-x)",
                             .paper = "",
                             .facts = Facts{.supremum = 0, .zero_centred = false, .saturates = Saturates::above},
                             .heavy = true};
  ACT_FN V forward(V x) const {
    const auto logarithm = log1p_of_inverse(exp_ratio(at_most(abs(x), V(bottom_zero<V>))));
    return (at_most(x, V(0)) - logarithm.hi) - logarithm.lo;
  }
  ACT_FN Near<V> near_forward(V x) const {
    const auto logarithm = SoftplusBelow::at(minus_abs(x));
    const auto total = sum(at_most(x, V(0)), -logarithm.hi);
    return {abs(x) < V(-SoftplusBelow::low), total.hi + (total.lo - logarithm.lo)};
  }
  ACT_FN V slope(V x) const { return sigmoid_of_minus(x); }
};

// The slope is as fast as the native one, which has its exponential from forward.
template <class V>
struct LogsigmoidIn16Bits : Logsigmoid<V> {
  ACT_FN Near<V> near_forward(V x) const {
    const V a = minus_abs(x);
    return {a > V(SoftplusBelowIn16Bits::low), at_most(x, V(0)) - SoftplusBelowIn16Bits::at(a)};
  }
  ACT_FN V slope(V x) const { return sigmoid_of_minus_in_16_bits(x); }
};
template <>
struct In16Bits<Logsigmoid> : ByAnother<LogsigmoidIn16Bits> {};

template <class V>
struct Tanh {
  static constexpr Spec spec{.name = "tanh",
                             .params = "",
                             .formula = "tanh(x)",
                             .derivative = "1 / cosh(x)**2",
                             .paper = "doi:10.1007/978-3-642-35289-8_3",
                             .facts = Facts{.infimum = -1, .supremum = 1, .saturates = Saturates::both},
                             .saves = Saves::result,
                             .heavy = true};
  ACT_FN V forward(V x) const { return tanh(x); }
  ACT_FN V slope(V y) const { return fma(-y, y, V(1)); }
};

template <class V>
struct Tanhshrink {
  static constexpr Spec spec{.name = "tanhshrink",
                             .params = "",
                             .formula = "x - tanh(x)",
                             .derivative = "tanh(x)**2",
                             .paper = "",
                             .facts = Facts{},
                             .heavy = true};
  ACT_FN V forward(V x) const {
    // Above 1 a sum of positive terms.
    const V a = abs(x), above = (a - V(1)) + complement(a);
    return select(a > V(1), copysign(above, x), tanh_defect(x));
  }
  ACT_FN Near<V> near_forward(V x) const {
    const V a = abs(x);
    return {a < V(TanhDefect::high), rounded_product(x, product(product(x, x), TanhDefect::at(a)))};
  }
  ACT_FN V slope(V x) const { return tanh_squared(x); }

 private:
  // 1 - tanh(a)
  ACT_FN static V complement(V a) { return V(2) * sigmoid_of_minus(a + a); }
};

template <class V>
struct TanhshrinkIn16Bits : Tanhshrink<V> {
  ACT_FN Near<V> near_forward(V x) const {
    const V a = abs(x);
    return {a < V(TanhDefectIn16Bits::high), x * (x * x * TanhDefectIn16Bits::at(a))};
  }
  // From 4.852 on it is rounded to 1.
  ACT_FN V slope(V x) const {
    static_assert(TanhSquaredOverIn16Bits::high > 4.86);
    const V a = at_most(abs(x), V(TanhSquaredOverIn16Bits::high));
    return a * TanhSquaredOverIn16Bits::at(a);
  }
};
template <>
struct In16Bits<Tanhshrink> : ByAnother<TanhshrinkIn16Bits> {};

template <class V>
struct Softsign {
  static constexpr Spec spec{
      .name = "softsign",
      .params = "",
      .formula = "x / (1 + abs(x))",
      .derivative = "1 / (1 + abs(x))**2",
      .paper = "https://proceedings.mlr.press/v9/glorot10a.html",
      .facts = Facts{.infimum = -1, .supremum = 1, .saturates = Saturates::both, .smoothness = 1},
      .heavy = true};
  ACT_FN V forward(V x) const {
    // At this bound the quotient is 1 already, and inf / inf does not arise.
    const V a = at_most(abs(x), V(1e30));
    return copysign(divided(Pair<V>{a, V(0)}, sum_of_ordered(V(1), a)), x);
  }
  ACT_FN V slope(V x) const {
    // Squared after the division: the square of 1 + |x| would overflow. That of the bound's inverse is 0.
    const auto s =
        quotient(Pair<V>{V(1), V(0)}, sum_of_positive(V(1), at_most(abs(x), V(is_single<V> ? 1e30 : 1e170))));
    return fma(s.hi, s.hi, V(2) * s.hi * s.lo);
  }
};

template <class V>
struct Softplus {
  static constexpr Spec spec{
      .name = "softplus",
      .params = "float beta=1.0, float threshold=20.0",
      .formula = "where(beta * x > threshold, x, logaddexp(zeros_like(x), beta * x) / beta)",
      .derivative = "where(beta * x > threshold, 1, sigmoid(beta * x))",
      .paper = "https://proceedings.neurips.cc/paper/2000/hash/44968aece94f667e4095002d140b5896-Abstract.html",
      // At a finite threshold it jumps, by 2e-9 at the default one.
      .facts = Facts{.infimum = 0, .zero_centred = false, .saturates = Saturates::below, .at = "threshold=inf"},
      .heavy = true};
  V beta, threshold;
  ACT_FN V forward(V x) const {
    const auto above = clamped(product(abs(beta), abs(x)), V(0), V(bottom_zero<V>));
    return with_logarithm(x, log1p_of_inverse(exp_ratio(above)));
  }
  ACT_FN Near<V> near_forward(V x) const {
    const auto above = product(abs(beta), abs(x));
    return {above.hi < V(-SoftplusBelow::low), with_logarithm(x, SoftplusBelow::at(-above))};
  }
  ACT_FN V slope(V x) const {
    const auto z = product(beta, x);
    return select(z.hi > threshold, V(1), sigmoid(z));
  }
  ACT_FN Near<V> near_slope(V x) const {
    const auto z = product(beta, x);
    const auto near = in_pieces_below<SigmoidBelow>(z);
    return {near.holds, select(z.hi > threshold, V(1), near.value)};
  }

 protected:
  // Given log(1 + e^-|beta x|).
  ACT_FN V with_logarithm(V x, V logarithm) const {
    // By halves: 1 / beta may overflow where the result does not.
    const V z = beta * x, inverse = V(0.5) / beta;
    return select(z > threshold, x, fma(logarithm + logarithm, inverse, where(z > V(0), x)));
  }
  ACT_FN V with_logarithm(V x, Pair<V> logarithm) const {
    const V z = beta * x;
    // 1 / beta in two words, by halves: it is finite wherever the result is. Elsewhere the largest number does, without
    // a second word.
    const V inverse = clamp(V(0.5) / beta, V(-largest), V(largest));
    const V rounding = fma(-inverse, beta, V(0.5)) / beta;
    const V rest = where(abs(rounding) < abs(inverse), rounding);
    const auto [hi, lo] = twice(logarithm);
    const V curve = fma(hi, inverse, fma(hi, rest, fma(lo, inverse, where(z > V(0), x))));
    return select(z > threshold, x, curve);
  }

 private:
  static constexpr double largest = std::numeric_limits<Scalar<V>>::max();
};

template <class V>
struct SoftplusIn16Bits : Softplus<V> {
  ACT_FN Near<V> near_forward(V x) const {
    const V z = minus_abs(this->beta * x);
    return {z > V(SoftplusBelowIn16Bits::low), this->with_logarithm(x, SoftplusBelowIn16Bits::at(z))};
  }
  ACT_FN Near<V> near_slope(V x) const {
    const auto z = product(this->beta, x);
    const auto near = in_pieces_below<SigmoidBelowIn16Bits>(z);
    return {near.holds, select(z.hi > this->threshold, V(1), near.value)};
  }
};
template <>
struct In16Bits<Softplus> : ByAnother<SoftplusIn16Bits> {};

using Sigmoidal = List<Sigmoid, Logsigmoid, Tanh, Tanhshrink, Softsign, Softplus>;

}  // namespace act_ext
