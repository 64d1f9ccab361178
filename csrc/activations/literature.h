// Activations from papers that neither torch nor the other families have.
#pragma once

#include "gated.h"

namespace act_ext {

template <class V>
struct HardMish {
  static constexpr Spec spec{
      .name = "hard_mish",
      .params = "",
      .formula = "0.5 * x * clamp(x + 2, 0, 2)",
      .derivative = "where(x < -2, 0, clamp(x + 1, max=1))",
      .paper = "https://github.com/digantamisra98/H-Mish",
      .facts =
          Facts{.infimum = -0.5, .minimum_at = -1, .monotonic = false, .saturates = Saturates::below, .smoothness = 0},
      .gates = true};
  ACT_FN V forward(V x) const {
    // Below -2 the result is 0, and -inf * 0 does not arise.
    const V bounded = at_least(x, V(-2));
    return select(x > V(0), x, copysign(fma(V(0.5) * bounded, bounded, bounded), x));
  }
  ACT_FN V slope(V x) const { return unless(x < V(-2), at_most(x + V(1), V(1))); }
};

template <class V>
struct Squareplus {
  static constexpr Spec spec{
      .name = "squareplus",
      .params = "float b=4.0",
      .formula = "0.5 * where(x < 0, b / (sqrt(x * x + b) - x), sqrt(x * x + b) + x)",
      .derivative = "0.5 * (1 + x / sqrt(x * x + b))",
      .paper = "arXiv:2112.11687",
      .facts = Facts{.infimum = 0, .zero_centred = false, .saturates = Saturates::below},
      .heavy = true,
      .invalid = [](const double* p) -> const char* { return p[0] <= 0 ? "b must be positive" : nullptr; }};
  V b;
  ACT_FN V forward(V x) const {
    const auto r = scaled_root(abs(x));
    const V above = V(0.5) * rounded(r.twice) * r.up, below = divided(half_width(r.before), r.twice, r.twice_inverse);
    return select(abs(x) < V(inf), select(x < V(0), below * r.after, above), at_least(x, V(0)));
  }
  ACT_FN V slope(V x) const {
    const auto r = scaled_root(abs(x));
    const auto part = quotient(half_width(r.down), r.root, r.root_inverse);
    const V below = divided(part, r.twice, r.twice_inverse) * r.down;
    return select(x < V(0), below, keep_nan(x, V(1) - below));
  }

 private:
  // sqrt(a^2 + b) and a + sqrt(a^2 + b), times a power of 2, `down`, where a^2 would overflow; `up` is its inverse. The
  // inverses, but for some roundings, and what the root rounds off come from one division. What they divide is
  // multiplied by `down` before that, or after it if it is so small that it would be subnormal.
  struct ScaledRoot {
    Pair<V> root, twice;
    V root_inverse, twice_inverse, down, up, before, after;
  };
  ACT_FN ScaledRoot scaled_root(V x) const {
    const auto far = x > V(is_single<V> ? 1e18 : 1e150);
    const V down = select(far, V(is_single<V> ? 0x1p-70 : 0x1p-550), V(1));
    const V up = select(far, V(is_single<V> ? 0x1p70 : 0x1p550), V(1));
    const V a = at_most(x, V(std::numeric_limits<Scalar<V>>::max())) * down;
    const auto square = sum_of_positive(width() * down * down, product(a, a));
    const V root = sqrt(square.hi);
    const auto [twice, twice_rest] = sum_of_positive(a, root);
    const V inverse = V(1) / as_constant(root * twice);
    const V root_inverse = as_constant(twice * inverse), twice_inverse = as_constant(root * inverse);
    const V rest = V(0.5) * (fma(-root, root, square.hi) + square.lo) * root_inverse;
    const auto small = b < V(is_single<V> ? 1e-15 : 1e-140);
    const V before = select(small, V(1), down), after = select(small, down, V(1));
    return {{root, rest}, {twice, twice_rest + rest}, root_inverse, twice_inverse, down, up, before, after};
  }
  ACT_FN Pair<V> half_width(V scaling) const { return {V(0.5) * width() * scaling, V(0)}; }
  // b, if V's format takes it for 0 or infinity a normal number.
  ACT_FN V width() const { return clamp(b, V(is_single<V> ? 1e-37 : 1e-307), V(is_single<V> ? 1e38 : 1e307)); }
};

// But for some last places. The factors next to 1, found by trial, are such that with a b of 4 all is rounded right, as
// python -m tools.settle tells.
template <class V>
struct SquareplusIn16Bits : Squareplus<V> {
  ACT_FN Near<V> near_forward(V x) const {
    const V a = abs(x), square = fma(a, a, b() * V(1 - 11 * 0x1p-24)), root = sqrt(square);
    const V above = fma(V(0.5 + 3 * 0x1p-24), root, V(0.5 - 6 * 0x1p-25) * a);
    const V below = b() * V(0.5 - 6 * 0x1p-25) / fma(a, V(1 - 13 * 0x1p-24), root);
    return {usual(square), select(x < V(0), below, above)};
  }
  ACT_FN Near<V> near_slope(V x) const {
    const V a = abs(x), square = fma(a, a, b() * V(1 + 20 * 0x1p-23)), root = sqrt(square);
    const V below = b() * V(0.5 - 2 * 0x1p-25) / fma(root, a * V(1 - 5 * 0x1p-24), fma(a, a, b() * V(1 - 3 * 0x1p-24)));
    return {usual(square), select(x < V(0), below, V(1) - below)};
  }

