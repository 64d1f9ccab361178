#include "gated_units.h"

#include <ATen/TensorOperators.h>
#include <ATen/WrapDimUtils.h>
#include <ATen/ops/add.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <tuple>

#include "elementwise.h"
#include "record.h"

namespace act_ext {
namespace {

using at::Tensor;
using c10::DispatchKeySet;
using torch::autograd::variable_list;
using T = const Tensor&;
using Two = std::tuple<Tensor, Tensor>;
using Three = std::tuple<Tensor, Tensor, Tensor>;

std::string packed_name(const Op& op, Pass pass) {
  const std::string name = op.spec.name;
  return name + "_packed" + dispatcher_name(op, pass).substr(name.size());
}

// The gate and the other half, as views.
Two halves(const Op& op, const Tensor& input, const Packing& packing) {
  TORCH_CHECK(input.dim() > 0, op.spec.name, "_packed: input must have at least one dimension, got a 0-dim tensor");
  const int64_t dim = at::maybe_wrap_dim(packing.dim, input.dim()), size = input.size(dim);
  TORCH_CHECK(size % 2 == 0, op.spec.name, "_packed: input must have an even size in dimension ", dim, ", got ", size);
  const Tensor first = packing.interleaved ? input.slice(dim, 0, size, 2) : input.narrow(dim, 0, size / 2);
  const Tensor second = packing.interleaved ? input.slice(dim, 1, size, 2) : input.narrow(dim, size / 2, size / 2);
  return packing.gate_first ? Two(first, second) : Two(second, first);
}

// The passes on the CPU and on CUDA.

Tensor forward(const Call& call, const Tensor& gate, const Tensor& up) {
  const Dtype dtype = check_inputs(call, Pass::forward, {&gate, &up});
  Tensor out = empty_output(up);
  run(call, Pass::forward, dtype, {&out}, {&gate, &up});
  return out;
}

Two backward(const Call& call, const Tensor& g, const Tensor& gate, const Tensor& up) {
  const Dtype dtype = check_inputs(call, Pass::backward, {&g, &gate, &up});
  Tensor grad_gate = empty_output(gate), grad_up = empty_output(up);
  run(call, Pass::backward, dtype, {&grad_gate, &grad_up}, {&g, &gate, &up});
  return {grad_gate, grad_up};
}

Three double_backward(const Call& call, const Tensor& h_gate, const Tensor& h_up, const Tensor& g, const Tensor& gate,
                      const Tensor& up) {
  const Dtype dtype = check_inputs(call, Pass::double_backward, {&h_gate, &h_up, &g, &gate, &up});
  Tensor grad_g = empty_output(g), grad_gate = empty_output(gate), grad_up = empty_output(up);
  run(call, Pass::double_backward, dtype, {&grad_g, &grad_gate, &grad_up}, {&h_gate, &h_up, &g, &gate, &up});
  return {grad_g, grad_gate, grad_up};
}

Two packed_double_backward(const Call& call, const Packing& packing, const Tensor& h, const Tensor& g,
                           const Tensor& input) {
  TORCH_CHECK(h.sizes().equals(input.sizes()), packed_name(*call.op, Pass::double_backward),
              ": grad_grad_input must have the shape of input (", input.sizes(), "), got ", h.sizes());
  const auto [gate, up] = halves(*call.op, input, packing);
  const auto [h_gate, h_up] = halves(*call.op, h, packing);
  const Dtype dtype = check_inputs(call, Pass::double_backward, {&h_gate, &h_up, &g, &gate, &up});
  Tensor grad_g = empty_output(g), grad = empty_output(input);
  const auto [grad_gate, grad_up] = halves(*call.op, grad, packing);
  run(call, Pass::double_backward, dtype, {&grad_g, &grad_gate, &grad_up}, {&h_gate, &h_up, &g, &gate, &up});
  return {grad_g, grad};
}

// The same through the dispatcher, where it concerns anyone else.

template <class R, class... A>
R dispatched(const std::string& name, const Call& call, A... arguments) {
  const auto op = find_in_dispatcher(name);
  const auto& p = call.params;
  switch (call.op->num_params) {
    case 0:
      return op.typed<R(A...)>().call(arguments...);
    case 1:
      return op.typed<R(A..., double)>().call(arguments..., p[0]);
    default:
      return op.typed<R(A..., double, double)>().call(arguments..., p[0], p[1]);
  }
}

Two backward_pass(const Call& call, const Tensor& g, const Tensor& gate, const Tensor& up) {
  if (concerns_the_kernel_alone(g, gate, up)) return backward(call, g, gate, up);
  return dispatched<Two, T, T, T>(dispatcher_name(*call.op, Pass::backward), call, g, gate, up);
}

Tensor packed_backward_pass(const Call& call, const Packing& p, const Tensor& g, const Tensor& input) {
  if (concerns_the_kernel_alone(g, input)) return packed_backward(call, p, g, input);
  return dispatched<Tensor, T, T, int64_t, bool, bool>(packed_name(*call.op, Pass::backward), call, g, input, p.dim,
                                                       p.gate_first, p.interleaved);
}

// What `derivatives` gives for the backward pass: a derivative that is not there counts as zeros.
variable_list second_derivatives(const Differentiated& what, const variable_list& h, const Saved& inputs) {
  const auto given = [&](size_t i, const Tensor& like) { return h[i].defined() ? h[i] : at::zeros_like(like); };
  const std::string name = what.packing ? packed_name(*what.call.op, Pass::double_backward)
                                        : dispatcher_name(*what.call.op, Pass::double_backward);
  if (what.packing) {
    const auto& [dim, gate_first, interleaved] = *what.packing;
    const auto [grad_g, grad] = dispatched<Two, T, T, T, int64_t, bool, bool>(
        name, what.call, given(0, inputs[1]), inputs[0], inputs[1], dim, gate_first, interleaved);
    return {grad_g, grad};
  }
  const auto [grad_g, grad_gate, grad_up] = dispatched<Three, T, T, T, T, T>(
      name, what.call, given(0, inputs[1]), given(1, inputs[2]), inputs[0], inputs[1], inputs[2]);
  return {grad_g, grad_gate, grad_up};
}

// The tangents of the outputs for those of the inputs (undefined: zero). The second derivative is symmetric, so what
// double backward gives for the gradients of the gradients is also what it gives for tangents.
variable_list pushed_forward(const Differentiated& what, const Saved& inputs, const variable_list& tangents,
                             const variable_list& = {}) {
  const auto add = [](Tensor& total, const Tensor& term) { total = total.defined() ? total + term : term; };
  const Call& call = what.call;
  if (what.pass == Pass::forward) {
    Tensor result;
    auto [gate, up] = Two(inputs[0], inputs[1]);
    auto [gate_tangent, up_tangent] = Two(tangents[0], tangents.back());
    if (what.packing) {
      std::tie(gate, up) = halves(*call.op, inputs[0], *what.packing);
      std::tie(gate_tangent, up_tangent) = halves(*call.op, tangents[0], *what.packing);
    }
    if (gate_tangent.defined()) add(result, std::get<0>(backward_pass(call, gate_tangent, gate, up)));
    if (up_tangent.defined()) add(result, std::get<1>(backward_pass(call, up_tangent, gate, up)));
    return {result};
  }
  TORCH_CHECK_NOT_IMPLEMENTED(what.pass == Pass::backward, call.op->spec.name,
                              ": the third derivative is not implemented");
  variable_list result(what.packing ? 1 : 2);
  if (tangents[0].defined()) {
    result = what.packing ? as_list(packed_backward_pass(call, *what.packing, tangents[0], inputs[1]))
                          : as_list(backward_pass(call, tangents[0], inputs[1], inputs[2]));
  }
  const variable_list rest(tangents.begin() + 1, tangents.end());
  if (any_defined(rest)) {
    const auto second = second_derivatives(what, rest, inputs);
    for (size_t i = 0; i < result.size(); ++i) add(result[i], second[i + 1]);
  }
  return result;
}

// Of the double backward pass, given the gradients k of its results. It is linear in all but gate and up.
variable_list third_derivatives(const Differentiated& what, const variable_list& k, const Saved& inputs,
                                const Needed& needed) {
  const Differentiated backward_of{what.call, Pass::backward, false, what.packing};
  const size_t arity = what.packing ? 1 : 2;  // of h, and of what it belongs to
  const auto tensors = [&](size_t begin) {
    return variable_list(inputs.begin() + begin, inputs.begin() + begin + arity);
  };
  const variable_list h = tensors(0), saved = tensors(arity + 1), k_saved(k.begin() + 1, k.end());
  const auto second = [&](const Tensor& g) {
    Saved from{g};
    std::copy(saved.begin(), saved.end(), from.begin() + 1);
    return second_derivatives(backward_of, h, from);
  };
  bool other = false;
  for (size_t i = 0; i < arity; ++i) other = other || needed[arity + 1 + i];
  TORCH_CHECK_NOT_IMPLEMENTED(!other || !any_defined(k_saved), what.call.op->spec.name,
                              ": the third derivative is not implemented");
  variable_list result(2 * arity + 1);
  Saved at{inputs[arity]};
  std::copy(saved.begin(), saved.end(), at.begin() + 1);
  const auto by_h = pushed_forward(backward_of, at, k);
  std::copy(by_h.begin(), by_h.end(), result.begin());
  if (needed[arity] && any_defined(k_saved)) {
    if (what.packing) {
      const auto unpacked = [&](const Tensor& tensor) { return halves(*what.call.op, tensor, *what.packing); };
      const auto [h_gate, h_up] = unpacked(h[0]);
      const auto [gate, up] = unpacked(saved[0]);
      const auto [k_gate, k_up] = unpacked(k_saved[0]);
      const Differentiated two{what.call, Pass::backward};
      result[arity] = second_derivatives(two, {h_gate, h_up}, {k_gate, gate, up})[1] +
                      second_derivatives(two, {h_gate, h_up}, {k_up, gate, up})[2];
    } else {
      for (size_t i = 0; i < arity; ++i) {
        if (!k_saved[i].defined()) continue;
        const Tensor term = second(k_saved[i])[i + 1];
        result[arity] = result[arity].defined() ? result[arity] + term : term;
      }
    }
  }
  if (other && k[0].defined()) {
    const auto by_saved = second(k[0]);
    std::copy(by_saved.begin() + 1, by_saved.end(), result.begin() + arity + 1);
  }
  return result;
}

void define(torch::Library& library, const Op& op) {
  const std::vector<at::Tag> tags = {at::Tag::pt2_compliant_tag};
  const std::string params = std::string(op.spec.params).empty() ? "" : ", " + std::string(op.spec.params);
  const auto def = [&](const std::string& name, const std::string& arguments, const std::string& result) {
    library.def(torch::schema((name + "(" + arguments + params + ") -> " + result).c_str()), tags);
  };
  const std::string two = "(Tensor, Tensor)", three = "(Tensor, Tensor, Tensor)";
  const std::string tensors = "Tensor gate, Tensor up", how = ", int dim, bool gate_first, bool interleaved";
  def(dispatcher_name(op, Pass::forward), tensors, "Tensor");
  def(dispatcher_name(op, Pass::backward), "Tensor grad_output, " + tensors, two);
  def(dispatcher_name(op, Pass::double_backward),
      "Tensor grad_grad_gate, Tensor grad_grad_up, Tensor grad_output, " + tensors, three);
  def(packed_name(op, Pass::forward), "Tensor input, int dim=-1, bool gate_first=True, bool interleaved=False",
      "Tensor");
  def(packed_name(op, Pass::backward), "Tensor grad_output, Tensor input" + how, "Tensor");
  def(packed_name(op, Pass::double_backward), "Tensor grad_grad_input, Tensor grad_output, Tensor input" + how, two);
}

template <class... P>
void implement(torch::Library& library, const Op& op) {
  library.impl(dispatcher_name(op, Pass::forward).c_str(),
               [&op](T gate, T up, P... p) { return forward(checked(op, p...), gate, up); });
  library.impl(dispatcher_name(op, Pass::backward).c_str(),
               [&op](T g, T gate, T up, P... p) { return backward(checked(op, p...), g, gate, up); });
  library.impl(dispatcher_name(op, Pass::double_backward).c_str(), [&op](T h_gate, T h_up, T g, T gate, T up, P... p) {
    return double_backward(checked(op, p...), h_gate, h_up, g, gate, up);
  });
  library.impl(packed_name(op, Pass::forward).c_str(),
               [&op](T input, int64_t dim, bool gate_first, bool interleaved, P... p) {
                 return packed_forward(checked(op, p...), {dim, gate_first, interleaved}, input);
               });
  library.impl(packed_name(op, Pass::backward).c_str(),
               [&op](T g, T input, int64_t dim, bool gate_first, bool interleaved, P... p) {
                 return packed_backward(checked(op, p...), {dim, gate_first, interleaved}, g, input);
               });
  library.impl(packed_name(op, Pass::double_backward).c_str(),
               [&op](T h, T g, T input, int64_t dim, bool gate_first, bool interleaved, P... p) {
                 return packed_double_backward(checked(op, p...), {dim, gate_first, interleaved}, h, g, input);
               });
}

template <class... P>
void record(torch::Library& library, const Op& op) {
  using K = DispatchKeySet;
  const auto impl = [&](const std::string& name, auto make) {
    library.impl(name.c_str(), make(find_in_dispatcher(name)));
  };
  impl(dispatcher_name(op, Pass::forward), [&op](const c10::OperatorHandle& handle) {
    return [&op, next = handle.typed<Tensor(T, T, P...)>()](K keys, T gate, T up, P... p) {
      const Differentiated what{checked(op, p...), Pass::forward};
      return recorded(
          keys, what, pushed_forward, [&] { return forward(what.call, gate, up); },
          [&](K rest) { return next.redispatch(rest, gate, up, p...); }, {&gate, &up});
    };
  });
  impl(dispatcher_name(op, Pass::backward), [&op](const c10::OperatorHandle& handle) {
    return [&op, next = handle.typed<Two(T, T, T, P...)>()](K keys, T g, T gate, T up, P... p) {
      const Differentiated what{checked(op, p...), Pass::backward};
      return recorded(
          keys, what, pushed_forward, [&] { return backward(what.call, g, gate, up); },
          [&](K rest) { return next.redispatch(rest, g, gate, up, p...); }, {&g, &gate, &up});
    };
  });
  impl(dispatcher_name(op, Pass::double_backward), [&op](const c10::OperatorHandle& handle) {
    return
        [&op, next = handle.typed<Three(T, T, T, T, T, P...)>()](K keys, T h_gate, T h_up, T g, T gate, T up, P... p) {
          const Differentiated what{checked(op, p...), Pass::double_backward};
          return recorded(
              keys, what, pushed_forward, [&] { return double_backward(what.call, h_gate, h_up, g, gate, up); },
              [&](K rest) { return next.redispatch(rest, h_gate, h_up, g, gate, up, p...); },
              {&h_gate, &h_up, &g, &gate, &up});
        };
  });
  impl(packed_name(op, Pass::forward), [&op](const c10::OperatorHandle& handle) {
    return [&op, next = handle.typed<Tensor(T, int64_t, bool, bool, P...)>()](K keys, T input, int64_t dim, bool first,
                                                                              bool interleaved, P... p) {
      const Differentiated what{checked(op, p...), Pass::forward, false, Packing{dim, first, interleaved}};
      return recorded(
          keys, what, pushed_forward, [&] { return packed_forward(what.call, *what.packing, input); },
          [&](K rest) { return next.redispatch(rest, input, dim, first, interleaved, p...); }, {&input});
    };
  });
  impl(packed_name(op, Pass::backward), [&op](const c10::OperatorHandle& handle) {
    return [&op, next = handle.typed<Tensor(T, T, int64_t, bool, bool, P...)>()](K keys, T g, T input, int64_t dim,
                                                                                 bool first, bool interleaved, P... p) {
      const Differentiated what{checked(op, p...), Pass::backward, false, Packing{dim, first, interleaved}};
      return recorded(
          keys, what, pushed_forward, [&] { return packed_backward(what.call, *what.packing, g, input); },
          [&](K rest) { return next.redispatch(rest, g, input, dim, first, interleaved, p...); }, {&g, &input});
    };
  });
  impl(packed_name(op, Pass::double_backward), [&op](const c10::OperatorHandle& handle) {
    return [&op, next = handle.typed<Two(T, T, T, int64_t, bool, bool, P...)>()](K keys, T h, T g, T input, int64_t dim,
                                                                                 bool first, bool interleaved, P... p) {
      const Differentiated what{checked(op, p...), Pass::double_backward, false, Packing{dim, first, interleaved}};
      return recorded(
          keys, what, pushed_forward, [&] { return packed_double_backward(what.call, *what.packing, h, g, input); },
          [&](K rest) { return next.redispatch(rest, h, g, input, dim, first, interleaved, p...); }, {&h, &g, &input});
    };
  });
}

}  // namespace

Tensor packed_forward(const Call& call, const Packing& packing, const Tensor& input) {
  const auto [gate, up] = halves(*call.op, input, packing);
  return forward(call, gate, up);
}

Tensor packed_backward(const Call& call, const Packing& packing, const Tensor& g, const Tensor& input) {
  const auto [gate, up] = halves(*call.op, input, packing);
  const Dtype dtype = check_inputs(call, Pass::backward, {&g, &gate, &up});
  Tensor grad = empty_output(input);
  const auto [grad_gate, grad_up] = halves(*call.op, grad, packing);
  run(call, Pass::backward, dtype, {&grad_gate, &grad_up}, {&g, &gate, &up});
  return grad;
}

variable_list unit_derivatives(const Differentiated& what, const variable_list& grads, const Saved& saved,
                               const Needed& needed) {
  if (!any_defined(grads)) return variable_list(what.count_tensors());
  if (what.pass == Pass::forward) {
    if (what.packing) return {packed_backward_pass(what.call, *what.packing, grads[0], saved[0])};
    return as_list(backward_pass(what.call, grads[0], saved[0], saved[1]));
  }
  return what.pass == Pass::backward ? second_derivatives(what, grads, saved)
                                     : third_derivatives(what, grads, saved, needed);
}

void register_unit_autograd(torch::Library& library, const Op& op) {
  with_signature(op, [&](auto... p) { record<decltype(p)...>(library, op); });
}

#define ACT_EXT_FOR_EVERY_UNIT(function)                                                                            \
  for (const Op& op : all_ops()) {                                                                                  \
    if (op.kind == Kind::gated_unit) with_signature(op, [&](auto... p) { function<decltype(p)...>(library, op); }); \
  }
TORCH_LIBRARY_FRAGMENT(act_ext, library) {
  library.set_python_module("act_ext._register");
  for (const Op& op : all_ops()) {
    if (op.kind == Kind::gated_unit) define(library, op);
  }
}
TORCH_LIBRARY_IMPL(act_ext, CPU, library){ACT_EXT_FOR_EVERY_UNIT(implement)} TORCH_LIBRARY_IMPL(act_ext, CUDA,
                                                                                                library) {
  ACT_EXT_FOR_EVERY_UNIT(implement)
}

}  // namespace act_ext
