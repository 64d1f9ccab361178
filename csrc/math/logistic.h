// sigmoid, tanh and softplus, from exponentials that cannot overflow.
#pragma once

#include "exp.h"
#include "tables.h"

namespace act_ext {

// With e = e^-|z|: sigmoid(z) is 1 / denominator above 0 and e / denominator below,
// sigmoid(-z) is other / denominator.
template <class V>
struct Logistic {
  MaskOf<V> negative;  // z < 0
  V e, q, rest;        // e is (1 + q + rest) times its power
  V denominator, other;
  Power<V> top_power;  // that of e below 0, 1 above

  // sigmoid(z) denominator factor / divisor: where e is a factor, its power comes last.
  ACT_FN V times_top(Pair<V> factor, Pair<V> divisor) const {
    const V part = where(negative, q), top = fma(factor.hi, part, factor.hi);
    if constexpr (is_single<V>) {
      const V lost = fma(factor.hi, part, factor.hi - top) + fma(factor.hi, where(negative, rest), factor.lo);
      return scale(divided(Pair<V>{top, lost}, divisor), top_power);
    } else {
      return scale(top / divisor.hi, top_power);
    }
  }
};
// A factor a b + c for it. The second words are for floats: there pieces give what is usual (math/pieces.h), and speed
// matters less.
template <class V>
ACT_FN Pair<V> top_factor(Pair<V> a, V b, V c) {
  if constexpr (is_single<V>) {
    const auto [hi, lo] = product_and_sum(a.hi, b, c);
    return {hi, fma(a.lo, b, lo)};
  } else {
    return {fma(a.hi, b, fma(a.lo, b, c)), V(0)};
  }
}

// -|z|, no lower than -limit.
template <class V>
ACT_FN V folded(V z, double limit) {
  return at_least(minus_abs(z), V(-limit));
}
template <class V>
ACT_FN Pair<V> folded(Pair<V> z, double limit) {
  const V hi = folded(z.hi, limit), lo = select(z.hi < V(0), z.lo, -z.lo);
  return {hi, where(hi > V(-limit), lo)};
}

// z a V or a Pair.
template <class X>
ACT_FN auto logistic(X z) {
  using V = decltype(head(z));
  const Exp<V> e = exp_parts(folded(z, exp_limit<V>));
  const Power<V> power = power_for_small(e.n);
  const V unit = scale(V(1), power), small = fma(unit, e.q, unit), denominator = fma(unit, e.q, V(1) + unit);
  const auto negative = head(z) < V(0);
  return Logistic<V>{
      negative, small, e.q, e.rest, denominator, select(negative, V(1), small), power_where(negative, power)};
}

// From here on 1 + e^-z is 1 after rounding, also times a few hundred.
template <class V>
inline constexpr double sigmoid_is_one = is_single<V> ? 20.0 : 40.0;

// 1 / (1 + e^-z) and, for slopes, quickly 1 / (1 + e^z): a power of 2 over a sum that is rounded once; z a V or a Pair.
template <class X>
ACT_FN auto bounded_exp_ratio(X z) {
  using V = decltype(head(z));
  return exp_ratio(clamped(z, V(-sigmoid_is_one<V>), V(bottom_zero<V>)));
}
template <class X>
ACT_FN auto sigmoid(X z) {
  const auto e = bounded_exp_ratio(-z);
  return divided(Pair{e.bottom, decltype(e.bottom)(0)}, e.denominator());
}
template <class X>
ACT_FN auto sigmoid_of_minus(X z) {
  const auto e = bounded_exp_ratio(z);
  return e.bottom / e.quick_sum;
}

// sigmoid_of_minus for results of 16 bits, with e^z as in exp_ratio but without what is rounded off: error 2^-22. With
// these coefficients all but three numbers are rounded right, next to 0, where half of them would lie in the middle
// between two but for their cubes.
template <class V>
ACT_FN V sigmoid_of_minus_in_16_bits(V z) {
  constexpr double unit = 0x1p31;
  const V shift(rounding_shift<V> + exponent_bias<V> + 31);
  const V bounded = clamp(z, V(-sigmoid_is_one<V>), V(bottom_zero<V>)), shifted = fma(bounded, V(-log2_e), shift);
  const V r = fma(shifted - shift, V(ln2_hi), bounded);
  const V top = horner(r, unit * (1 - 0x1p-24), unit, unit * 0.5000031590461731, unit * 0.16664819419384003,
                       unit * 0.04179654270410538, unit * 0.00854219775646925);
  const V bottom = to_exponent(shifted);
  return bottom / (top + bottom);
}

// The smaller and the larger of sigmoid(z) and sigmoid(-z), whose sum is 1; z a V or a Pair.
template <class V>
struct Shares {
  V small, large;
};
template <class X>
ACT_FN auto shares(X z) {
  using V = decltype(head(z));
  const ExpRatio<V> e = exp_ratio(-folded(z, bottom_zero<V>));
  const V small = e.bottom / e.sum;
  return Shares<V>{small, V(1) - small};
}

// The derivative of sigmoid, sigmoid(z) sigmoid(-z): an even function.
template <class X>
ACT_FN auto sigmoid_slope(X z) {
  const auto [small, large] = shares(z);
  return small * large;
}

// (2 atanh(w / 2) / w - 1) / w^2 in z = w^2 for |w| <= 2/3: the error is 2^-27.5, 2^-64.3 of the logarithm.
template <class V>
ACT_FN V atanh_tail(V z) {
  if constexpr (is_single<V>) {
    return horner(z, 0.083333048267552074031, 0.012506409492475916649, 0.0021887382751614043175,
                  0.0005459256291116779465);
  } else {
    return horner(z, 0.083333333333333338763, 0.012499999999998943985, 0.0022321428572000503849,
                  0.00043402777634932400654, 0.000088778429034249840531, 0.000018779877021675291821,
                  4.0699555987636701056e-6, 8.9415366880246242141e-7, 2.0880289676488255682e-7,
                  3.3794424723175715614e-8, 1.9454439043674542534e-8);
  }
}

// factor 2 atanh(w / 2) / w: with factor = w 2 atanh(w / 2), the logarithm of (2 + w) / (2 - w).
template <class V>
ACT_FN V times_atanh_series(V factor, V w) {
  const V z = w * w;
  return fma(factor * z, atanh_tail(z), factor);
}

// The same in two words, for a factor of two words; and w of two words as its own factor.
template <class V>
ACT_FN Pair<V> times_atanh_series(Pair<V> factor, V w) {
  const V z = w * w;
  return {factor.hi, fma(factor.hi * z, atanh_tail(z), factor.lo)};
}
template <class V>
ACT_FN Pair<V> atanh_series(Pair<V> w) {
  return times_atanh_series(w, w.hi);
}

// log(1 + e^-u) in two words, given e^u for a u of at least 0: with w = 2 / (1 + 2 e^u).
template <class V>
ACT_FN Pair<V> log1p_of_inverse(ExpRatio<V> e) {
  return atanh_series(quotient(Pair<V>{e.bottom + e.bottom, V(0)}, sum_of_positive(e.bottom, twice(e.numerator()))));
}

// log(1 + u) for 0 <= u <= 1.
template <class V>
ACT_FN V log1p(V u) {
  const V w = (u + u) / (V(2) + u);
  return times_atanh_series(w, w);
}

// For a >= 0 tanh(a) as a quotient, 1 - u over 1 + u with u = e^(-2a).
template <class V>
struct TanhQuotient {
  Pair<V> top, bottom;
};
template <class V>
ACT_FN TanhQuotient<V> tanh_quotient(V a) {
  const Exp<V> e = exp_parts(V(-2) * at_most(a, V(20)));
  const V power = pow2(e.n), small = power * e.rest;
  const auto below = sum_of_ordered(V(1), -power), above = sum_of_ordered(V(1), power);
  const V top = fma(-power, e.q, below.hi), bottom = fma(power, e.q, above.hi);
  return {{top, fma(-power, e.q, below.hi - top) + (below.lo - small)},
          {bottom, fma(power, e.q, above.hi - bottom) + (above.lo + small)}};
}
// x, bounded where tanh(x) has become +-1, and tanh(x) / x.
template <class V>
struct TanhInPieces {
  V bounded;
  Pair<V> over;

