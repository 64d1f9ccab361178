// Randomized leaky ReLU: while training, every element below 0 has a slope of its own, drawn anew by each call.
#pragma once

#include "../pass.h"

namespace act_ext {

inline constexpr Spec rrelu_spec{
    .name = "rrelu",
    .params = "float lower=0.125, float upper=0.3333333333333333, bool training=False",
    .formula = "where(x > 0, x, x * (empty_like(x).uniform_(lower, upper) if training else (lower + upper) / 2))",
    .paper = "arXiv:1505.00853"};

// The noise, torch's name for what the element is multiplied by: its slope, or 1; and before it, where wanted, the
// value.
template <class V, bool kValues>
struct RreluStep {
  static constexpr int inputs = 2, outputs = kValues ? 2 : 1;
  static constexpr bool heavy = false;

  ACT_FN auto operator()(V x, V slope) const {
    const V noise = select(x <= V(0), slope, V(1));
    if constexpr (kValues) {
      return Results<V, 2>{x * noise, noise};
    } else {
      return noise;
    }
  }
};

}  // namespace act_ext
