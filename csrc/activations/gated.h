// The self-gated activations: x times a smooth step of x. Below 0 each is written with the exponential as a factor of
// the whole, so the tails keep their last bit.
#pragma once

#include "../math/logistic.h"
#include "../math/normal.h"

namespace act_ext {

// x times a smooth step falls from 0 to a dip, and from there it rises.
constexpr Facts with_dip(double infimum, double minimum_at) {
  return {.infimum = infimum, .minimum_at = minimum_at, .monotonic = false, .saturates = Saturates::below};
}

// x sigmoid(z), given e^-z: x is multiplied by a power of 2 and divided by a sum. Unless it is asked to be exact but
// for little more than one rounding, the sum is rounded too.
template <bool kExact, class V>
ACT_FN V logistic_gate(V x, ExpRatio<V> e) {
  if constexpr (kExact) {
    return divided(Pair<V>{x * e.bottom, V(0)}, e.denominator());
  } else {
    return x * e.bottom / e.sum;
  }
}

// The slope of x sigmoid(z) for a z proportional to x: s(z) (1 + z s(-z)). z a V or a Pair.
template <class X>
ACT_FN auto logistic_gate_slope(X z) {
  using V = decltype(head(z));
  const auto s = logistic(z);
  const auto bounded = in_two_words(clamped(z, V(-exp_limit<V>), V(exp_limit<V>)));
  return s.times_top(top_factor(bounded, s.other, s.denominator), in_two_words(squared_denominator(s.e)));
}

// Of x sigmoid(z) by pieces, given `tail`, sigmoid(-|z|), and w = -|x dz/dx|, each a V or a Pair: below 0 value and
// slope are x tail and tail (1 + w (1 - tail)), above 0 they are x and 1 less those.
template <class V, class T, class W>
ACT_FN ValueAndSlope<V> gate_and_slope_by_tail(V x, MaskOf<V> below, T tail, W w) {
  // 1 + w is exact from where the slope changes its sign to where it is small.
  V one_and_w = fma(-head(w), head(tail), V(1) + head(w));
  if constexpr (!std::is_same_v<W, V>) one_and_w = fma(w.lo, V(1) - head(tail), one_and_w);
  const V value = fma(select(below, x, -x), head(tail), unless(below, x));
  V slope = one_and_w * head(tail);
  if constexpr (!std::is_same_v<T, V>) slope = rounded_product(one_and_w, tail);
  return {copysign(value, x), select(below, slope, V(1) - slope)};
}

// Of x sigmoid(z) for an odd function z of x, given w = -|x dz/dx|, 1 + w, and `bounded`: -|x|, or |x| where z falls,
// no larger than where sigmoid(-|z|) becomes 0. Above 0 value and slope are x and 1 less those below. z a V or a Pair.
template <class V, class X>
ACT_FN ValueAndSlope<V> logistic_gate_and_slope(V x, X z, V w, Pair<V> one_and_w, V bounded) {
  const auto above = head(z) >= V(0);
  const ExpRatio<V> e = exp_ratio(-folded(z, bottom_zero<V>));
  const V inverse = act_ext::inverse(e.quick_denominator());
  // Small results may be subnormal: the power of 2 comes last.
  const V slope = (one_and_w.hi + fma(-w, e.bottom * inverse, one_and_w.lo)) * inverse * e.bottom;
  return {fma(bounded * e.bottom, inverse, select(above, x, V(-0.0))), select(above, V(1) - slope, slope)};
}
// The same for a z that is proportional to x: w is -|z|.
template <class V>
ACT_FN ValueAndSlope<V> logistic_gate_and_slope(V x, Pair<V> z, V bounded) {
  const auto w = folded(z, bottom_zero<V>);
  return logistic_gate_and_slope(x, z, w.hi, sum_of_ordered(V(1), w), bounded);
}

template <class V>
struct Silu {
  static constexpr Spec spec{.name = "silu",
                             .params = "",
                             .formula = "x * sigmoid(x)",
                             .derivative = "sigmoid(x) * (1 + x * sigmoid(-x))",
                             .paper = "arXiv:1702.03118",
                             .facts = with_dip(-0.27846454276107380, -1.2784645427610738),
                             .heavy = true};
  ACT_FN V forward(V x) const { return gate<false>(x); }
  // For units, which round it once more.
  ACT_FN V exact_forward(V x) const { return gate<true>(x); }
  ACT_FN V slope(V x) const { return logistic_gate_slope(x); }
  ACT_FN Near<V> near_slope(V x) const { return in_pieces_below<SiluSlopeBelow>(x); }
  ACT_FN Near<V, ValueAndSlope<V>> near_value_and_slope(V x) const {
    const V a = minus_abs(x);
    return {a > V(SigmoidBelow::low), gate_and_slope_by_tail(x, x < V(0), SigmoidBelow::at(a), a)};
  }
  ACT_FN ValueAndSlope<V> value_and_slope(V x) const {
    const V bounded = folded(x, bottom_zero<V>);
    return logistic_gate_and_slope(x, x, bounded, sum_of_ordered(V(1), bounded), bounded);
  }

