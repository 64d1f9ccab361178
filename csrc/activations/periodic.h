// Periodic activations.
#pragma once

#include "../math/sin.h"

namespace act_ext {

template <class V>
struct Sine {
  static constexpr Spec spec{.name = "sine",
                             .params = "float omega=1.0",
                             .formula = "sin(omega * x)",
                             .derivative = "omega * cos(omega * x)",
                             .paper = "arXiv:2006.09661",
                             .facts = Facts{.infimum = -1, .supremum = 1, .monotonic = false},
                             .heavy = true};
  V omega;
  ACT_FN V forward(V x) const { return sin_of_product(omega, x); }
  ACT_FN V slope(V x) const { return omega * cos_of_product(omega, x); }
};

template <class V>
struct SineIn16Bits : Sine<V> {
  ACT_FN V forward(V x) const { return sin_of_product<true>(this->omega, x); }
  ACT_FN V slope(V x) const { return this->omega * cos_of_product<true>(this->omega, x); }
};
template <>
struct In16Bits<Sine> : ByAnother<SineIn16Bits> {};

using Periodic = List<Sine>;

}  // namespace act_ext
