// The exponential linear units: x above 0, an exponential that saturates below.
#pragma once

#include "../math/exp.h"
#include "../math/tables.h"

namespace act_ext {

template <class V>
struct Elu {
  static constexpr Spec spec{.name = "elu",
                             .params = "float alpha=1.0",
                             .formula = "where(x > 0, x, alpha * expm1(clamp(x, max=0)))",
                             .derivative = "where(x > 0, 1, alpha * exp(clamp(x, max=0)))",
                             .paper = "arXiv:1511.07289",
                             .facts = Facts{.infimum = -1, .saturates = Saturates::below, .smoothness = 1},
                             .heavy = true};
  V alpha;
  ACT_FN V forward(V x) const {
    const auto below = expm1_below(x);
    if (all(alpha == V(1))) return select(x < V(0), below.hi, x);
    return select(x < V(0), rounded_product(alpha, below), x);
  }
  ACT_FN V slope(V x) const { return select(x > V(0), V(1), scaled_exp(alpha, x)); }
  // For in-place use: alpha e^x = y + alpha.
  static bool result_suffices(const double* params) { return params[0] >= 0; }
  ACT_FN V slope_from_result(V y) const { return select(y > V(0), V(1), y + alpha); }
};

template <class V>
struct Selu {
  static constexpr double lambda = 1.0507009873554804934193349852946, lambda_rest = 0x1.6fc7d272f2695p-55;
  // lambda alpha
  static constexpr double depth = 0x1.c212cc640f031p+0, depth_rest = 0x1.05161b045a1fep-56;
  static constexpr Spec spec{.name = "selu",
                             .params = "",
                             .formula =
                                 "1.0507009873554804934193349852946 * where(x > 0, x, "
                                 "1.6732632423543772848170429916717 * expm1(clamp(x, max=0)))",
                             .derivative =
                                 "1.0507009873554804934193349852946 * where(x > 0, 1, "
                                 "1.6732632423543772848170429916717 * exp(clamp(x, max=0)))",
                             .paper = "arXiv:1706.02515",
                             .facts = Facts{.infimum = -depth, .saturates = Saturates::below, .smoothness = 0},
                             .heavy = true};
  ACT_FN V forward(V x) const { return select(x < V(0), below(x), times_constant(x, lambda, lambda_rest)); }
  // The same times a factor: of both first, since alone each may be subnormal, and then the constants. Rounded once,
  // unless the first product is subnormal or overflows.
  ACT_FN V forward(V x, V factor) const {
    const auto negative = x < V(0);
    const auto above = constant_pair<V>(lambda, lambda_rest);
    Pair<V> value, constants;
    if constexpr (has_pieces<V>) {
      value = {at_least(x, V(SeluOver::low)), V(0)};
      constants = select(negative, SeluOver::at(value.hi), above);
    } else {
      value = select(negative, expm1_below(x), Pair<V>{x, V(0)});
      constants = select(negative, constant_pair<V>(depth, depth_rest), above);
    }
    const auto part = product(value, factor);
    return select(abs(part.hi) < V(inf), copysign(rounded_product(constants, part), part.hi),
                  constants.hi * value.hi * factor);
  }
  ACT_FN V slope(V x) const { return select(x > V(0), V(lambda), scaled_exp(V(depth), x)); }
  static bool result_suffices(const double*) { return true; }
  ACT_FN V slope_from_result(V y) const { return select(y > V(0), V(lambda), y + V(depth)); }

 private:
  ACT_FN static V below(V x) {
    if constexpr (has_pieces<V>) {
      const V bounded = at_least(x, V(SeluOver::low));
      return rounded_product(bounded, SeluOver::at(bounded));
    } else {
      return rounded(product(constant_pair<V>(depth, depth_rest), expm1_below(x)));
    }
  }
};

template <class V>
struct SeluIn16Bits : Selu<V> {
  ACT_FN Near<V> near_slope(V x) const {
    return {x > V(SeluSlopeBelowIn16Bits::low),
            select(x > V(0), V(Selu<V>::lambda), SeluSlopeBelowIn16Bits::at(at_most(x, V(0))))};
  }
};
template <>
struct In16Bits<Selu> : ByAnother<SeluIn16Bits> {};

template <class V>
struct Celu {
  static constexpr Spec spec{
      .name = "celu",
      .params = "float alpha=1.0",
      .formula = "where(x > 0, x, alpha * expm1(clamp(x, max=0) / alpha))",
      .derivative = "where(x > 0, 1, exp(clamp(x, max=0) / alpha))",
      .paper = "arXiv:1704.07483",
      .facts = Elu<double>::spec.facts,
      .heavy = true,
      .invalid = [](const double* p) -> const char* { return p[0] == 0 ? "alpha must not be 0" : nullptr; }};
  V alpha;
  ACT_FN V forward(V x) const {
    const auto u = quotient(x, alpha);
    const V curve = rounded_product(alpha, expm1_in_two_words(u));
    return select((x < V(0)) & (abs(u.hi) > V(expm1_is_straight<V>)), curve, x);
  }
  ACT_FN V slope(V x) const { return select(x > V(0), V(1), scaled_exp(V(1), quotient(x, alpha))); }
  static bool result_suffices(const double* params) { return params[0] > 0; }
  ACT_FN V slope_from_result(V y) const { return select(y > V(0), V(1), fma(y, V(1) / alpha, V(1))); }
};

using Exponential = List<Elu, Selu, Celu>;

}  // namespace act_ext