 private:
  ACT_FN V b() const { return Squareplus<V>::b; }
  // Where nothing overflows and no quotient is subnormal.
  ACT_FN MaskOf<V> usual(V square) const { return (square < V(1e30)) & (b() > V(1e-20)); }
};
template <>
struct In16Bits<Squareplus> : ByAnother<SquareplusIn16Bits> {};

template <class V>
struct Isru {
  static constexpr Spec spec{
      .name = "isru",
      .params = "float alpha=1.0",
      .formula = "x / sqrt(1 + alpha * x * x)",
      .derivative = "(1 + alpha * x * x)**-1.5",
      .paper = "arXiv:1710.09967",
      .facts = Facts{.infimum = -1, .supremum = 1, .saturates = Saturates::both},
      .heavy = true,
      .invalid = [](const double* p) -> const char* { return p[0] <= 0 ? "alpha must be positive" : nullptr; }};
  V alpha;
  ACT_FN V forward(V x) const {
    const V a = bounded(x);
    return copysign(rounded(product(inverse_root(square(a)), a)), x);
  }
  ACT_FN V slope(V x) const {
    const auto w = inverse_root(square(bounded(x)));
    return rounded(product(product(w, w), w));
  }

 private:
  // Where alpha x^2 has this bound, the result has reached its limit.
  static constexpr double bound = is_single<V> ? 1e18 : 1e150;
  ACT_FN V bounded(V x) const { return at_most(abs(x), V(bound) / sqrt(curvature())); }
  // 1 + alpha a^2
  ACT_FN Pair<V> square(V a) const { return sum_of_positive(V(1), product(product(curvature(), a), a)); }
  // alpha, if V's format takes it for 0 or infinity a normal number.
  ACT_FN V curvature() const { return clamp(alpha, V(is_single<V> ? 1e-37 : 1e-307), V(is_single<V> ? 1e38 : 1e307)); }
};

template <class V>
struct Isrlu {
  static constexpr Spec spec{.name = "isrlu",
                             .params = "float alpha=1.0",
                             .formula = "where(x < 0, x / sqrt(1 + alpha * clamp(x, max=0)**2), x)",
                             .derivative = "where(x < 0, (1 + alpha * clamp(x, max=0)**2)**-1.5, 1)",
                             .paper = "arXiv:1710.09967",
                             .facts = Facts{.infimum = -1, .saturates = Saturates::below, .smoothness = 2},
                             .heavy = true,
                             .invalid = Isru<double>::spec.invalid};
  V alpha;
  ACT_FN V forward(V x) const { return select(x < V(0), Isru<V>{alpha}.forward(x), x); }
  ACT_FN V slope(V x) const { return select(x > V(0), V(1), Isru<V>{alpha}.slope(x)); }
};

template <class V>
struct Lisht {
  static constexpr Spec spec{.name = "lisht",
                             .params = "",
                             .formula = "x * tanh(x)",
                             .derivative = "tanh(x) + x / cosh(x)**2",
                             .paper = "arXiv:1901.05894",
                             .facts = Facts{.infimum = 0, .minimum_at = 0, .monotonic = false, .zero_centred = false},
                             .heavy = true};
  ACT_FN V forward(V x) const {
    const V a = abs(x);
    const auto t = tanh_quotient(a);
    return select(a < V(20), divided(product(t.top, a), t.bottom), a);
  }
  ACT_FN Near<V> near_forward(V x) const {
    return {abs(x) < V(inf), rounded(product(TanhInPieces<V>(x).in_two_words(), x))};
  }
  ACT_FN V slope(V x) const {
    const auto [t, sech2] = tanh_and_slope(abs(x));
    return copysign(fma(at_most(abs(x), V(exp_limit<V> / 2)), sech2, t), x);
  }
  ACT_FN Near<V> near_slope(V x) const {
    const V a = abs(x);
    return {a < V(LishtSlopeOver::high), x * LishtSlopeOver::at(a).hi};
  }
};

template <class V>
struct LishtIn16Bits : Lisht<V> {
  ACT_FN Near<V> near_slope(V x) const {
    const V a = abs(x);
    return {a < V(LishtSlopeOverIn16Bits::high), x * LishtSlopeOverIn16Bits::at(a)};
  }
};
template <>
struct In16Bits<Lisht> : ByAnother<LishtIn16Bits> {};

template <class V>
struct TanhExp {
  static constexpr Spec spec{.name = "tanhexp",
                             .params = "",
                             .formula = "x * tanh(exp(x))",
                             .derivative = "tanh(e := exp(x)) + 4 * x * exp(x - 2 * e) / (1 + exp(-2 * e))**2",
                             .paper = "arXiv:2003.09855",
                             .facts = with_dip(-0.35328577784821127, -1.0788600584646241),
                             .heavy = true};
  ACT_FN V forward(V x) const {
    const auto e = bounded_exp(x, largest);
    // With u = e^(-2 e): what e rounds off counts 2 u times.
    const auto [value, rest] = e.pair();
    const auto t = tanh_quotient(value);
    const V change = V(2) * rest * (t.bottom.hi - V(1));
    const auto top = product(t.top, x);
    const V near = divided(Pair<V>{top.hi, fma(x, change, top.lo)}, Pair<V>{t.bottom.hi, t.bottom.lo - change});
    return select(x < V(-tail), e.times(e.above), select(x < V(largest), near, x));
  }
  ACT_FN Near<V> near_forward(V x) const { return times_pieces<TanhExpGate>(x); }
  ACT_FN V slope(V x) const {
    const auto e = bounded_exp(x, largest);
    const V bounded = clamp(x, V(-tail), V(largest));
    // Below 0 as e^x (1 + x) less a correction, so that the error of e^x does not grow where the terms cancel.
    const V small = at_most(e.value, V(1)), defect = tanh_defect(small), t = small - defect;
    const V below = fma(small, V(1) + bounded, -fma(bounded * small, t * t, defect));
    const auto [top, sech2] = tanh_and_slope(e.value);
    return select(x < V(-tail), scale(fma(e.above, e.p, e.p), e.power),
                  select(x < V(0), below, fma(bounded * e.value, sech2, top)));
  }
  ACT_FN Near<V> near_slope(V x) const { return in_pieces<TanhExpSlope>(x); }

