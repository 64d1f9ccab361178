// The exponential and what is made of it. The argument is reduced to r = x - n ln2 with |r| <= ln2 / 2; the result
// stays in the parts (1 + q) 2^n until the last operation, so that nothing is lost where 2^n is subnormal.
// Coefficients: tools/fit.py.
#pragma once

#include "basic.h"

namespace act_ext {

// e^x = (1 + q + rest) 2^n, n a whole number.
template <class V>
struct Exp {
  V q, n, rest;
};

// The largest |x| for which 2^n can be applied in two halves of normal numbers; the power of e^-limit is 0.
template <class V>
inline constexpr double exp_limit = is_single<V> ? 174.0 : 1416.0;
inline constexpr double log2_e = 1.44269504088896340736;
inline constexpr double ln2_hi = 0x1.62e42fefa39efp-1, ln2_lo = 0x1.abc9e3b39803fp-56;

// From here on e^x overflows.
template <class V>
inline constexpr double exp_overflow = is_single<V> ? 89.0 : 710.0;

// unit (e^u - 1 - u) / r^2 with u = s r, |u| <= ln2 / 2, s and unit powers of 2; relative to e^u the error is below
// 2^-28 (float), 2^-57.4 (double).
template <class V>
ACT_FN V expm1_tail(V r, double s = 1, double unit = 1) {
  const double c2 = unit * s * s, c3 = c2 * s, c4 = c3 * s, c5 = c4 * s, c6 = c5 * s;
  if constexpr (is_single<V>) {
    return horner(r, 0.50000000974327262293 * c2, 0.16666515936772943831 * c3, 0.041666198538505210933 * c4,
                  0.0083692373657064988994 * c5, 0.0013950984966896355184 * c6);
  } else {
    const double c7 = c6 * s, c8 = c7 * s, c9 = c8 * s, c10 = c9 * s, c11 = c10 * s;
    return horner(r, 0.50000000000000079185 * c2, 0.16666666666666692587 * c3, 0.041666666666546056136 * c4,
                  0.008333333333310231458 * c5, 0.00138888889406120553 * c6, 0.00019841269912413374355 * c7,
                  0.000024801495371662149617 * c8, 2.7557219746163754437e-6 * c9, 2.7629669017913552758e-7 * c10,
                  2.5117003687554546614e-8 * c11);
  }
}

// x - n ln2 for the whole n nearest to x / ln2, given as minus_n; x a V or a Pair. The first word of ln2 is so short
// that the first difference is exact.
template <class V>
inline constexpr double short_ln2 = is_single<V> ? 0x1.62e4p-1 : 0x1.62e42fefa38p-1;
template <class V>
inline constexpr double rest_of_ln2 = (ln2_hi - short_ln2<V>)+ln2_lo;
template <class V>
ACT_FN V reduced(V x, V minus_n) {
  return fma(minus_n, V(rest_of_ln2<V>), fma(minus_n, V(short_ln2<V>), x));
}
template <class V>
ACT_FN V reduced(Pair<V> x, V minus_n) {
  return fma(minus_n, V(short_ln2<V>), x.hi) + fma(minus_n, V(rest_of_ln2<V>), x.lo);
}
// What r, so reduced, rounds off.
template <class V>
ACT_FN V rest_of_reduced(V x, V minus_n, V r) {
  return fma(minus_n, V(rest_of_ln2<V>), fma(minus_n, V(short_ln2<V>), x) - r);
}
template <class V>
ACT_FN V rest_of_reduced(Pair<V> x, V minus_n, V r) {
  return (fma(minus_n, V(short_ln2<V>), x.hi) - r) + fma(minus_n, V(rest_of_ln2<V>), x.lo);
}

// 2^n for products whose other factors are below 2^30: 0 where these are.
template <class V>
ACT_FN Power<V> power_for_small(V n) {
  return Power<V>(select(n <= V(is_single<V> ? -180.0 : -1105.0), V(lowest_power<V>), n));
}

// For |x| <= exp_limit, or NaN; x a V or a Pair.
template <class X>
ACT_FN auto exp_parts(X x) {
  using V = decltype(head(x));
  const V n = nearest(head(x), log2_e), r = reduced(x, -n);
  const V square = r * r, tail = expm1_tail(r), q = fma(square, tail, r);
  return Exp<V>{q, n, fma(square, tail, r - q) + rest_of_reduced(x, -n, r)};
}

// e^x for an x brought to at least -exp_limit (`above`) and then to at most a bound, in its parts and as a value: for
// quotients of it whose power is applied last.
template <class V>
struct BoundedExp {
  V above, q, p, p_rest;  // p + p_rest = 1 + q, and what q rounds off
  Power<V> power;
  V value;