 private:
  template <bool kExact>
  ACT_FN V gate(V x) const {
    const V above = at_least(x, V(-bottom_zero<V>));
    return select(x < V(sigmoid_is_one<V>), logistic_gate<kExact>(above, exp_ratio(-above)), x);
  }
};

template <class V, int kBits>
struct SiluIn16Bits : Silu<V> {
  ACT_FN Near<V> near_forward(V x) const { return times_pieces_below<SiluGateBelowIn16Bits, kBits>(x); }
  ACT_FN Near<V> near_slope(V x) const { return in_pieces_below<SiluSlopeBelowIn16Bits>(x); }
  ACT_FN Near<V, ValueAndSlope<V>> near_value_and_slope(V x) const {
    const V a = minus_abs(x);
    return {a > V(SiluGateBelowIn16Bits::low), gate_and_slope_by_tail(x, x < V(0), SiluGateBelowIn16Bits::at(a), a)};
  }
};
template <>
struct In16Bits<Silu> : ByAnotherForBits<SiluIn16Bits> {};

template <class V>
struct Swish {
  static constexpr Spec spec{.name = "swish",
                             .params = "float beta=1.0",
                             .formula = "x * sigmoid(beta * x)",
                             .derivative = "sigmoid(beta * x) * (1 + beta * x * sigmoid(-beta * x))",
                             .paper = "arXiv:1710.05941",
                             .facts = Silu<double>::spec.facts,
                             .heavy = true};
  V beta;
  // Or, for floats, a factor times that: it comes first, because the value may be subnormal.
  template <bool kExact = has_pieces<V>, class... Factor>
  ACT_FN V forward(V x, Factor... factor) const {
    const auto z = product(beta, x);
    // Where the gate is 0 after any rounding, x must not outweigh it.
    const V bounded = select(z.hi < V(-exp_limit<V>), copysign(V(0), x), x);
    return select(z.hi > V(sigmoid_is_one<V>), rounded(times(x, factor...)),
                  gate<kExact>(times(bounded, factor...), z));
  }
  ACT_FN Near<V> near_forward(V x) const {
    // x s(z), above 0 as x - x s(-z).
    const auto z = product(beta, x);
    const auto below = z.hi < V(0);
    const V value = sum_with_product(unless(below, x), select(below, x, -x), SigmoidBelow::at(minus_abs(z)));
    return {abs(z.hi) < V(-SigmoidBelow::low), copysign(value, x)};
  }
  ACT_FN Near<V> near_forward(V x, Pair<V> factor) const {
    const auto z = product(beta, x), top = times(x, factor);
    const auto below = z.hi < V(0);
    const auto tail = SigmoidBelow::at(minus_abs(z));
    const V part = select(below, top.hi, -top.hi), share = select(below, tail.hi, V(1) - tail.hi);
    const auto value = step(part, tail.hi, unless(below, top.hi));
    const V rest = fma(top.lo, share, fma(part, tail.lo, value.lo));
    const MaskOf<V> holds = (abs(z.hi) < V(-SigmoidBelow::low)) & (abs(top.hi) < V(inf));
    return {holds, copysign(value.hi + rest, top.hi)};
  }
  ACT_FN V slope(V x) const { return logistic_gate_slope(product(beta, x)); }
  ACT_FN Near<V> near_slope(V x) const { return in_pieces_below<SiluSlopeBelow>(product(beta, x)); }
  ACT_FN Near<V, ValueAndSlope<V>> near_value_and_slope(V x) const {
    const auto z = product(beta, x), w = minus_abs(z);
    return {w.hi > V(SigmoidBelow::low), gate_and_slope_by_tail(x, z.hi < V(0), SigmoidBelow::at(w), w)};
  }
  ACT_FN ValueAndSlope<V> value_and_slope(V x) const {
    const auto z = product(beta, x);
    const V bounded = clamp(x, V(-gate_zero<V>), V(gate_zero<V>));
    const auto quick = logistic_gate_and_slope(x, z, select(z.hi < V(0), bounded, -bounded));
    // Next to subnormal numbers what rounds off shows.
    const MaskOf<V> holds = (abs(beta) >= V(1)) & (z.hi > V(-small_gate<V>));
    return {AtOnce()(Near<V>{holds, quick.value}, x, [this](V x) { return forward(x); }),
            AtOnce()(Near<V>{holds, quick.slope}, x, [this](V x) { return slope(x); })};
  }