 private:
  // Below -tail tanh(e^x) is e^x after rounding; above `largest` it is 1.
  static constexpr double tail = is_single<V> ? 9.0 : 19.0, largest = 4.0;
};
template <>
struct In16Bits<TanhExp> : ByOtherPieces<TanhExp, TanhExpGateIn16Bits, TanhExpSlopeIn16Bits> {};

template <class V>
struct Smish {
  static constexpr Spec spec{
      .name = "smish",
      .params = "",
      .formula = "x * tanh(log1p(sigmoid(x)))",
      .derivative = "tanh(u := log1p(s := sigmoid(x))) + x * s * sigmoid(-x) / ((1 + s) * cosh(u)**2)",
      .paper = "doi:10.3390/electronics11040540",
      .facts = with_dip(-0.24999366366012950, -1.3945193019245041),
      .heavy = true};
  // With e = e^x: tanh(log(1 + sigmoid(x))) = e (3 e + 2) / (5 e^2 + 6 e + 2).
  ACT_FN V forward(V x) const {
    const auto e = bounded_exp(x, sigmoid_is_one<V>);
    const auto [top, bottom] = gate(e);
    return select(x < V(sigmoid_is_one<V>), scale(divided(product(top, e.above), bottom), e.power),
                  times_constant(x, 0.6, 0x1.999999999999ap-56));
  }
  ACT_FN Near<V> near_forward(V x) const { return times_pieces<SmishGate>(x); }
  ACT_FN V slope(V x) const {
    const auto parts = bounded_exp(x, sigmoid_is_one<V>);
    const V bounded = at_most(parts.above, V(sigmoid_is_one<V>)), e = parts.value;
    const auto all = gate(parts);
    const V d = all.bottom.hi;
    const V near =
        divided(all.top, all.bottom) + V(4) * bounded * fma(e, fma(V(2), e, V(3)), V(1)) * (parts.p / (d * d));
    // Further down the two terms cancel: in powers of e, where 1 + x stands alone, their errors do not grow.
    const auto one_and_x = sum(V(1), bounded);
    const V n1 = fma(V(12), bounded, V(18)), n2 = fma(V(8), bounded, V(28));
    const auto n = step(e, fma(e, fma(e, V(15), n2), n1), Pair<V>{V(4) * one_and_x.hi, V(4) * one_and_x.lo});
    const V far = divided(product(parts.mantissa(), n), step(e, horner(e, 24, 56, 60, 25), V(4)));
    return scale(select(x < V(-1), far, near), parts.power);
  }
  ACT_FN Near<V> near_slope(V x) const { return in_pieces<SmishSlope>(x); }

