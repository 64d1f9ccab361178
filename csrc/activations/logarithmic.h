// Activations from papers that take a logarithm of any argument.
#pragma once

#include "../math/log.h"
#include "gated.h"

namespace act_ext {

template <class V>
struct NLRelu {
  static constexpr Spec spec{
      .name = "nlrelu",
      .params = "float beta=1.0",
      .formula = "log1p(beta * clamp(x, 0))",
      .derivative = "where(x > 0, beta / (1 + beta * clamp(x, 0)), 0)",
      .paper = "arXiv:1908.03682",
      .facts = Facts{.infimum = 0, .zero_centred = false, .saturates = Saturates::below, .smoothness = 0},
      .gates = true,
      .heavy = true,
      .invalid = [](const double* p) -> const char* { return p[0] <= 0 ? "beta must be positive" : nullptr; }};
  V beta;
  ACT_FN V forward(V x) const { return forward_of(x, V(0)); }
  // beta / (1 + beta x) without its products, which may overflow.
  ACT_FN V slope(V x) const { return slope_with(x, V(0)); }

 protected:
  // Of x + rest.
  ACT_FN V forward_of(V x, V rest) const {
    return select(x > V(0), log1p_of_product(width(), Pair<V>{x, rest}), at_least(x, V(0)));
  }
  // Times 1 + rest.
  ACT_FN V slope_with(V x, V rest) const {
    const V above = divided(Pair<V>{V(1), rest}, sum_of_positive(x, quotient(V(1), width())));
    return select((x > V(0)) & (x < V(inf)), above, keep_nan(x, V(0)));
  }

 private:
  // beta, if V's format takes it for 0 a normal number.
  ACT_FN V width() const { return at_least(beta, V(is_single<V> ? 1e-37 : 1e-307)); }
};

// With a little more or less, less than float32's last place and found by trial, what lies next to the middle between
// two numbers is rounded right.
template <class V>
struct NLReluIn16Bits : NLRelu<V> {
  ACT_FN V forward(V x) const { return this->forward_of(x, V(11 * 0x1p-28) * x); }
  ACT_FN V slope(V x) const { return this->slope_with(x, V(-3 * 0x1p-28)); }
};
template <>
struct In16Bits<NLRelu> : ByAnother<NLReluIn16Bits> {};

template <class V>
struct SoftExponential {
  static constexpr Spec spec{
      .name = "softexponential",
      .params = "float alpha=1.0",
      .formula =
          "x if alpha == 0 else exp(alpha * x) / alpha + (alpha - 1 / alpha) if alpha > 0"
          " else log1p(-alpha * (x + alpha)) / -alpha",
      .derivative = "1 if alpha == 0 else exp(alpha * x) if alpha > 0 else 1 / (1 - alpha * (x + alpha))",
      .paper = "arXiv:1602.01321",
      .facts = Facts{.infimum = 0, .zero_centred = false, .saturates = Saturates::below},
      .heavy = true};
  V alpha;
  ACT_FN V forward(V x) const {
    return value(x, [this](V x) { return exponential(x); });
  }
  ACT_FN V slope(V x) const {
    return slope_by(x, [this](V x) { return exp_of_product(alpha, x); });
  }

 protected:
  // alpha is one number, and only what its sign asks for is computed.
  template <class Far>
  ACT_FN V value(V x, const Far& of_positive) const {
    const auto shifted = sum(x, alpha);
    V argument, near, far;
    if (all(alpha < V(0))) {
      argument = alpha * shifted.hi;
      near = shifted.hi;
      far = log1p_of_product(-alpha, shifted) / -alpha;
    } else {
      argument = alpha * x;
      near = fma(V(0.5) * argument, x, shifted.hi);
      far = of_positive(x);
    }
    const V curve = select(abs(argument) < V(is_single<V> ? 0x1p-30 : 0x1p-60), near, far);
    return select(abs(alpha) < V(smallest), x, curve);
  }
  template <class Exponential>
  ACT_FN V slope_by(V x, const Exponential& of_positive) const {
    return select(abs(alpha) < V(smallest), keep_nan(x, V(1)),
                  all(alpha < V(0)) ? slope_of_logarithm(x) : of_positive(x));
  }

  // alpha - 1 / alpha
  ACT_FN V rest_of(V inverse) const { return (alpha - V(1)) * (V(1) + inverse); }
  // For alpha > 0, with e = e^(alpha x): expm1(alpha x) / alpha + alpha or e / alpha + (alpha - 1 / alpha), whichever
  // cancels less.
  ACT_FN V exponential(V x) const {
    const Exp<V> e = exp_parts(clamped(product(alpha, x), V(-exp_limit<V>), V(exp_limit<V>)));
    const V inverse = V(1) / alpha, rest = rest_of(inverse);
    const Power<V> power(e.n);
    const V half_power = pow2(clamp(e.n, V(-60), V(60)) - V(1));
    const V by_expm1 = fma(half_power, e.q, half_power - V(0.5)) / (V(0.5) * alpha) + alpha;
    // The second words: of the quotient and of what q rounds off.
    const V top = fma(inverse, e.q, inverse), lost = fma(fma(-inverse, alpha, V(1)), inverse, inverse * e.rest);
    const V small = at_least(scale(fma(inverse, e.q, inverse - top) + lost, power), V(-largest));
    const V by_exp = scale(top, power) + (small + rest);
    const auto first = (alpha < V(1)) & (scale(V(1) + e.q, power) > alpha * alpha) & (e.n < V(60));
    return select(first, by_expm1, by_exp);
  }

