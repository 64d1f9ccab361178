// The logarithm.
#pragma once

#include "logistic.h"

namespace act_ext {

// Of (1 + d + rest) 2^n, for 1 + d in [sqrt(1/2), 2] and a rest below its last place, whose first order is enough.
template <class V>
ACT_FN V log_of_parts(V d, V rest, V n) {
  // 2 atanh(w / 2) with w = 2 d / (2 + d) = d - d w / 2: d itself has no rounding.
  const V w = V(2) * d / (V(2) + d), z = w * w;
  // The first word of n ln2 is exact.
  const auto [hi, lo] = sum_of_ordered(n * V(short_ln2<V>), d);
  const V small = fma(rest, fma(d, d, V(1) - d), lo);
  return hi + fma(n, V(rest_of_ln2<V>), fma(w, fma(z, atanh_tail(z), V(-0.5) * d), small));
}

// Of a normal positive x = 2^n m with sqrt(1/2) <= m < sqrt(2).
template <class V>
ACT_FN V log_of_normal(V x) {
  const V n = exponent(x * V(1.41421356237309504880));
  return log_of_parts(x * pow2(-n) - V(1), V(0), n);
}

// Of (hi + lo) 2^shift, for an hi that is not subnormal and a lo below half its last place: -inf at 0, NaN below it.
template <class V>
ACT_FN V log_of_pair(Pair<V> x, V shift = V(0)) {
  // As above, but 2^(1 - n) is a normal number also for the largest hi.
  // What has no logarithm would give subnormal numbers, which are slow.
  const auto positive = x.hi > V(0);
  const V hi = select(positive, x.hi, V(1));
  const V n = at_most(exponent(hi * V(0.70710678118654752440)) + V(1), V(exponent_bias<V>));
  const V power = pow2(V(1) - n), half = V(0.5) * power;
  const V log = log_of_parts(fma(hi * power, V(0.5), V(-1)), x.lo * half, n + shift);
  return select(positive, select(x.hi < V(inf), log, x.hi), select(x.hi < V(0), V(none), x.hi - V(inf)));
}

// log(1 + u) for every u.
template <class V>
ACT_FN V log1p_of_any(V u) {
  const auto x = sum(V(1), u);
  return log_of_pair(Pair<V>{x.hi, where(abs(u) < V(inf), x.lo)});
}

// log(1 + a b) for an a > 0 and every b, whether a b overflows or not.
template <class V>
ACT_FN V log1p_of_product(V a, Pair<V> b) {
  const auto z = product(b, a);
  const auto one_and_z = sum(V(1), z.hi), x = sum(one_and_z.hi, one_and_z.lo + z.lo);
  // Far out the 1 does not count, and both factors are scaled down. An a that small meets an infinite b alone.
  constexpr int k = is_single<V> ? 64 : 512;
  const V unit(is_single<V> ? 0x1p-64 : 0x1p-512), smallest(is_single<V> ? 0x1p-60 : 0x1p-500);
  const auto far = z.hi > V(is_single<V> ? 0x1p80 : 0x1p640);
  const V hi = select(far, (at_least(a, smallest) * unit) * (select(far, b.hi, V(1) / unit) * unit), x.hi);
  return log_of_pair(Pair<V>{hi, unless(far, x.lo)}, where(far, V(2 * k)));
}

}  // namespace act_ext
