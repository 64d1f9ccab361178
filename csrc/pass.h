// The passes over an activation: what each computes from which operands, for one value or vector V.
#pragma once

#include "math/dual.h"

namespace act_ext {

enum class Pass {
  forward,                      // f(x)
  backward,                     // g f'(s), s what the op saves
  double_backward,              // h g f''(s), h the gradient of grad_input
  backward_from_result,         // the same two with s the result, for in-place use,
  double_backward_from_result,  // where the struct has slope_from_result
};
inline constexpr int kPasses = 5;

enum class Dtype { float32, float64, bfloat16, float16 };
inline constexpr int kDtypes = 4;

constexpr int count_inputs(Pass pass) {
  switch (pass) {
    case Pass::forward:
      return 1;
    case Pass::backward:
    case Pass::backward_from_result:
      return 2;
    default:
      return 3;
  }
}

constexpr bool is_from_result(Pass pass) {
  return pass == Pass::backward_from_result || pass == Pass::double_backward_from_result;
}
constexpr bool is_second(Pass pass) {
  return pass == Pass::double_backward || pass == Pass::double_backward_from_result;
}

template <template <class> class Op>
inline constexpr bool has_slope_from_result = requires(Op<float> op) { op.slope_from_result(0.0f); };

// Whether Op has the pass at all.
template <template <class> class Op>
constexpr bool has_pass(Pass pass) {
  if (pass == Pass::forward) return true;
  if (Op<float>::spec.saves == Saves::nothing) return false;
  return !is_from_result(pass) || has_slope_from_result<Op>;
}

// Whether the arithmetic of a pass, not memory, bounds its speed. From a saved result the slope is cheap.
constexpr bool is_heavy(const Spec& spec, Pass pass) {
  return spec.heavy && (pass == Pass::forward || spec.saves == Saves::input);
}

template <template <class> class Op, Pass pass, class V>
struct Step {
  static constexpr bool heavy = is_heavy(Op<V>::spec, pass);
  using Value = std::conditional_t<is_second(pass), Dual<V>, V>;

  Op<Value> op;

  ACT_FN explicit Step(const double* params) : op(with_params<Op, Value>(params)) {}

  ACT_FN V operator()(V x) const { return op.forward(x); }
  ACT_FN V operator()(V g, V s) const { return gated(g, slope(s)); }
  ACT_FN V operator()(V h, V g, V s) const { return gated(h * g, slope(Dual<V>(s, V(1))).d); }

 private:
  ACT_FN Value slope(Value s) const {
    if constexpr (is_from_result(pass)) {
      return op.slope_from_result(s);
    } else {
      return op.slope(s);
    }
  }
  ACT_FN static V gated(V gradient, V factor) {
    if constexpr (Op<V>::spec.gates) {
      return select(factor == V(0), V(0), gradient * factor);
    } else {
      return gradient * factor;
    }
  }
};

}  // namespace act_ext
