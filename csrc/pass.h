// The passes over an activation: what each computes from which operands, for one value or vector V.
#pragma once

#include <cstdint>
#include <utility>

#include "math/dual.h"
#include "math/pieces.h"

namespace act_ext {

enum class Kind { pointwise, gated_unit, row_function, learned, maxout, rrelu };

// For a pointwise op; and for a function of several tensors: a gated unit of a (gate) and u (up), an activation of x
// and its learned parameters:
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
constexpr int64_t item_size(Dtype dtype) { return dtype == Dtype::float64 ? 8 : dtype == Dtype::float32 ? 4 : 2; }

constexpr bool is_from_result(Pass pass) {
  return pass == Pass::backward_from_result || pass == Pass::double_backward_from_result;
}
constexpr bool is_second(Pass pass) {
  return pass == Pass::double_backward || pass == Pass::double_backward_from_result;
}

template <template <class> class Op>
inline constexpr bool has_slope_from_result = requires(Op<float> op) { op.slope_from_result(0.0f); };

// Of an elementwise op.
template <template <class> class Op>
inline constexpr Kind kind = requires(Op<float> op) { op.up(0.0f); } ? Kind::gated_unit
                             : requires { Op<float>::learned; }      ? Kind::learned
                                                                     : Kind::pointwise;

// How many names stand in a list.
constexpr int count_names(std::string_view names) {
  int count = 1;
  for (const char c : names) count += c == ',';
  return count;
}

// How many tensors Op takes: a pointwise op one, a gated unit two, any other its input and the learned parameters.
template <template <class> class Op>
constexpr int count_tensors() {
  if constexpr (kind<Op> == Kind::learned) return 1 + count_names(Op<float>::learned);
  return kind<Op> == Kind::gated_unit ? 2 : 1;
}
template <template <class> class Op>
inline constexpr int arity = count_tensors<Op>();

constexpr int count_inputs(Pass pass, int arity) {
  return pass == Pass::forward ? arity : is_second(pass) ? 1 + 2 * arity : 1 + arity;
}
constexpr int count_outputs(Pass pass, int arity) {
  return pass == Pass::forward || arity == 1 ? 1 : is_second(pass) ? 1 + arity : arity;
}
inline constexpr int kMaxArity = 4, kMaxInputs = 1 + 2 * kMaxArity, kMaxOutputs = 1 + kMaxArity;
inline constexpr int kMaxOperands = kMaxInputs + kMaxOutputs;
// What a pass that can itself be differentiated takes: backward all of an op's tensors, double backward a unit's two.
inline constexpr int kMaxSaved = 5;

// Whether Op has the pass at all.
template <template <class> class Op>
constexpr bool has_pass(Pass pass) {
  if (pass == Pass::forward) return true;
  if (kind<Op> == Kind::learned) return !is_from_result(pass);
  if (Op<float>::spec.saves == Saves::nothing) return false;
  return !is_from_result(pass) || has_slope_from_result<Op>;
}

// Whether the arithmetic of a pass, not memory, bounds its speed.
constexpr bool is_heavy(const Spec& spec, Pass pass) {
  return spec.heavy && (pass == Pass::forward || !(spec.light_slope || spec.saves == Saves::result));
}

// grad_output and the like times a slope.
template <bool kGates, class V>
ACT_FN V times_slope(V gradient, V slope) {
  if constexpr (kGates) {
    return unless(slope == V(0), gradient * slope);
  } else {
    return gradient * slope;
  }
}

// What a kernel computes from one value or vector of each input.
template <template <class> class Op, Pass pass, class V, Kind kKind = kind<Op>>
struct Step;

template <template <class> class Op, Pass pass, class V>
struct Step<Op, pass, V, Kind::pointwise> {
  static constexpr int inputs = count_inputs(pass, 1), outputs = count_outputs(pass, 1);
  static constexpr bool heavy = is_heavy(Op<V>::spec, pass);
  static constexpr bool gates = Op<V>::spec.gates;
  using Value = std::conditional_t<is_second(pass), Dual<V>, V>;
  // Whether, in part, by pieces (math/pieces.h): `step.with(rest, inputs...)` leaves it to `rest` what is done where
  // they do not reach.
  static constexpr bool in_pieces = pass == Pass::forward    ? value_in_pieces<Op<V>, V>
                                    : pass == Pass::backward ? slope_in_pieces<Op<V>, V>
                                                             : false;

  Op<Value> op;

  ACT_FN explicit Step(const double* params) : op(with_params<Op, Value>(params)) {}

  template <class... T>
  ACT_FN V operator()(T... x) const {
    return with(AtOnce(), x...);
  }
  template <class Rest>
  ACT_FN V with(Rest&& rest, V x) const {
    return value_of(op, x, rest);
  }
  template <class Rest>
  ACT_FN V with(Rest&& rest, V g, V s) const {
    if constexpr (requires { op.open(s); }) {
      return keep_nan(s, where(op.open(s), g));  // the slope is 1 or 0
    } else {
      return times_slope<gates>(g, slope(s, rest));
    }
  }
  template <class Rest>
  ACT_FN V with(Rest&& rest, V h, V g, V s) const {
    // A comparison that lets NaN through knows nothing of its derivative.
    const Dual<V> both = slope(Dual<V>(s, V(1)), rest);
    return times_slope<gates>(h * g, keep_nan(both.v, both.d));
  }