 private:
  // A smaller alpha is subnormal, and like 0.
  static constexpr double smallest = is_single<V> ? 0x1p-126 : 0x1p-1022;
  static constexpr double largest = std::numeric_limits<Scalar<V>>::max();
  // For alpha < 0 as 1 / a / (x + (1 / a - a)) with a = -alpha, whose last sum cancels: the inner one is in two words.
  ACT_FN V slope_of_logarithm(V x) const {
    const V a = at_least(-alpha, V(smallest)), inverse = V(1) / a;
    const auto offset = sum(inverse, -a);
    const V distance = (x + offset.hi) + fma(fma(-inverse, a, V(1)), inverse, offset.lo);
    return inverse / distance;
  }
};

template <class V>
struct SoftExponentialIn16Bits : SoftExponential<V> {
  ACT_FN V forward(V x) const {
    return this->value(x, [this](V x) {
      // Below 1 the sum cancels.
      if (all(this->alpha < V(1))) return this->exponential(x);
      const V inverse = V(1) / this->alpha;
      const auto [q, power] = exp_of(x);
      return scale(fma(inverse, q, inverse), power) + this->rest_of(inverse);
    });
  }
  ACT_FN V slope(V x) const {
    return this->slope_by(x, [this](V x) {
      const auto [q, power] = exp_of(x);
      return scale(V(1) + q, power);
    });
  }

 private:
  struct QuickExp {
    V q;
    Power<V> power;
  };
  // e^(alpha x) is (1 + q) times the power, but for 2^-22 of it. The coefficients and what is added to q, found by
  // trial, are such that with an alpha of 1 all is rounded right, as python -m tools.settle tells.
  ACT_FN QuickExp exp_of(V x) const {
    const auto z = clamped(product(this->alpha, x), V(-exp_limit<V>), V(exp_limit<V>));
    const V n = nearest(z.hi, log2_e), r = reduced(z, -n);
    const V factor = fma(r, horner(r, 0.500003695, 0.166660324, 0.0416673608, 0.00838553533, 0.00116954383), V(1));
    return {fma(r, factor, V(-4.9927575e-08)), Power<V>(n)};
  }
};
template <>
struct In16Bits<SoftExponential> : ByAnother<SoftExponentialIn16Bits> {};

template <class V>
struct Serf {
  static constexpr Spec spec{.name = "serf",
                             .params = "",
                             .formula = "x * erf(log1p(exp(x)))",
                             .derivative = "erf(s := log1p(exp(x))) + 2 * x * sigmoid(x) * exp(-s * s) / sqrt(pi)",
                             .paper = "arXiv:2108.09598",
                             .facts = with_dip(-0.34843745875960642, -1.193059968928188),
                             .heavy = true};
  ACT_FN V forward(V x) const {
    // softplus(x), where it counts, in two words.
    const auto logarithm = log1p_of_inverse(exp_ratio(at_most(abs(x), V(tail))));
    const auto s = sum_of_positive(at_least(x, V(0)), sum_of_ordered(logarithm.hi, logarithm.lo));
    const auto erf = erf_and_decay(s.hi);
    const Pair<V> value = {erf.value.hi, fma(V(two_over_sqrt_pi) * erf.decay, s.lo, erf.value.lo)};
    const auto e = bounded_exp(x, -tail);
    const auto c = constant_pair<V>(two_over_sqrt_pi, two_over_sqrt_pi_rest);
    const V far = scale(rounded(product(e.mantissa(), product(c, e.above))), e.power);
    return select(x < V(-tail), far, select(x < V(largest), copysign(rounded(product(value, x)), x), x));
  }
  ACT_FN Near<V> near_forward(V x) const { return times_pieces<SerfGate>(x); }
  ACT_FN V slope(V x) const {
    const auto e = bounded_exp(x, largest);
    const V bounded = clamp(x, V(-tail), V(largest)), one_and_e = V(1) + e.value;
    const V s = log1p_of_any(e.value);
    const auto [erf, decay, loss] = erf_and_decay(s);
    const V above = fma(bounded * decay, V(two_over_sqrt_pi) * e.value / one_and_e, rounded(erf));
    // Below -1, but for the factor 2 / sqrt(pi), as e^x (1 + x) and corrections, so that errors do not grow where the
    // terms cancel.
    const V z = s * s, cubic = V(1 / two_over_sqrt_pi) * erf_tail(z) * z;
    const V rest = fma(bounded * e.value, (loss - e.value) / one_and_e, fma(s, cubic, s - e.value));
    const auto c = constant_pair<V>(two_over_sqrt_pi, two_over_sqrt_pi_rest);
    const auto main = product(e.pair(), V(1) + bounded);
    const V below = rounded(product(Pair<V>{main.hi, main.lo + rest}, c));
    const V far = scale(rounded(product(product(e.mantissa(), V(1) + e.above), c)), e.power);
    return select(x < V(-tail), far, select(x < V(-1), below, above));
  }
  ACT_FN Near<V> near_slope(V x) const { return in_pieces<SerfSlope>(x); }

 private:
  // Below -tail erf(log(1 + e^x)) is 2 / sqrt(pi) e^x after rounding; above `largest` it is 1.
  static constexpr double tail = is_single<V> ? 18.0 : 38.0, largest = is_single<V> ? 5.0 : 6.6;
};
template <>
struct In16Bits<Serf> : ByOtherPieces<Serf, SerfGateIn16Bits, SerfSlopeIn16Bits> {};

using Logarithmic = List<NLRelu, SoftExponential, Serf>;

}  // namespace act_ext
