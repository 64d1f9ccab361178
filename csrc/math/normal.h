// The normal distribution's upper tail, on which GELU stands.
#pragma once

#include "exp.h"

namespace act_ext {

// For a = |x|: P(N > a) = e^(-a^2/2) R(a), R(a) = erfcx(a / sqrt(2)) / 2 = (1/2 + a rest) / denominator. All
// coefficients are positive, so neither sum cancels. e^(-a^2/2) = (1 + q) times the power.
template <class V>
struct NormalTail {
  V a, q;
  Power<V> power;
  V rest, denominator;

  // a R(a) and R(a), each times the denominator. a / 2 is exact, so that the first rounds once where a is small.
  ACT_FN V a_times_numerator() const { return fma(a * a, rest, V(0.5) * a); }
  ACT_FN V numerator() const { return fma(a, rest, V(0.5)); }
  // factor e^(-a^2/2) / denominator
  ACT_FN V times(V factor) const { return scale(fma(factor, q, factor) / denominator, power); }
  ACT_FN V times_inverse(V factor, V inverse) const { return scale(fma(factor, q, factor) * inverse, power); }
};

// Where the tail is 0 after any rounding.
template <class V>
inline constexpr double normal_limit = is_single<V> ? 15.0 : 39.0;

// R(a) on [0, 14.5] (float), [0, 38.7] (double) as a ratio of degree (4, 5), (10, 11): relative error 2^-27.3, 2^-59.9.
// Coefficients: tools/fit.py.
template <class V>
ACT_FN V mills_rest(V a, V a2) {
  if constexpr (is_single<V>) {
    return horner_by_pairs(a, a2, 0.43829661984683252391, 0.18323645280653586482, 0.040633692724139913181,
                           0.0041163852274539923563);
  } else {
    return horner_by_pairs(a, a2, 0.82774018141850761671, 0.67932225993478390142, 0.35712452669020246461,
                           0.13193857052548655777, 0.035631340797271004488, 0.0071140165771053902747,
                           0.0010381712215261292736, 0.00010638580278699574715, 6.9616025915233197561e-6,
                           2.2364047412374326519e-7);
  }
}
template <class V>
ACT_FN V mills_denominator_rest(V a, V a2) {
  if constexpr (is_single<V>) {
    return horner_by_pairs(a, a2, 1.6744782213701193779, 1.2025084330995488055, 0.46947412253916314495,
                           0.10186000989063077972, 0.010318127861779608047);
  } else {
    return horner_by_pairs(a, a2, 2.4533649236398807978, 2.8161465144571216315, 2.0004879366723399551,
                           0.9794629874273073096, 0.34802540568846366303, 0.091881935640016549903,
                           0.018097743583393018417, 0.0026197594878866334191, 0.00026723024481775189069,
                           0.000017450149892687457276, 5.6058353579032507797e-7);
  }
}

template <class V>
ACT_FN NormalTail<V> normal_tail(V x) {
  const V a = at_most(abs(x), V(normal_limit<V>));
  // As in exp_parts for -a^2 / 2, with a^2 in two words and the halving left to the coefficients.
  const auto square = product(a, a);
  const V n = nearest(square.hi, -0.5 * log2_e);
  const auto ln2 = constant_pair<V>(-2 * ln2_hi, -2 * ln2_lo);
  const V r = fma(n, ln2.lo, fma(n, ln2.hi, -square.hi)) - square.lo;
  const V q = r * fma(r, expm1_tail(r, 0.5), V(0.5));
  return {a, q, Power<V>(n), mills_rest(a, square.hi), fma(a, mills_denominator_rest(a, square.hi), V(1))};
}

}  // namespace act_ext