 private:
  // As a quotient, but for the power before it.
  struct Gate {
    Pair<V> top, bottom;
  };
  ACT_FN static Gate gate(const BoundedExp<V>& e) {
    const auto value = e.pair(), top = sum_of_positive(V(2), product(value, V(3)));
    return {product(e.mantissa(), top),
            sum_of_positive(V(2), product(sum_of_positive(V(6), product(value, V(5))), value))};
  }
};
template <>
struct In16Bits<Smish> : ByOtherPieces<Smish, SmishGateIn16Bits, SmishSlopeIn16Bits> {};

template <class V>
struct Logish {
  static constexpr Spec spec{.name = "logish",
                             .params = "",
                             .formula = "x * log1p(sigmoid(x))",
                             .derivative = "log1p(s := sigmoid(x)) + x * s * sigmoid(-x) / (1 + s)",
                             .paper = "doi:10.1016/j.neucom.2021.06.067",
                             .facts = with_dip(-0.25276881678944035, -1.3724541370256922),
                             .heavy = true};
  ACT_FN V forward(V x) const {
    const auto e = bounded_exp(x, sigmoid_is_one<V>);
    const V near = copysign(scale(rounded(product(logarithm(e), e.above)), e.power), x);
    return select(x < V(sigmoid_is_one<V>), near, times_constant(x, ln2_hi, ln2_lo));
  }
  ACT_FN Near<V> near_forward(V x) const { return times_pieces<LogishGate>(x); }
  ACT_FN V slope(V x) const {
    const auto e = bounded_exp(x, sigmoid_is_one<V>);
    const V bounded = at_most(e.above, V(sigmoid_is_one<V>)), value = rounded(logarithm(e));
    const V part = e.p / ((V(1) + e.value) * fma(V(2), e.value, V(1)));
    // Below -1 as (1 + x) e^x and corrections, so that the error of e^x does not grow where the terms cancel.
    const V one_and_x = V(1) + bounded;
    V rest = fma(-bounded * part, e.value * fma(V(2), e.value, V(3)), value - e.p);
    // What p rounds off, for floats: less is asked of doubles, whose speed it would cost.
    if constexpr (is_single<V>) rest = fma(e.p_rest, one_and_x, rest);
    return scale(select(x < V(-1), fma(e.p, one_and_x, rest), fma(bounded, part, value)), e.power);
  }
  ACT_FN Near<V> near_slope(V x) const { return in_pieces<LogishSlope>(x); }

