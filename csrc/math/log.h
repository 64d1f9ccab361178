// The logarithm.
#pragma once

#include "logistic.h"

namespace act_ext {

// Of a normal positive x = 2^n m with sqrt(1/2) <= m < sqrt(2): n ln2 + log(m).
template <class V>
ACT_FN V log_of_normal(V x) {
  const V n = exponent(x * V(1.41421356237309504880));
  const V m = x * pow2(-n);
  const V w = V(2) * (m - V(1)) / (m + V(1));
  const auto ln2 = constant_pair<V>(ln2_hi, ln2_lo);
  return fma(n, ln2.hi, fma(n, ln2.lo, times_atanh_series(w, w)));
}

}  // namespace act_ext