 private:
  ACT_FN static Pair<V> times(V x) { return {x, V(0)}; }
  ACT_FN static Pair<V> times(V x, Pair<V> factor) { return product(factor, x); }
  // x / (1 + e^-z), a power of 2 divided out of the sum.
  template <bool kExact>
  ACT_FN static V gate(Pair<V> x, Pair<V> z) {
    const Exp<V> e = exp_parts(clamped(-z, V(-sigmoid_is_one<V>), V(exp_limit<V>)));
    const Power<V> power(-e.n);
    const V unit = scale(V(1), power), both = V(1) + unit;
    const V lost = (V(1) - both) + unit;
    if (!kExact) return scale(x.hi / (both + (e.q + lost)), power);
    const auto bottom = sum(both, e.q);
    return scale(divided(x, Pair<V>{bottom.hi, bottom.lo + (lost + e.rest)}), power);
  }
};

template <class V, int kBits>
struct SwishIn16Bits : Swish<V> {
  ACT_FN Near<V> near_forward(V x) const {
    const auto z = product(this->beta, x), w = minus_abs(z);
    const auto below = z.hi < V(0);
    const V above = unless(below, kBits == float16_bits ? x + copysign(V(beyond_half), x) : x);
    const V value = fma(select(below, x, -x), SiluGateBelowIn16Bits::at(w), above);
    return {w.hi > V(SiluGateBelowIn16Bits::low), copysign(value, x)};
  }
  ACT_FN Near<V> near_slope(V x) const {
    // Made for the numbers of 16 bits, which the products with another beta are not.
    if (all(this->beta == V(1))) return in_pieces_below<SiluSlopeBelowIn16Bits>(x);
    return Swish<V>::near_slope(x);
  }
};
template <>
struct In16Bits<Swish> : ByAnotherForBits<SwishIn16Bits> {};

template <class V>
struct QuickGelu {
  static constexpr Spec spec{.name = "quick_gelu",
                             .params = "",
                             .formula = "x * sigmoid(1.702 * x)",
                             .derivative = "sigmoid(1.702 * x) * (1 + 1.702 * x * sigmoid(-1.702 * x))",
                             .paper = "arXiv:1606.08415",
                             .facts = with_dip(-0.16361018963635358, -0.75115425544128895),
                             .heavy = true};
  // For floats pieces give what is usual, and speed matters less.
  ACT_FN V forward(V x) const { return gate<has_pieces<V>>(x); }
  ACT_FN V exact_forward(V x) const { return gate<true>(x); }
  ACT_FN Near<V> near_forward(V x) const { return less_pieces<QuickGeluTail>(x); }
  ACT_FN V slope(V x) const { return logistic_gate_slope(argument(x)); }
  ACT_FN Near<V> near_slope(V x) const { return in_pieces_below<SiluSlopeBelow>(argument(x)); }
  ACT_FN Near<V, ValueAndSlope<V>> near_value_and_slope(V x) const {
    const auto w = minus_abs(argument(x));
    return {w.hi > V(SigmoidBelow::low), gate_and_slope_by_tail(x, x < V(0), SigmoidBelow::at(w), w)};
  }
  ACT_FN ValueAndSlope<V> value_and_slope(V x) const {
    return logistic_gate_and_slope(x, argument(x), at_least(minus_abs(x), V(-gate_zero<V> / 1.702)));
  }