 private:
  // log(1 + sigmoid(x)) but for the power.
  ACT_FN static Pair<V> logarithm(const BoundedExp<V>& e) {
    const auto w = quotient(twice(e.mantissa()), sum_of_positive(V(2), product(e.pair(), V(3))));
    return times_atanh_series(w, scale(w.hi, e.power));
  }
};
template <>
struct In16Bits<Logish> : ByOtherPieces<Logish, LogishGateIn16Bits, LogishSlopeIn16Bits, -1, 1> {};

template <class V>
struct Gish {
  static constexpr Spec spec{.name = "gish",
                             .params = "",
                             .formula = "x * log1p(-expm1(-exp(x)))",
                             .derivative = "log1p(-expm1(-exp(x))) + x * exp(x - exp(x)) / (2 - exp(-exp(x)))",
                             .paper = "doi:10.1007/s00521-023-09035-5",
                             .facts = with_dip(-0.27815946089638691, -1.2820510492601260),
                             .heavy = true};
  ACT_FN V forward(V x) const {
    const auto e = bounded_exp(x, largest);
    const auto u = -expm1_below(-e.pair());
    const auto logarithm = atanh_series(quotient(twice(u), sum_of_ordered(V(2), u)));
    const V near =
        select(x < V(largest), copysign(rounded(product(logarithm, x)), x), times_constant(x, ln2_hi, ln2_lo));
    return select(x < V(-tail), e.times(e.above), near);
  }
  ACT_FN Near<V> near_forward(V x) const { return times_pieces<GishGate>(x); }
  ACT_FN V slope(V x) const {
    const auto e = bounded_exp(x, largest);
    const V bounded = clamp(x, V(-tail), V(largest));
    const V u = -expm1(-e.value), logarithm = log1p(u), decay = scaled_exp(V(1), -e.value);
    // As for logish.
    const V one_and_x = V(1) + bounded;
    V rest = fma(V(-2) * bounded * e.value, u / (V(1) + u), logarithm - e.value);
    if constexpr (is_single<V>) rest = fma(e.pair().lo, one_and_x, rest);  // as for logish
    return select(
        x < V(-tail), scale(fma(e.above, e.p, e.p), e.power),
        select(x < V(-1), fma(e.value, one_and_x, rest), fma(bounded, e.value * decay / (V(2) - decay), logarithm)));
  }
  ACT_FN Near<V> near_slope(V x) const { return in_pieces<GishSlope>(x); }