  ACT_FN explicit TanhInPieces(V x)
      : bounded(clamp(x, V(-TanhOver::high), V(TanhOver::high))), over(TanhOver::at(abs(bounded))) {}
  ACT_FN Pair<V> in_two_words() const { return product(over, bounded); }
};
template <class V>
ACT_FN V tanh(V x) {
  if constexpr (has_pieces<V>) {
    const TanhInPieces<V> t(x);
    return rounded_product(t.bounded, t.over);
  } else {
    const auto t = tanh_quotient(abs(x));
    return copysign(t.top.hi / t.bottom.hi, x);
  }
}

// tanh(x)^2, not with twice the error of tanh. For floats it becomes 1 after tanh does.
inline constexpr double tanh_squared_is_one = 9.36;
template <class V>
ACT_FN V tanh_squared(V x) {
  if constexpr (has_pieces<V>) {
    const V a = abs(x), bounded = at_most(a, V(TanhSquaredOver::high));
    return select(a > V(tanh_squared_is_one), V(1), bounded * TanhSquaredOver::at(bounded).hi);
  } else {
    // As tanh_quotient, but for what 1 - power rounds off: tanh(x) is 1 soon.
    const Exp<V> e = exp_parts(V(-2) * at_most(abs(x), V(20)));
    const V power = pow2(e.n), below = V(1) - power;
    const V top = fma(-power, e.q, below), rest = fma(-power, e.rest, fma(-power, e.q, below - top));
    const V bottom = fma(power, e.q, V(1) + power), inverse = V(1) / bottom, y = top * inverse;
    return y * fma(inverse + inverse, fma(-y, bottom, top) + rest, y);
  }
}

// (1 + e)^2 = 1 + e (2 + e), with one rounding that counts.
template <class V>
ACT_FN V squared_denominator(V e) {
  return fma(e, V(2) + e, V(1));
}

// Of a >= 0; the slope, 1 - tanh(a)^2, by e^(-2a), from which it does not cancel.
template <class V>
ACT_FN ValueAndSlope<V> tanh_and_slope(V a) {
  const Exp<V> e = exp_parts(V(-2) * at_most(a, V(exp_limit<V> / 2)));
  const Power<V> power(e.n);
  const V p = V(1) + e.q, value = scale(p, power);
  // e^(-2a) - 1; where its power is small the difference is exact enough.
  const V m = select(a < V(20), fma(pow2(at_least(e.n, V(-100))), e.q, pow2(at_least(e.n, V(-100))) - V(1)), V(-1));
  return {-m / (V(1) + value), scale(V(4) * (p / squared_denominator(value)), power)};
}

// The same where a has a correction: its first order is enough.
template <class V>
ACT_FN ValueAndSlope<V> tanh_and_slope(Pair<V> a) {
  const auto [value, slope] = tanh_and_slope(a.hi);
  const V lo = where(a.hi < V(exp_limit<V> / 2), slope * a.lo);
  return {value + lo, fma(V(-2) * value, lo, slope)};
}

// (x - tanh(x)) / x^3 in z = x^2 for |x| <= 1: relative error 2^-27.5, 2^-59.5. Coefficients: tools/fit.py.
template <class V>
ACT_FN Pair<V> tanh_defect_ratio(V z) {
  V tail(0);
  if constexpr (is_single<V>) {
    tail =
        horner(z, -0.13333310692466405015, 0.053963420711941955206, -0.021829584500990974945, 0.0086979490653334309459,
               -0.0032069516341587118415, 0.0009236082934409633741, -0.00014282379797202679644);
  } else {
    tail = horner(
        z, -0.13333333333333310079, 0.053968253968231560332, -0.021869488535298012601, 0.0088632355125891453727,
        -0.0035921278236676474492, 0.0014558326533803410287, -0.00059001757671905201337, 0.00023908846483753815863,
        -0.000096791092124631918464, 0.000038991870190778776557, -0.000015416450798025057449, 5.7776533419976189901e-6,
        -1.9218136680694339524e-6, 5.1233007226744391985e-7, -9.3656125475726500439e-8, 8.5399921654918110424e-9);
  }
  return step(z, tail,
              is_single<V> ? constant_pair<V>(0.33333333157048663413)
                           : constant_pair<V>(0x1.5555555555555p-2, 1.81003837438e-17));
}
// x - tanh(x) for |x| <= 1
template <class V>
ACT_FN V tanh_defect(V x) {
  const auto square = product(x, x);
  const auto q = tanh_defect_ratio(square.hi);
  return x * fma(square.hi, q.hi, fma(square.hi, q.lo, square.lo * q.hi));
}

}  // namespace act_ext