 private:
  template <bool kExact>
  ACT_FN V gate(V x) const {
    const V above = at_least(x, V(-bottom_zero<V> / 1.702));
    return select(x < V(sigmoid_is_one<V>), logistic_gate<kExact>(above, exp_ratio(-argument(above))), x);
  }
  ACT_FN static Pair<V> argument(V x) { return product(constant_pair<V>(1.702), x); }
};

template <class V, int kBits>
struct QuickGeluIn16Bits : QuickGelu<V> {
  ACT_FN Near<V> near_forward(V x) const { return less_pieces<QuickGeluTailIn16Bits, kBits>(x); }
};
template <>
struct In16Bits<QuickGelu> : ByAnotherForBits<QuickGeluIn16Bits> {};

template <class V>
struct Gelu {
  static constexpr Spec spec{.name = "gelu",
                             .params = "*, str approximate='none'",
                             .formula = "0.5 * x * erfc(-x * sqrt(0.5))",
                             .derivative = "0.5 * erfc(-x * sqrt(0.5)) + x * exp(-0.5 * x * x) / sqrt(2 * pi)",
                             .paper = "arXiv:1606.08415",
                             .facts = with_dip(-0.16997120747990366, -0.75179152469356446),
                             .heavy = true};
  ACT_FN V forward(V x) const {
    const auto t = normal_tail(x);
    return at_least(x, V(-0.0)) - t.times_power(t.a_times_ratio());
  }
  ACT_FN Near<V> near_forward(V x) const { return less_pieces<GeluTail>(x); }
  ACT_FN V slope(V x) const {
    if constexpr (is_single<V> && !has_pieces<V>) {
      // A Dual: less is asked of second derivatives, and on a GPU the second words would not fit into registers.
      return value_and_slope(x).slope;
    } else {
      const auto t = normal_tail(x);
      return with_tail(x, t.times_power(-t.a_times_density_and(-t.ratio())));
    }
  }
  ACT_FN Near<V> near_slope(V x) const { return in_pieces_below<GeluSlopeBelow>(x); }
  ACT_FN ValueAndSlope<V> value_and_slope(V x) const {
    const auto t = normal_tail(x);
    // One table gives both: R(a), and less a times the density at 0.
    const auto c = constant_pair<V>(inverse_sqrt_2pi, inverse_sqrt_2pi_rest);
    const V ratio = t.ratio(), tail = t.times_power(fma(-t.a, c.lo, fma(-t.a, c.hi, ratio)));
    return {at_least(x, V(-0.0)) - t.times_power(t.a * ratio), with_tail(x, tail)};
  }

 protected:
  ACT_FN static V with_tail(V x, V tail) { return select(x < V(0), tail, keep_nan(x, V(1) - tail)); }
};

template <class V>
struct GeluInFloat16 : Gelu<V> {
  ACT_FN Near<V> near_forward(V x) const { return less_pieces<GeluTailInFloat16>(x); }
  ACT_FN Near<V> near_slope(V x) const { return in_pieces_below<GeluSlopeBelowInFloat16>(x); }
};
// For units a gate of 0 is to be 0, which less_pieces for float16 does not give.
template <class V>
struct GeluAloneInFloat16 : GeluInFloat16<V> {
  ACT_FN Near<V> near_forward(V x) const { return less_pieces<GeluTailInFloat16, float16_bits>(x); }
};

// float16 would show its errors.
template <class V>
struct GeluInBfloat16 : Gelu<V> {
  ACT_FN Near<V> near_forward(V x) const { return less_pieces<GeluTailInBfloat16>(x); }
  ACT_FN Near<V> near_slope(V x) const {
    const V a = abs(x);
    return {a < V(GeluSlopeTailInBfloat16::high), with_tail(x, GeluSlopeTailInBfloat16::at(a))};
  }
  ACT_FN Near<V, ValueAndSlope<V>> near_value_and_slope(V x) const {
    const auto value = near_forward(x), slope = near_slope(x);
    const MaskOf<V> holds = value.holds & slope.holds;
    return {holds, {value.value, slope.value}};
  }