 private:
  // Below -tail log(2 - e^-e^x) is e^x after rounding; above `largest` it is log 2.
  static constexpr double tail = is_single<V> ? 18.0 : 38.0, largest = is_single<V> ? 5.0 : 6.0;
};
template <>
struct In16Bits<Gish> : ByOtherPieces<Gish, GishGateIn16Bits, GishSlopeIn16Bits> {};

template <class V>
struct Phish {
  static constexpr Spec spec{
      .name = "phish",
      .params = "",
      .formula = "x * tanh(0.5 * x * erfc(-x * sqrt(0.5)))",
      .derivative =
          "tanh(g := 0.5 * x * (p := erfc(-x * sqrt(0.5)))) + x * (0.5 * p + x * exp(-0.5 * x * x) / sqrt(2 * pi))"
          " / cosh(g)**2",
      .paper = "doi:10.36227/techrxiv.17283824",
      // It is 0 at 0, and tends to 0 from above at -inf.
      .facts = Facts{.infimum = 0, .monotonic = false, .zero_centred = false, .saturates = Saturates::below},
      .heavy = true};
  ACT_FN V forward(V x) const {
    const auto t = normal_tail(x);
    const auto gelu = sum_of_ordered(at_least(x, V(0)), -t.times_a());
    const V defect = tanh_defect(clamp(gelu.hi, V(-1), V(1)));
    // Below 0 as x gelu(x), which keeps its tail, less what tanh takes from it.
    // Far down, where that is nothing, with one rounding however small the product.
    const auto all = product(t.a_times_ratio(), t.a), square = t.times_power_in_two_words(all);
    const V below = select(t.a > V(7), t.times_power(all), square.hi + fma(t.a, defect, square.lo));
    const V near = fma(x, gelu.hi, x * (gelu.lo - defect));
    // Above `one` tanh is 1.
    const auto ratio = tanh_quotient(gelu.hi);
    const V far = select(x < V(one), divided(product(ratio.top, x), ratio.bottom), x);
    return select(x < V(0), below, select(x < V(high), near, far));
  }
  ACT_FN Near<V> near_forward(V x) const {
    return {reached<PhishOver>(x), rounded(product(product(x, x), PhishOver::at(x)))};
  }
  ACT_FN V slope(V x) const {
    const auto t = normal_tail(x);
    const auto [gelu, gelu_slope] = Gelu<V>{}.value_and_slope(x);
    // Below as the slope of x gelu(x), a^2 density(a) - 2 a P(N > a) with a = -x, less what tanh takes from it.
    const auto factor = product(t.a_times_density_and(V(-2) * t.ratio()), t.a);
    const V tail = at_most(gelu, V(0)), tail_defect = tanh_defect(tail), tail_tanh = tail - tail_defect;
    const V below = t.times_power(factor) + fma(t.a * gelu_slope, tail_tanh * tail_tanh, -tail_defect);

    const V bounded = middle(x), p = normal_probability(bounded), g = bounded * p, th = g - tanh_defect(g);
    const V g_slope = fma(t.times_power(V(inverse_sqrt_2pi)), bounded, p);
    const V around_0 = fma(bounded * g_slope, fma(-th, th, V(1)), th);

    const auto [value, sech2] = tanh_and_slope(at_least(gelu, V(0)));
    const V above = fma(at_most(x, V(exp_limit<V> / 2)) * gelu_slope, sech2, value);
    return select(x < V(low), below, select(x < V(high), around_0, above));
  }
  ACT_FN Near<V> near_slope(V x) const {
    const auto [holds, factor] = in_pieces<PhishSlopeOver>(x);
    return {holds, x * factor};
  }

 private:
  // Between these gelu(x) = x P(N < x) by the polynomial; below 1 - P and above 1 are large enough to subtract from.
  static constexpr double low = -1.0, high = 1.0, one = 20.0;
  ACT_FN static V middle(V x) { return clamp(x, V(low), V(high)); }
};

template <class V>
struct PhishIn16Bits : Phish<V> {
  ACT_FN Near<V> near_forward(V x) const {
    // Next to 0 it is half of x^2 and so often lies in the middle between two numbers, from where the next term takes
    // it away.
    const V over = PhishOverIn16Bits::at(x);
    return {reached<PhishOverIn16Bits>(x), x * x * fma(over, copysign(V(0x1p-23), x), over)};
  }
  ACT_FN Near<V> near_slope(V x) const {
    const auto [holds, factor] = in_pieces<PhishSlopeOverIn16Bits>(x);
    return {holds, x * factor};
  }
};
template <>
struct In16Bits<Phish> : ByAnother<PhishIn16Bits> {};

using Literature = List<HardMish, Squareplus, Isru, Isrlu, Lisht, TanhExp, Smish, Logish, Gish, Phish>;

}  // namespace act_ext
