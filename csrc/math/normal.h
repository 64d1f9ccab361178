// The normal distribution's upper tail, on which GELU stands, and the error function.
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
  // factor e^(-a^2/2)
  ACT_FN V times_power(V factor) const { return scale(fma(factor, q, factor), power); }
  // factor e^(-a^2/2) / denominator
  ACT_FN V times(V factor) const { return scale(fma(factor, q, factor) / denominator, power); }
  ACT_FN V times_inverse(V factor, V inverse) const { return scale(fma(factor, q, factor) * inverse, power); }
};

inline constexpr double inverse_sqrt_2pi = 0.398942280401432677939946;
inline constexpr double two_over_sqrt_pi = 0x1.20dd750429b6dp+0, two_over_sqrt_pi_rest = 0x1.1ae3a914fed80p-56;

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

// (1 / sqrt(2 pi) - a R(a)) times the denominator: far out a R(a) as this difference hardly rounds. The coefficients
// are 1 / sqrt(2 pi) times the denominator's less the numerator's before them (tools/fit.py prints them too), and so is
// the error.
template <class V>
ACT_FN V mills_complement(V a) {
  const V a2 = a * a;
  if constexpr (is_single<V>) {
    return horner_by_pairs(a, a2, 0.39894228040143267794, 0.16802016011593042505, 0.041434836655855124072,
                           0.0040566242286995237527, 2.5719033408172640599e-6, -4.7768802076965642515e-8);
  } else {
    return horner_by_pairs(a, a2, 0.39894228040143267794, 0.47875099729378079566, 0.29573973100356268597,
                           0.11875695943683624281, 0.033624671082847297728, 0.006903478457502876253,
                           0.0010242481346548686463, 0.00010593851817381630001, 6.9616026746537109209e-6,
                           2.2364047283132939992e-7, 1.2230178865017615524e-17, -5.2826662116635920069e-20);
  }
}

template <class V>
ACT_FN NormalTail<V> normal_tail(V x) {
  const V a = at_most(abs(x), V(normal_limit<V>));
  // As in exp_parts for -a^2 / 2, with a^2 in two words and the halving left to the coefficients.
  const auto square = product(a, a);
  const V n = nearest(square.hi, -0.5 * log2_e);
  const V r = fma(n, V(-2 * short_ln2<V>), -square.hi) + fma(n, V(-2 * rest_of_ln2<V>), -square.lo);
  const V q = r * fma(r, expm1_tail(r, 0.5), V(0.5));
  return {a, q, Power<V>(n), mills_rest(a, square.hi), fma(a, mills_denominator_rest(a, square.hi), V(1))};
}

// erf(s) in two words, e^(-s^2), to which its derivative is proportional, and e^(-s^2) - 1.
template <class V>
struct ErfAndDecay {
  Pair<V> value;
  V decay, loss;
};
// (erf(s) / s - 2 / sqrt(pi)) / s^2 in z = s^2 for |s| <= 1: the error is 2^-29.6, 2^-62.7 of erf(s).
// Coefficients: tools/fit.py.
template <class V>
ACT_FN V erf_tail(V z) {
  if constexpr (is_single<V>) {
    return horner(z, -0.37612625823371261594, 0.11283585146910163544, -0.026853812023799376226,
                  0.0051883280272892979113, -0.00080101976421239634419, 0.000078538771581796149845);
  } else {
    return horner(z, -0.37612638903183747604, 0.11283791670954857493, -0.026866170645072895024,
                  0.0052239776247808678911, -0.00085483269787422305229, 0.00012055331036897567737,
                  -0.000014925593506744803451, 1.6460972812960757627e-6, -1.6350025160772114472e-7,
                  1.4657879303456519721e-8, -1.1365663436097420742e-9, 5.9452567919730493198e-11);
  }
}

// For s >= 0.
template <class V>
ACT_FN ErfAndDecay<V> erf_and_decay(V s) {
  const auto tail = normal_tail(s * V(1.41421356237309504880));
  const V decay = scale(V(1) + tail.q, tail.power);
  const V loss = select(s > V(0.5), decay - V(1), tail.q);
  const V far = fma(V(-2) * decay, tail.numerator() / tail.denominator, V(1));
  const auto c = constant_pair<V>(two_over_sqrt_pi, two_over_sqrt_pi_rest);
  const auto linear = product(s, c.hi);
  const V z = s * s, near_rest = fma(s, fma(z, erf_tail(z), c.lo), linear.lo);
  const auto large = s > V(1);
  return {{select(large, far, linear.hi), select(large, V(0), near_rest)}, decay, loss};
}

// Phi(x), the probability that N < x, for x up to sqrt(2), where its sum does not cancel much.
template <class V>
ACT_FN V normal_probability(V x) {
  // (1 + erf(x / sqrt(2))) / 2
  const V z = V(0.5) * x * x;
  return fma(x, fma(z, V(0.35355339059327376220) * erf_tail(z), V(inverse_sqrt_2pi)), V(0.5));
}

}  // namespace act_ext