 private:
  using Gelu<V>::with_tail;
};
template <>
struct In16Bits<Gelu> : ByAnotherForEach<GeluInBfloat16, GeluAloneInFloat16> {};

template <class V>
struct GeluTanh {
  static constexpr Spec spec{.name = "gelu_tanh",
                             .params = "",
                             .formula = "x * sigmoid(sqrt(8 / pi) * (x + 0.044715 * x**3))",
                             .derivative =
                                 "sigmoid(z := sqrt(8 / pi) * (x + 0.044715 * x**3))"
                                 " * (1 + sqrt(8 / pi) * (x + 0.134145 * x**3) * sigmoid(-z))",
                             .paper = "arXiv:1606.08415",
                             .facts = with_dip(-0.17004075057125405, -0.75246142207101626),
                             .heavy = true};
  ACT_FN V forward(V x) const {
    const V above = at_least(x, V(-lowest));
    return select(x < V(one), logistic_gate<true>(above, exp_ratio(-argument(above))), x);
  }
  ACT_FN Near<V> near_forward(V x) const { return less_pieces<GeluTanhTail>(x, reach); }
  ACT_FN V slope(V x) const {
    // As logistic_gate_slope, with w = x dz/dx left as a product.
    const V bounded = clamp(x, V(-limit), V(limit));
    const auto dz = derivative_of_argument(bounded);
    const auto s = logistic(argument(bounded));
    return s.times_top(top_factor(product(dz, bounded), s.other, s.denominator),
                       in_two_words(squared_denominator(s.e)));
  }
  ACT_FN Near<V> near_slope(V x) const { return in_pieces_below<GeluTanhSlopeBelow>(x); }
  ACT_FN Near<V, ValueAndSlope<V>> near_value_and_slope(V x) const {
    const V a = abs(x);
    return {a < V(reach),
            gate_and_slope_by_tail(x, x < V(0), GeluTanhTail::at(a), product(derivative_of_argument(a), -a))};
  }
  ACT_FN ValueAndSlope<V> value_and_slope(V x) const {
    const V bounded = clamp(x, V(-limit), V(limit)), below = minus_abs(bounded);
    const auto dz = derivative_of_argument(bounded);
    const auto w = product(dz, below);
    return logistic_gate_and_slope(x, argument(bounded), w.hi, sum_of_ordered(V(1), w), below);
  }

 protected:
  // Where the pieces are as good as they are to be.
  static constexpr double reach = 4.4;