  ACT_FN Pair<V> mantissa() const { return {p, p_rest}; }
  ACT_FN Pair<V> pair() const { return {value, scale(p_rest, power)}; }
  // factor e^x
  ACT_FN V times(V factor) const { return scale(rounded(product(mantissa(), factor)), power); }
};
template <class V>
ACT_FN BoundedExp<V> bounded_exp(V x, double largest) {
  const V above = at_least(x, V(-exp_limit<V>));
  const Exp<V> e = exp_parts(at_most(above, V(largest)));
  const V p = V(1) + e.q;
  const Power<V> power = power_for_small(e.n);
  return {above, e.q, p, ((V(1) - p) + e.q) + e.rest, power, scale(p, power)};
}

// e^x as (top + rest) / bottom, a normal number in two words and a normal power of 2 also where e^x is subnormal or
// overflows: their sum is the denominator of logistic functions, whose quotients are rounded once.
template <class V>
struct ExpRatio {
  V top, rest, bottom;
  V quick_sum, sum;        // top + bottom with one rounding, quickly with two at +-2^24
  V quick_rest, sum_rest;  // what sum rounds off, without or with what its parts do

  ACT_FN Pair<V> numerator() const { return {top, rest}; }
  ACT_FN Pair<V> quick_denominator() const { return {sum, quick_rest}; }
  ACT_FN Pair<V> denominator() const { return {sum, sum_rest}; }
};

// Below -gate_zero x e^x is 0 after rounding, and below -small_gate it may soon be subnormal.
template <class V>
inline constexpr double gate_zero = is_single<V> ? 108.7 : 751.9;
template <class V>
inline constexpr double small_gate = is_single<V> ? 80.0 : 690.0;

// For x between -65 (-600 in double) and bottom_zero, or NaN; x a V or a Pair. At bottom_zero the exponent's bits are
// 0, and so is bottom; half a unit farther on they would wrap.
template <class V>
inline constexpr double bottom_zero = is_single<V> ? 109.7 : 751.9;
template <class X>
ACT_FN auto exp_ratio(X x) {
  using V = decltype(head(x));
  // Brings both parts into range.
  constexpr int k = is_single<V> ? -31 : -62;
  constexpr double unit = is_single<V> ? 0x1p31 : 0x1p62;
  const V shift(rounding_shift<V> + exponent_bias<V> - k);
  const V shifted = fma(head(x), V(-log2_e), shift);
  const V minus_n = shifted - shift, r = reduced(x, minus_n), tail = expm1_tail(r, 1, unit);
  const V slope = fma(tail, r, V(unit)), bottom = to_exponent(shifted);
  const V top = fma(slope, r, V(unit));
  // Where powers of 2 are so far apart that their sum is rounded, what it lacks comes with the smaller term.
  const V both = bottom + V(unit), lost = (V(unit) - both) + bottom;
  const V beyond = fma(slope, r, lost), sum = both + beyond;
  const V quick_rest = (both - sum) + beyond;
  V rest = fma(slope, r, V(unit) - top), sum_rest = quick_rest;
  if constexpr (is_single<V>) {
    // What r and the slope round off is made good too: pieces give what is usual (math/pieces.h), and speed matters
    // less.
    rest = fma(V(unit), rest_of_reduced(x, minus_n, r), fma(r * r, tail, fma(V(unit), r, V(unit) - top)));
    sum_rest = ((both - sum) + (top - V(unit))) + (lost + rest);
  }
  return ExpRatio<V>{top, rest, bottom, fma(slope, r, both), sum, quick_rest, sum_rest};
}

// e^x for the elements of a row, relative to their largest m: e^(x - base) 2^-n. A difference x - m would be rounded,
// which e^x magnifies. With the whole n nearest to m / ln2 nothing is subtracted from x (base is 0) but n from its
// exponent; and where m is so far out that all elements worth counting lie within a factor of 2 of it, base is m and
// x - m is exact.
template <class V>
struct RelativeExp {
  V base, n;  // the factor e^base 2^n, to compare rows' parts by

