// The vocabulary in which the approximations and activations are written, generic over V. Each V (cpu/vec.h,
// math/scalar.h, math/dual.h) brings: arithmetic, comparisons giving its mask, select, fma, abs, copysign,
// minus_abs, at_least, at_most, sqrt and, but for Dual, to_exponent, from_exponent and, in single precision, to_piece
// and entry.
#pragma once

#include <type_traits>

#include "../activation.h"
#include "scalar.h"

namespace act_ext {

// The floating-point format that V computes in.
template <class V>
struct ScalarOf {
  using type = V;
};
template <class V>
using Scalar = typename ScalarOf<V>::type;
template <class V>
inline constexpr bool is_single = std::is_same_v<Scalar<V>, float>;

// c0 + c1 x + c2 x^2 + ...
template <class V>
ACT_FN V horner(V, double c) {
  return V(c);
}
template <class V, class... C>
ACT_FN V horner(V x, double c, C... rest) {
  return fma(horner(x, rest...), x, V(c));
}

// 1.5 * 2^23 (2^52): adding it rounds a number below 2^21 in magnitude to a whole one, which then stands in the low
// bits.
template <class V>
inline constexpr double rounding_shift = is_single<V> ? 12582912.0 : 6755399441055744.0;
template <class V>
inline constexpr int exponent_bias = is_single<V> ? 127 : 1023;

// The whole number nearest to x factor, for |x factor| < 2^21.
template <class V>
ACT_FN V nearest(V x, double factor) {
  const V shift(rounding_shift<V>);
  return fma(x, V(factor), shift) - shift;
}

// 2^n for a whole n of a normal 2^n. to_exponent moves the low bits up to where the exponent stands.
template <class V>
ACT_FN V pow2(V n) {
  return to_exponent(n + V(rounding_shift<V> + exponent_bias<V>));
}

// The n of a normal positive x = m 2^n with 1 <= m < 2. from_exponent moves the exponent's bits down to where a whole
// number's stand, and adds that of 2^23 (2^52) in front.
template <class V>
ACT_FN V exponent(V x) {
  return from_exponent(x) - V((is_single<V> ? 0x1p23 : 0x1p52) + exponent_bias<V>);
}

// What a comparison gives.
template <class V>
using MaskOf = decltype(V(0) < V(0));

// x where mask holds, or does not; 0 elsewhere.
template <class M, class V>
ACT_FN V where(M mask, V x) {
  return select(mask, x, V(0));
}
template <class M, class V>
ACT_FN V unless(M mask, V x) {
  return select(mask, V(0), x);
}

// 2^n for a whole n, to be applied with one rounding however small the product: in two halves, each a normal number.
// From lowest_power downwards it is 0, as products with all but huge numbers would be: a product that is rounded to 0
// takes a processor a hundred times as long as one with 0.
template <class V>
inline constexpr double lowest_power = is_single<V> ? -251.0 : -2043.0;
template <class V>
struct Power {
  V first, second;

