// The normal distribution's upper tail, on which GELU stands, and the error function.
#pragma once

#include "exp.h"

namespace act_ext {

inline constexpr double inverse_sqrt_2pi = 0.398942280401432677939946;
inline constexpr double inverse_sqrt_2pi_rest = -0x1.cbc0d30ebfd15p-56;
inline constexpr double two_over_sqrt_pi = 0x1.20dd750429b6dp+0, two_over_sqrt_pi_rest = 0x1.1ae3a914fed80p-56;

// For a = |x|: P(N > a) = e^(-a^2/2) R(a), R(a) = erfcx(a / sqrt(2)) / 2. e^(-a^2/2) = (1 + q) times the power.
template <class V>
struct NormalTail {
  V a, q;
  Power<V> power;
  Pair<V> mantissa, ratio;  // 1 + q and R(a)

  // factor e^(-a^2/2)
  ACT_FN V times_power(V factor) const { return scale(fma(factor, q, factor), power); }
  ACT_FN Pair<V> times_power(Pair<V> factor) const { return scale(product(mantissa, factor), power); }
};

// Where the tail is 0 after any rounding.
template <class V>
inline constexpr double normal_limit = is_single<V> ? 15.0 : 39.0;

// R(a) (a + 4) on [0, 14.7] (float), [0, 38.8] (double), in t = (a - 4) / (a + 4): relative error 2^-26.8, 2^-59.3.
// Its coefficients fall quickly and it hardly cancels. Coefficients: tools/fit.py.
template <class V>
ACT_FN Pair<V> mills_times_sum(V t) {
  constexpr bool single = is_single<V>;
  V tail(0);
  if constexpr (single) {
    tail = horner(t, 0.38713690674844051621, -0.1865235295621357738, 0.060403698190647960246, -0.0075247441270246468426,
                  -0.0035116086035154378359, 0.0015692722900986390376, 0.00017741500164461223553,
                  -0.00013288467247112790332);
  } else {
    tail = horner(
        t, 0.38713740074221483257, -0.18652185795965858291, 0.060396574890920134118, -0.0075401889666847168696,
        -0.0034796923670308643634, 0.0016308184570007727239, 0.00013334430827641093529, -0.00023109493085581490728,
        -1.908230817652887548e-6, 0.000035144668435233273986, 7.1655011087767562446e-7, -5.9201352263482295178e-6,
        -6.2938092302471324438e-7, 1.0215278458709914438e-6, 2.7125044999649773518e-7, -1.5502888664636401726e-7,
        -8.4801166379772968551e-8, 1.3449786290005313105e-8, 1.9241737442464287118e-8, 1.7622793111446944385e-9,
        -2.4201550382494735776e-9, -6.7277504401421341926e-10);
  }
  const auto second = step(t, tail, constant_pair<V>(single ? -0.60789658486654718186 : -0.60789664197189209542));
  return step(t, second, constant_pair<V>(single ? 0.75528513533704133221 : 0.75528513041575149241));
}

template <class V>
ACT_FN NormalTail<V> normal_tail(V x) {
  const V a = at_most(abs(x), V(normal_limit<V>));
  // As in exp_parts for -a^2 / 2, with a^2 in two words and the halving left to the coefficients.
  const auto square = product(a, a);
  const V n = nearest(square.hi, -0.5 * log2_e);
  const V r = fma(n, V(-2 * short_ln2<V>), -square.hi) + fma(n, V(-2 * rest_of_ln2<V>), -square.lo);
  const V slope = fma(r, expm1_tail(r, 0.5), V(0.5)), q = r * slope, p = fma(r, slope, V(1));
  // The sum's second word is exact also where a is the larger: 4 is a multiple of the last place.
  const auto sum = sum_of_ordered(V(4), a);
  const V inverse = V(1) / sum.hi, rest = inverse * fma(-inverse, sum.lo, fma(-inverse, sum.hi, V(1)));
  // (a - 4) / (a + 4)
  const V t = fma(V(-8), rest, fma(V(-8), inverse, V(1)));
  return {a, q, Power<V>(n), {p, fma(r, slope, V(1) - p)}, product(mills_times_sum(t), Pair<V>{inverse, rest})};
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
  const V far = fma(V(-2) * decay, tail.ratio.hi, V(1));
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