 private:
  template <class Rest>
  ACT_FN Value slope(Value s, Rest& rest) const {
    if constexpr (is_from_result(pass)) {
      return op.slope_from_result(s);
    } else {
      return slope_of(op, s, rest);
    }
  }
};

// With F the function of the gate and U that of the other tensor, whose second derivative is 0.
template <template <class> class Op, Pass pass, class V>
struct Step<Op, pass, V, Kind::gated_unit> {
  static constexpr int inputs = count_inputs(pass, 2), outputs = count_outputs(pass, 2);
  static constexpr bool heavy = is_heavy(Op<V>::spec, pass);
  static constexpr bool gates = Op<V>::spec.gates;
  static constexpr bool in_pieces = pass == Pass::forward    ? Op<V>::in_pieces
                                    : pass == Pass::backward ? Op<V>::both_in_pieces
                                                             : false;

  Op<V> op;
  Op<Dual<V>> dual;  // unused, and gone, but in the second derivative

  ACT_FN explicit Step(const double* params) : op(with_params<Op, V>(params)), dual(with_params<Op, Dual<V>>(params)) {}

  ACT_FN V operator()(V a, V u) const { return with(AtOnce(), a, u); }
  ACT_FN Results<V, 2> operator()(V g, V a, V u) const { return with(AtOnce(), g, a, u); }
  template <class Rest>
  ACT_FN V with(Rest&& rest, V a, V u) const {
    return op.forward(a, u, rest);
  }
  template <class Rest>
  ACT_FN Results<V, 2> with(Rest&& rest, V g, V a, V u) const {
    const auto [value, slope] = op.gate_and_slope(a, rest);
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

// Backward gives the derivative by the input and then what is to be summed for those by the parameters; double backward
// the same behind the derivative by grad_output.
template <template <class> class Op, Pass pass, class V>
struct Step<Op, pass, V, Kind::learned> {
  static constexpr int count = arity<Op>, parameters = count - 1;
  static constexpr int inputs = count_inputs(pass, count), outputs = count_outputs(pass, count);
  static constexpr bool heavy = is_heavy(Op<V>::spec, pass);
  static constexpr bool gates = Op<V>::spec.gates;

  double constants[2];

  ACT_FN explicit Step(const double* params) : constants{params[0], params[1]} {}

  template <class... T>
  ACT_FN auto operator()(T... tensors) const {
    const V in[] = {tensors...};
    if constexpr (pass == Pass::forward) {
      return with<V>(in + 1).forward(in[0]);
    } else if constexpr (pass == Pass::backward) {
      auto all = with<V>(in + 2).derivatives(in[1]);
      for (V& each : all.value) each = times_slope<gates>(in[0], each);
      return all;
    } else {
      // The derivatives with their own along h: the second derivative is symmetric.
      const V *h = in, g = in[count], *s = in + count + 1;
      Dual<V> along[count];
      for (int k = 0; k < count; ++k) along[k] = Dual<V>(s[k], h[k]);
      const auto all = with<Dual<V>>(along + 1).derivatives(along[0]);
      Results<V, 1 + count> results;
      results.value[0] = times_slope<gates>(h[0], all.value[0].v);
      for (int k = 1; k < count; ++k) results.value[0] = results.value[0] + times_slope<gates>(h[k], all.value[k].v);
      for (int k = 0; k < count; ++k) results.value[1 + k] = times_slope<gates>(g, all.value[k].d);
      return results;
    }
  }

 private:
  template <class W>
  ACT_FN Op<W> with(const W* learned) const {
    return with<W>(learned, std::make_index_sequence<parameters>(),
                   std::make_index_sequence<count_params(Op<V>::spec.params)>());
  }
  template <class W, std::size_t... L, std::size_t... C>
  ACT_FN Op<W> with(const W* learned, std::index_sequence<L...>, std::index_sequence<C...>) const {
    return Op<W>{learned[L]..., W(constants[C])...};
  }
};

// The step of what is stored with so many bits; second derivatives are those of float32.
template <template <class> class Op, Pass pass, class V, int kBits,
          bool kDiffers = Rounded<Op, kBits>::differs && !is_second(pass)>
struct RoundedStep {
  using type = Step<Op, pass, V>;
};
template <template <class> class Op, Pass pass, class V, int kBits>
struct RoundedStep<Op, pass, V, kBits, true> {
  using type = Step<Rounded<Op, kBits>::template type, pass, V>;
};

// Forward where each parameter is one number: `numbers` holds them and then the constants.
template <template <class> class Op, class V>
struct NumbersStep {
  static constexpr int inputs = 1, outputs = 1;
  static constexpr bool heavy = Op<V>::spec.heavy;

  Op<V> op;

  ACT_FN explicit NumbersStep(const double* numbers)
      : NumbersStep(numbers, std::make_index_sequence<arity<Op> - 1 + count_params(Op<V>::spec.params)>()) {}
  ACT_FN V operator()(V x) const { return op.forward(x); }

 private:
  template <std::size_t... I>
  ACT_FN NumbersStep(const double* numbers, std::index_sequence<I...>) : op{V(numbers[I])...} {}
};

}  // namespace act_ext