  Power() = default;
  ACT_FN explicit Power(V n) {
    const V half = nearest(n, 0.5);
    first = unless(n <= V(lowest_power<V>), pow2(half));
    second = pow2(n - half);
  }
  ACT_FN V scale(V y) const { return y * first * second; }
};
template <class V>
ACT_FN V scale(V y, Power<V> power) {
  return power.scale(y);
}
// The power where mask holds, 1 elsewhere.
template <class M, class V>
ACT_FN Power<V> power_where(M mask, Power<V> power) {
  power.first = select(mask, power.first, V(1));
  power.second = select(mask, power.second, V(1));
  return power;
}

// What a function of several results gives.
template <class V, int kCount>
struct Results {
  V value[kCount];
};
template <class V, int kCount>
ACT_FN Results<V, kCount> operator+(Results<V, kCount> a, const Results<V, kCount>& b) {
  for (int k = 0; k < kCount; ++k) a.value[k] = a.value[k] + b.value[k];
  return a;
}
template <class M, class V, int kCount>
ACT_FN Results<V, kCount> select(M mask, Results<V, kCount> a, const Results<V, kCount>& b) {
  for (int k = 0; k < kCount; ++k) a.value[k] = select(mask, a.value[k], b.value[k]);
  return a;
}

// A value with its slope, where they have most in common.
template <class V>
struct ValueAndSlope {
  V value, slope;
};
template <class M, class V>
ACT_FN ValueAndSlope<V> select(M mask, ValueAndSlope<V> a, ValueAndSlope<V> b) {
  return {select(mask, a.value, b.value), select(mask, a.slope, b.slope)};
}

// A value carried in two words, hi + lo, where one would lose what a later exponential magnifies.
template <class V>
struct Pair {
  V hi, lo;
};
template <class M, class V>
ACT_FN Pair<V> select(M mask, Pair<V> a, Pair<V> b) {
  return {select(mask, a.hi, b.hi), select(mask, a.lo, b.lo)};
}

template <class V>
ACT_FN Pair<V> in_two_words(V x) {
  return {x, V(0)};
}
template <class V>
ACT_FN Pair<V> in_two_words(Pair<V> x) {
  return x;
}
// The leading word of an argument in one word or two.
template <class V>
ACT_FN V head(V x) {
  return x;
}
template <class V>
ACT_FN V head(Pair<V> x) {
  return x.hi;
}

// The real number hi + lo, given as two doubles, in two words of V.
template <class V>
ACT_FN Pair<V> constant_pair(double hi, double lo = 0) {
  using S = Scalar<V>;
  const double first = static_cast<double>(static_cast<S>(hi));
  return {V(first), V((hi - first) + lo)};
}

// a * b without rounding.
template <class V>
ACT_FN Pair<V> product(V a, V b) {
  const V hi = a * b;
  return {hi, fma(a, b, -hi)};
}
template <class V>
ACT_FN Pair<V> product(Pair<V> a, V b) {
  const V hi = a.hi * b;
  return {hi, fma(a.lo, b, fma(a.hi, b, -hi))};
}
// But for the product of the second words.
template <class V>
ACT_FN Pair<V> product(Pair<V> a, Pair<V> b) {
  const V hi = a.hi * b.hi;
  return {hi, fma(a.lo, b.hi, fma(a.hi, b.lo, fma(a.hi, b.hi, -hi)))};
}

// a b with little more than one rounding.
template <class V>
ACT_FN V rounded_product(V a, Pair<V> b) {
  return fma(a, b.hi, a * b.lo);
}
template <class V>
ACT_FN V rounded_product(Pair<V> a, Pair<V> b) {
  return fma(a.hi, b.hi, fma(a.hi, b.lo, a.lo * b.hi));
}

// The same also where a, b's first word or the product is infinite, so that there is no second word; 0 has the sign of
// its factors.
template <class V>
ACT_FN V guarded_product(V a, Pair<V> b) {
  const V quick = a * b.hi;
  return select(abs(quick) < V(inf), copysign(rounded_product(a, b), quick), quick);
}

// a + b without rounding.
template <class V>
ACT_FN Pair<V> sum(V a, V b) {
  const V hi = a + b;
  const V b_part = hi - a;
  return {hi, (a - (hi - b_part)) + (b - b_part)};
}

// The same where the first has the larger exponent, or both the same, or where the first is a multiple of the sum's
// last place, as small whole numbers and powers of 2 are until they are lost in the sum.
template <class V>
ACT_FN Pair<V> sum_of_ordered(V a, V b) {
  const V hi = a + b;
  return {hi, (a - hi) + b};
}
// The same for numbers that are not negative.
template <class V>
ACT_FN Pair<V> sum_of_positive(V a, V b) {
  const V hi = a + b;
  return {hi, at_most(a, b) - (hi - at_least(a, b))};
}
template <class V>
ACT_FN Pair<V> sum_of_positive(V a, Pair<V> b) {
  const auto [hi, lo] = sum_of_positive(a, b.hi);
  return {hi, lo + b.lo};
}

template <class V>
ACT_FN Pair<V> sum_of_ordered(V a, Pair<V> b) {
  const auto [hi, lo] = sum_of_ordered(a, b.hi);
  return {hi, lo + b.lo};
}

template <class V>
ACT_FN Pair<V> operator-(Pair<V> x) {
  return {-x.hi, -x.lo};
}
template <class V>
ACT_FN Pair<V> minus_abs(Pair<V> x) {
  return {minus_abs(x.hi), select(x.hi < V(0), x.lo, -x.lo)};
}
// x with its leading word made hi, without the correction where that changes it.
template <class V>
ACT_FN Pair<V> with_head(Pair<V> x, V hi) {
  return {hi, where(hi == x.hi, x.lo)};
}
template <class V>
ACT_FN Pair<V> at_least(Pair<V> x, V least) {
  return with_head(x, at_least(x.hi, least));
}
template <class V>
ACT_FN Pair<V> twice(Pair<V> x) {
  return {x.hi + x.hi, x.lo + x.lo};
}
template <class V>
ACT_FN V rounded(Pair<V> x) {
  return x.hi + x.lo;
}

// a / b in two words.
template <class V>
ACT_FN Pair<V> quotient(V a, V b) {
  const V inverse = V(1) / b;
  const V hi = a * inverse;
  return {hi, fma(-hi, b, a) * inverse};
}
// The same given 1 / b but for some roundings, which are made good.
template <class V>
ACT_FN Pair<V> quotient(Pair<V> a, Pair<V> b, V inverse) {
  const V hi = a.hi * inverse;
  return {hi, (fma(-hi, b.lo, a.lo) + fma(-hi, b.hi, a.hi)) * inverse};
}
template <class V>
ACT_FN Pair<V> quotient(Pair<V> a, Pair<V> b) {
  return quotient(a, b, V(1) / b.hi);
}
// a / b with little more than one rounding. What is taken off is +0 where a is 0: -0 stays.
template <class V>
ACT_FN V divided(Pair<V> a, Pair<V> b, V inverse) {
  const V y = a.hi * inverse;
  return fma(-(fma(y, b.lo, -a.lo) + fma(y, b.hi, -a.hi)), inverse, y);
}
template <class V>
ACT_FN V divided(Pair<V> a, Pair<V> b) {
  return divided(a, b, V(1) / b.hi);
}

// 1 / b with little more than one rounding.
template <class V>
ACT_FN V inverse(Pair<V> b) {
  const V y = V(1) / b.hi;
  return fma(-fma(y, b.lo, fma(y, b.hi, V(-1))), y, y);
}

// One step of horner in two words: c + x inner, for an |x inner| of at most the size of |c|.
template <class V>
ACT_FN Pair<V> step(V x, V inner, V c) {
  const V hi = fma(x, inner, c);
  return {hi, fma(x, inner, c - hi)};
}
template <class V>
ACT_FN Pair<V> step(V x, V inner, Pair<V> c) {
  const auto [hi, lo] = step(x, inner, c.hi);
  return {hi, lo + c.lo};
}

// a + b c with one rounding, for a finite a that is 0 or no smaller than b c.
template <class V>
ACT_FN V sum_with_product(V a, V b, Pair<V> c) {
  const auto value = step(b, c.hi, a);
  return value.hi + fma(b, c.lo, value.lo);
}

// a b + c in two words.
template <class V>
ACT_FN Pair<V> product_and_sum(V a, V b, V c) {
  const auto p = product(a, b);
  const auto total = sum(p.hi, c);
  return {total.hi, total.lo + p.lo};
}

// factor x for a positive factor, given as two doubles, that V's format rounds. The first word here is below it and
// the second positive: the sign of a zero and infinity stay.
template <class V>
ACT_FN V times_constant(V x, double factor, double rest) {
  const double below = is_single<V> ? static_cast<float>(factor * (1 - 0x1p-23)) : factor * (1 - 0x1p-52);
  return fma(x, V(below), x * V((factor - below) + rest));
}

// The inverse square root of a positive number in two words.
template <class V>
ACT_FN Pair<V> inverse_root(Pair<V> x) {
  const V w = V(1) / sqrt(x.hi);
  // 1 - x w^2 is twice what w lacks, in parts of it.
  const auto t = product(x, w);
  return {w, V(0.5) * w * fma(-t.lo, w, fma(-t.hi, w, V(1)))};
}

// What an exact result does not depend on to first order, and its derivative should not either: see math/dual.h.
template <class V>
ACT_FN V as_constant(V x) {
  return x;
}

// value where x is a number, x where it is NaN.
template <class V>
ACT_FN V keep_nan(V x, V value) {
  return select(x == x, value, x);
}

template <class V>
ACT_FN V clamp(V x, V low, V high) {
  return at_most(at_least(x, low), high);
}

}  // namespace act_ext
