// The passes over an activation: what each computes from which operands, for one value or vector V.
#pragma once

#include "math/dual.h"

namespace act_ext {

// For a pointwise op, and for a gated unit with the tensors a (gate) and u (up):
enum class Pass {
  forward,                      // f(x); f(a) u
  backward,                     // g f'(s), s what the op saves; its derivatives by a and u
  double_backward,              // h g f''(s), h the gradient of grad_input; the backward pass's by g, a and u
  backward_from_result,         // the same two with s the result, for in-place use,
  double_backward_from_result,  // where the struct has slope_from_result
};
inline constexpr int kPasses = 5, kRowPasses = 3;  // a function of rows has the first three

enum class Dtype { float32, float64, bfloat16, float16 };
inline constexpr int kDtypes = 4;

constexpr bool is_from_result(Pass pass) {
  return pass == Pass::backward_from_result || pass == Pass::double_backward_from_result;
}
constexpr bool is_second(Pass pass) {
  return pass == Pass::double_backward || pass == Pass::double_backward_from_result;
}

template <template <class> class Op>
inline constexpr bool has_slope_from_result = requires(Op<float> op) { op.slope_from_result(0.0f); };

// How many tensors Op takes: a pointwise op one, a gated unit two.
template <template <class> class Op>
inline constexpr int arity = requires(Op<float> op) { op.up(0.0f); } ? 2 : 1;

constexpr int count_inputs(Pass pass, int arity) {
  return pass == Pass::forward ? arity : is_second(pass) ? 1 + 2 * arity : 1 + arity;
}
constexpr int count_outputs(Pass pass, int arity) {
  return pass == Pass::forward || arity == 1 ? 1 : is_second(pass) ? 1 + arity : arity;
}
inline constexpr int kMaxInputs = 5, kMaxOutputs = 3, kMaxOperands = kMaxInputs + kMaxOutputs;

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

// grad_output and the like times a slope.
template <bool kGates, class V>
ACT_FN V times_slope(V gradient, V slope) {
  if constexpr (kGates) {
    return select(slope == V(0), V(0), gradient * slope);
  } else {
    return gradient * slope;
  }
}

// What a kernel computes from one value or vector of each input.
template <template <class> class Op, Pass pass, class V, int kArity = arity<Op>>
struct Step;

template <template <class> class Op, Pass pass, class V>
struct Step<Op, pass, V, 1> {
  static constexpr int inputs = count_inputs(pass, 1), outputs = count_outputs(pass, 1);
  static constexpr bool heavy = is_heavy(Op<V>::spec, pass);
  static constexpr bool gates = Op<V>::spec.gates;
  using Value = std::conditional_t<is_second(pass), Dual<V>, V>;

  Op<Value> op;

  ACT_FN explicit Step(const double* params) : op(with_params<Op, Value>(params)) {}

  ACT_FN V operator()(V x) const { return op.forward(x); }
  ACT_FN V operator()(V g, V s) const { return times_slope<gates>(g, slope(s)); }
  ACT_FN V operator()(V h, V g, V s) const { return times_slope<gates>(h * g, slope(Dual<V>(s, V(1))).d); }

 private:
  ACT_FN Value slope(Value s) const {
    if constexpr (is_from_result(pass)) {
      return op.slope_from_result(s);
    } else {
      return op.slope(s);
    }
  }
};

template <class V, int kCount>
struct Results {
  V value[kCount];
};

// With F the function of the gate and U that of the other tensor, whose second derivative is 0.
template <template <class> class Op, Pass pass, class V>
struct Step<Op, pass, V, 2> {
  static constexpr int inputs = count_inputs(pass, 2), outputs = count_outputs(pass, 2);
  static constexpr bool heavy = Op<V>::spec.heavy;
  static constexpr bool gates = Op<V>::spec.gates;

  Op<V> op;
  Op<Dual<V>> dual;  // unused, and gone, but in the second derivative

  ACT_FN explicit Step(const double* params) : op(with_params<Op, V>(params)), dual(with_params<Op, Dual<V>>(params)) {}

  ACT_FN V operator()(V a, V u) const { return op.gate(a) * op.up(u); }
  ACT_FN Results<V, 2> operator()(V g, V a, V u) const {
    const auto [value, slope] = op.gate_and_slope(a);
    return {times_slope<gates>(g * op.up(u), slope), times_slope<gates>(g * value, op.up_slope(u))};
  }
  ACT_FN Results<V, 3> operator()(V ha, V hu, V g, V a, V u) const {
    const Dual<V> slope = dual.gate_slope(Dual<V>(a, V(1)));
    const V up = op.up(u), gate_part = times_slope<gates>(ha, slope.v),
            up_part = times_slope<gates>(hu, op.up_slope(u));
    return {fma(gate_part, up, up_part * op.gate(a)),
            fma(times_slope<gates>(ha * g, slope.d), up, times_slope<gates>(up_part * g, slope.v)),
            times_slope<gates>(gate_part * g, op.up_slope(u))};
  }
};

}  // namespace act_ext
