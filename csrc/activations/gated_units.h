// The gated linear units: a function of one tensor, the gate, times a function of another, mostly the tensor itself.
#pragma once

#include "exponential.h"
#include "gated.h"
#include "rectifiers.h"
#include "sigmoidal.h"

namespace act_ext {

// F(gate) up, F an activation without parameters.
template <template <class> class F, class V>
struct GatedBy {
  static constexpr bool in_pieces = value_in_pieces<F<V>, V>, both_in_pieces = act_ext::both_in_pieces<F<V>, V>;
  template <class Rest>
  ACT_FN V forward(V a, V u, Rest&& rest) const {
    if constexpr (!has_pieces<V> && requires(F<V> activation) { activation.exact_forward(a); }) {
      return F<V>{}.exact_forward(a) * u;
    } else {
      return value_of(F<V>{}, a, rest) * u;
    }
  }
  ACT_FN V gate(V a) const { return value_of(F<V>{}, a); }
  ACT_FN V gate_slope(V a) const {
    if constexpr (F<V>::spec.saves == Saves::nothing) {
      return V(F<V>::spec.constant_slope);
    } else if constexpr (F<V>::spec.saves == Saves::result) {
      return F<V>{}.slope(gate(a));
    } else {
      return F<V>{}.slope(a);
    }
  }
  template <class Rest>
  ACT_FN ValueAndSlope<V> gate_and_slope(V a, Rest&& rest) const {
    if constexpr (requires(F<V> activation) { activation.value_and_slope(a); }) {
      return value_and_slope_of(F<V>{}, a, rest);
    } else {
      return {gate(a), gate_slope(a)};
    }
  }
  ACT_FN V up(V u) const { return u; }
  ACT_FN V up_slope(V) const { return V(1); }
};

template <class V>
struct Siglu : GatedBy<Sigmoid, V> {
  static constexpr Spec spec{.name = "siglu",
                             .params = "",
                             .formula = "sigmoid(gate) * up",
                             .derivative =
                                 "sigmoid(gate) * sigmoid(-gate) * up; "
                                 "sigmoid(gate)",
                             .paper = "arXiv:1612.08083",
                             .heavy = true};
  // That of Sigmoid takes the result, which has lost what lies beyond 1.
  ACT_FN V gate_slope(V a) const { return sigmoid_slope(a); }
  template <class Rest>
  ACT_FN ValueAndSlope<V> gate_and_slope(V a, Rest&&) const {
    const auto [small, large] = shares(a);
    return {select(a < V(0), small, large), small * large};
  }
};

template <class V>
struct Swiglu : GatedBy<Silu, V> {
  static constexpr Spec spec{.name = "swiglu",
                             .params = "",
                             .formula = "gate * sigmoid(gate) * up",
                             .derivative =
                                 "sigmoid(gate) * (1 + gate * sigmoid(-gate)) * up; "
                                 "gate * sigmoid(gate)",
                             .paper = "arXiv:2002.05202",
                             .heavy = true};
  static constexpr bool in_pieces = has_pieces<V>;
  // Silu's own value is the quick one, which leaves no room for another rounding.
  template <class Rest>
  ACT_FN V forward(V a, V u, Rest&& rest) const {
    if constexpr (has_pieces<V>) {
      const auto [holds, value] = times_pieces_below<SigmoidBelow>(a);
      return rest(Near<V>{holds, value * u}, a, [u](V a) { return Swish<V>{V(1)}.forward(a) * u; });
    } else {
      return GatedBy<Silu, V>::forward(a, u, rest);
    }
  }
};

// In float16, too, a gate of 0 is to be 0.
template <class V>
struct SwigluIn16Bits : GatedBy<Rounded<Silu, bfloat16_bits>::type, V> {
  static constexpr Spec spec = Swiglu<V>::spec;
};
template <>
struct In16Bits<Swiglu> : ByAnother<SwigluIn16Bits> {};

template <class V>
struct Geglu : GatedBy<Gelu, V> {
  static constexpr Spec spec{
      .name = "geglu",
      .params = "",
      .formula = "0.5 * gate * erfc(-gate * sqrt(0.5)) * up",
      .derivative =
          "(0.5 * erfc(-gate * sqrt(0.5)) + gate * exp(-0.5 * gate * gate) / sqrt(2 * pi)) * up; "
          "0.5 * gate * erfc(-gate * sqrt(0.5))",
      .paper = "arXiv:2002.05202",
      .heavy = true};
};

template <class V>
struct GegluInFloat16 : GatedBy<GeluInFloat16, V> {
  static constexpr Spec spec = Geglu<V>::spec;
};

template <class V>
struct GegluInBfloat16 : GatedBy<GeluInBfloat16, V> {
  static constexpr Spec spec = Geglu<V>::spec;
};
template <>
struct In16Bits<Geglu> : ByAnotherForEach<GegluInBfloat16, GegluInFloat16> {};

template <class V>
struct GegluTanh : GatedBy<GeluTanh, V> {
  static constexpr Spec spec{.name = "geglu_tanh",
                             .params = "",
                             .formula = "gate * sigmoid(sqrt(8 / pi) * (gate + 0.044715 * gate**3)) * up",
                             .derivative =
                                 "sigmoid(z := sqrt(8 / pi) * (gate + 0.044715 * gate**3)) * (1 + sqrt(8 / pi) * (gate "
                                 "+ 0.134145 * gate**3) * sigmoid(-z)) * up; "
                                 "gate * sigmoid(sqrt(8 / pi) * (gate + 0.044715 * gate**3))",
                             .paper = "arXiv:2002.05202",
                             .heavy = true};
};

template <class V>
struct QuickGeglu : GatedBy<QuickGelu, V> {
  static constexpr Spec spec{.name = "quick_geglu",
                             .params = "",
                             .formula = "gate * sigmoid(1.702 * gate) * up",
                             .derivative =
                                 "sigmoid(1.702 * gate) * (1 + 1.702 * gate * sigmoid(-1.702 * gate)) * up; "
                                 "gate * sigmoid(1.702 * gate)",
                             .paper = "arXiv:2002.05202",
                             .heavy = true};
};

template <class V>
struct Reglu : GatedBy<Relu, V> {
  static constexpr Spec spec{.name = "reglu",
                             .params = "",
                             .formula = "clamp(gate, min=0) * up",
                             .derivative =
                                 "where(gate > 0, 1, 0) * up; "
                                 "clamp(gate, min=0)",
                             .paper = "arXiv:2002.05202",
                             .gates = true};
};

template <class V>
struct Seglu : GatedBy<Selu, V> {
  static constexpr Spec spec{.name = "seglu",
                             .params = "",
                             .formula =
                                 "1.0507009873554804934193349852946 * where(gate > 0, gate, "
                                 "1.6732632423543772848170429916717 * expm1(clamp(gate, max=0))) * up",
                             .derivative =
                                 "1.0507009873554804934193349852946 * where(gate > 0, 1, "
                                 "1.6732632423543772848170429916717 * exp(clamp(gate, max=0))) * up; "
                                 "1.0507009873554804934193349852946 * where(gate > 0, gate, "
                                 "1.6732632423543772848170429916717 * expm1(clamp(gate, max=0)))",
                             .paper = "arXiv:2002.05202",
                             .heavy = true};
  template <class Rest>
  ACT_FN V forward(V a, V u, Rest&&) const {
    return Selu<V>{}.forward(a, u);
  }
};

template <class V>
struct BilinearGlu : GatedBy<Identity, V> {
  static constexpr Spec spec{.name = "bilinear_glu",
                             .params = "",
                             .formula = "gate * up",
                             .derivative =
                                 "up; "
                                 "gate",
                             .paper = "arXiv:2002.05202"};
};

template <class V>
struct SwigluClamped {
  static constexpr Spec spec{
      .name = "swiglu_clamped",
      .params = "float alpha=1.702, float limit=7.0",
      .formula =
          "clamp(gate, max=limit) * sigmoid(alpha * clamp(gate, max=limit))"
          " * (clamp(up, -limit, limit) + 1)",
      .derivative =
          "where(gate > limit, 0, sigmoid(alpha * gate) * (1 + alpha * gate * sigmoid(-alpha * gate))) * (clamp(up, "
          "-limit, limit) + 1); "
          "clamp(gate, max=limit) * sigmoid(alpha * clamp(gate, max=limit)) * where(abs(up) > limit, 0, 1)",
      .paper = "arXiv:2508.10925",
      .gates = true,
      .heavy = true};
  static constexpr bool in_pieces = value_in_pieces<Swish<V>, V>, both_in_pieces = act_ext::both_in_pieces<Swish<V>, V>;
  V alpha, limit;
  template <class Rest>
  ACT_FN V forward(V a, V u, Rest&& rest) const {
    const Swish<V> swish{alpha};
    const V gate = at_most(a, limit);
    const auto factor = up_in_two_words(u);
    if constexpr (has_pieces<V>) {
      return rest(swish.near_forward(gate, factor), gate, [=](V gate) {
        const V y = swish.forward(gate, factor);
        // What is infinite on the way has no second words.
        return select(abs(y) < V(inf), copysign(y, gate * factor.hi), swish.forward(gate) * factor.hi);
      });
    } else {
      return guarded_product(swish.template forward<true>(gate), factor);
    }
  }
  ACT_FN V gate(V a) const { return value_of(Swish<V>{alpha}, at_most(a, limit)); }
  ACT_FN V gate_slope(V a) const { return unless(a > limit, Swish<V>{alpha}.slope(at_most(a, limit))); }
  template <class Rest>
  ACT_FN ValueAndSlope<V> gate_and_slope(V a, Rest&& rest) const {
    const auto [value, slope] = value_and_slope_of(Swish<V>{alpha}, at_most(a, limit), rest);
    return {value, unless(a > limit, slope)};
  }
  ACT_FN V up(V u) const { return up_in_two_words(u).hi; }
  ACT_FN V up_slope(V u) const { return unless(abs(u) > limit, V(1)); }

 private:
  ACT_FN Pair<V> up_in_two_words(V u) const { return sum(clamp(u, -limit, limit), V(1)); }
};

using GatedUnits = List<Siglu, Swiglu, Geglu, GegluTanh, QuickGeglu, Reglu, Seglu, BilinearGlu, SwigluClamped>;

}  // namespace act_ext