 private:
  // Below -limit the slope is 0, below -lowest the value: there the argument is beyond exp_limit, and such that the
  // bottom of exp_ratio is 0. Above `one` the gate is 1.
  static constexpr double limit = is_single<V> ? 12.95 : 26.85, lowest = is_single<V> ? 10.89 : 21.585;
  static constexpr double one = is_single<V> ? 5.3 : 7.5;
  // 0.5 (1 + tanh(u)) = sigmoid(2 u) with 2 u = linear x + cubic x^3, in two words.
  static constexpr double linear = 0x1.9884500000000p+0, linear_rest = 0x1.9ea1b284687e6p-23;
  static constexpr double cubic = 0x1.2444f2a4d8b4bp-4, cubic_rest = -0x1.3023b0e5fbc6ep-58;
  ACT_FN static Pair<V> derivative_of_argument(V x) {
    const auto square = product(x, x), curved = product(constant_pair<V>(3 * cubic), square);
    const V hi = fma(V(3 * cubic), square.hi, V(linear + linear_rest));
    return {hi, ((curved.hi - hi) + V(linear)) + (curved.lo + V(linear_rest))};
  }
  ACT_FN static Pair<V> argument(V x) {
    const auto c3 = constant_pair<V>(cubic, cubic_rest);
    const auto square = product(x, x);
    const V curved = c3.hi * square.hi;
    const V curved_rest = fma(c3.hi, square.lo, fma(c3.lo, square.hi, fma(c3.hi, square.hi, -curved)));
    // The last bits of `linear` are 0, so that the difference is exact also where `curved` is the larger.
    const V total = V(linear) + curved;
    return product(Pair<V>{total, (curved - (total - V(linear))) + (curved_rest + V(linear_rest))}, x);
  }
};

template <class V, int kBits>
struct GeluTanhIn16Bits : GeluTanh<V> {
  ACT_FN Near<V> near_forward(V x) const { return less_pieces<GeluTanhTailIn16Bits, kBits>(x, GeluTanh<V>::reach); }
  ACT_FN Near<V> near_slope(V x) const { return in_pieces_below<GeluTanhSlopeBelowIn16Bits>(x); }
};
template <>
struct In16Bits<GeluTanh> : ByAnotherForBits<GeluTanhIn16Bits> {};

template <class V>
struct Mish {
  static constexpr Spec spec{.name = "mish",
                             .params = "",
                             .formula = "x * tanh(logaddexp(zeros_like(x), x))",
                             .derivative = "tanh(s := logaddexp(zeros_like(x), x)) + x * sigmoid(x) / cosh(s)**2",
                             .paper = "arXiv:1908.08681",
                             .facts = with_dip(-0.30884341301725041, -1.1924312145154952),
                             .heavy = true};
  ACT_FN V forward(V x) const {
    // With e = e^x: x e (e + 2) / (e (e + 2) + 2).
    const V above = at_least(x, V(-exp_limit<V>));
    const auto e = bounded_exp(x, sigmoid_is_one<V>);
    const auto other = sum_of_positive(V(2), e.pair()), bottom = sum_of_positive(V(2), product(e.pair(), other));
    const auto top = product(product(other, above), e.mantissa());
    const V y = scale(divided(top, bottom), e.power);
    return select(x < V(sigmoid_is_one<V>), y, x);
  }
  ACT_FN Near<V> near_forward(V x) const { return times_pieces<MishGate>(x); }
  // With e = e^-|x|: tanh(softplus(x)) = m / d, below 0 with a factor e before it. m and d are polynomials in e whose
  // coefficients change their order with the sign of x, and so is the slope's numerator, (1 + e) 4 x or its multiple
  // by e^2 added to m d.
  ACT_FN V slope(V x) const {
    const auto s = logistic(x);
    const V bounded = clamp(x, V(-exp_limit<V>), V(exp_limit<V>));
    const auto one_and_x = sum(V(1), bounded);
    const auto [n0, n3] = ends(V(4) * one_and_x.hi, V(1), s);
    const auto [n1, n2] = ends(fma(V(4), bounded, V(6)), V(4), s);
    auto numerator = step(s.e, fma(s.e, fma(s.e, n3, n2), n1), n0);
    numerator.lo = numerator.lo + where(s.negative, V(4) * one_and_x.lo);
    // d^2 multiplied out: each step rounds less than the last.
    const auto [d0, d4] = ends(V(4), V(1), s);
    const auto [d1, d3] = ends(V(8), V(4), s);
    return s.times_top(numerator, step(s.e, fma(s.e, fma(s.e, fma(s.e, d4, d3), V(8)), d1), d0));
  }
  ACT_FN Near<V> near_slope(V x) const { return in_pieces<MishSlope>(x); }

 private:
  // (a, b) below 0, (b, a) above.
  ACT_FN static Pair<V> ends(V a, V b, const Logistic<V>& s) {
    return {select(s.negative, a, b), select(s.negative, b, a)};
  }
};
template <>
struct In16Bits<Mish> : ByOtherPieces<Mish, MishGateIn16Bits, MishSlopeIn16Bits, 1> {};

using Gated = List<Silu, Swish, QuickGelu, Gelu, GeluTanh, Mish>;

}  // namespace act_ext