  RelativeExp() = default;
  template <class W>
  ACT_FN explicit RelativeExp(const RelativeExp<W>& row)
      : base(row.base), n(row.n), shift_(row.shift_), lower_(row.lower_) {}
  ACT_FN explicit RelativeExp(V m) {
    const auto near = abs(m) < V(bound);
    base = unless(near, m);
    const V top = where(near, m);
    n = nearest(top, log2_e);
    shift_ = V(rounding_shift<V> + exponent_bias<V> + k) - n;
    // From here downwards the result is 0 after rounding. Here the exponent's bits are 0, and so is the power: a
    // product that is rounded to 0 takes a processor a hundred times as long, and masks fill rows up with -inf.
    lower_ = (n - V(exponent_bias<V> + k)) * V(ln2_hi);
  }

  // For an x of at most m.
  ACT_FN V operator()(V x) const { return times<0>(x - base); }
  // For sign x, with sign 1 or -1.
  ACT_FN V operator()(V sign, V x) const { return times<0>(fma(sign, x, -base)); }
  // 2^magnification times that, for sums that are compared with each other: no term is subnormal, and what is 0 after
  // rounding counts for nothing.
  ACT_FN V magnified(V x) const { return times<magnification>(x - base); }

 private:
  template <class>
  friend struct RelativeExp;
  // At least twice what an element may be below m and count.
  static constexpr double bound = is_single<V> ? 212.0 : 1494.0;
  // 2^(k - ...) is a normal number also for the smallest results; 2^-k is in the polynomial.
  static constexpr int k = is_single<V> ? 27 : 55;
  static constexpr int magnification = k + 40;

  template <int kPower>
  ACT_FN V times(V difference) const {
    // 2^k that the exponent has in advance is taken off again, or is part of the magnification.
    constexpr double unit = kPower == 0 ? 1 / static_cast<double>(std::int64_t{1} << k) : 1;
    const V shift = kPower == 0 ? shift_ : shift_ + V(kPower - k), lower = kPower == 0 ? lower_ : lower_ - V(26);
    const V argument = at_least(difference, lower);
    const V shifted = fma(argument, V(log2_e), shift);
    const V r = reduced(argument, shift - shifted);
    return fma(fma(expm1_tail(r, 1, unit), r, V(unit)), r, V(unit)) * to_exponent(shifted);
  }

  V shift_, lower_;
};

// x with its leading word brought into [low, high], without the correction where that changed it.
template <class V>
ACT_FN V clamped(V x, V low, V high) {
  return clamp(x, low, high);
}
template <class V>
ACT_FN Pair<V> clamped(Pair<V> x, V low, V high) {
  return with_head(x, clamp(x.hi, low, high));
}

// factor * e^x with one rounding at the scaling. Beyond the limits the value is that at the limit, 0 or inf after
// rounding.
template <class V, class X>
ACT_FN V scaled_exp(V factor, X x) {
  const Exp<V> e = exp_parts(clamped(x, V(-exp_limit<V>), V(exp_overflow<V>)));
  return scale(fma(factor, e.q, factor), Power<V>(e.n));
}

// e^(a x) for a constant a. Its derivative (math/dual.h) overflows where it does, and does not see the clamp.
template <class V>
ACT_FN V exp_of_product(V a, V x) {
  return scaled_exp(V(1), product(a, x));
}

// e^x - 1 in two words for an x below 0; from -40 on it is -1. x a V or a Pair.
template <class X>
ACT_FN auto expm1_below(X x) {
  using V = decltype(head(x));
  const Exp<V> e = exp_parts(at_least(x, V(-40)));
  const V power = pow2(e.n), less = power - V(1), value = fma(power, e.q, less);
  return Pair<V>{value, fma(power, e.rest, fma(power, e.q, less - value))};
}

// Up to here e^x - 1 is x, which may be subnormal and is not to be rounded by being scaled.
template <class V>
inline constexpr double expm1_is_straight = is_single<V> ? 0x1p-26 : 0x1p-56;
// e^x - 1 with what the last sum and the parts before it round off; x a V or a Pair.
template <class X>
ACT_FN auto expm1_in_two_words(X x) {
  using V = decltype(head(x));
  // Below -40 the result is -1. Half of 2^n stays finite where 2^n does not.
  const Exp<V> e = exp_parts(clamped(x, V(-40), V(exp_overflow<V>)));
  const V half_power = pow2(e.n - V(1)), half = fma(half_power, e.q, half_power - V(0.5));
  return twice(Pair<V>{half, fma(half_power, e.rest, fma(half_power, e.q, (half_power - V(0.5)) - half))});
}
template <class X>
ACT_FN auto expm1(X x) {
  return expm1_in_two_words(x).hi;
}

}  // namespace act_ext
