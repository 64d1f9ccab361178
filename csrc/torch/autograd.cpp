#include "autograd.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/VariableTypeUtils.h>
#include <torch/library.h>

#include <list>

#include "elementwise.h"
#include "gated_units.h"
#include "learned.h"
#include "maxout.h"
#include "node.h"
#include "row_functions.h"
#include "rrelu.h"

namespace act_ext {
namespace {

using at::Tensor;
using c10::DispatchKeySet;
using torch::autograd::compute_requires_grad;
using torch::autograd::isFwGradDefined;

// The pass itself. Straight to the kernel where nothing between here and there wants to see the call.
template <class... T>
Tensor below_autograd(DispatchKeySet keys, const Call& call, Pass pass, const T&... tensors) {
  keys = keys & c10::after_autograd_keyset;
  const auto next = keys.highestPriorityTypeId();
  at::AutoDispatchBelowADInplaceOrView guard;
  if (next == c10::DispatchKey::CPU || next == c10::DispatchKey::CUDA) return pointwise(call, pass, {&tensors...});
  return Handle::of(*call.op, pass).redispatch(keys, call.params, tensors...);
}

Tensor primal(const Tensor& tensor) { return tensor._fw_primal(0); }
Tensor tangent(const Tensor& tensor) { return tensor._fw_grad(0); }

// The op is elementwise, so its Jacobians are diagonal: the tangent that input `index` contributes is what its
// gradient would be for the tangent in the place of the output's gradient.
Tensor pushed_forward(const Differentiated& what, const Tensor& input_tangent, const Saved& saved, int index) {
  Needed needed{};
  needed[index] = true;
  Tensor result = derivatives(what, {input_tangent}, saved, needed)[index];
  // A tangent of its own, also where the slope is 1: writing to the output must not reach the input.
  return result.is_same(input_tangent) ? result.clone() : result;
}

Tensor forward(DispatchKeySet keys, const Call& call, const Tensor& input) {
  const Differentiated what{call, Pass::forward};
  const Saves saves = call.op->spec.saves;
  NodePtr<ElementwiseNode> node;
  if (compute_requires_grad(input)) {
    node = make_node<ElementwiseNode>(what);
    node->set_next_edges(torch::autograd::collect_next_edges(input));
    if (saves == Saves::input) node->save(0, input, /*is_output=*/false);
  }
  Tensor out = below_autograd(keys, call, Pass::forward, input);
  if (node) torch::autograd::set_history(out, node);
  if (isFwGradDefined(input)) {
    const Tensor saved = primal(saves == Saves::result ? out : input);
    out._set_fw_grad(pushed_forward(what, tangent(input), {saved}, 0), /*level=*/0, /*is_inplace_op=*/false);
  }
  // With its tangent, which a derivative of the gradient asks for.
  if (node && saves == Saves::result) node->save(0, out, /*is_output=*/true);
  return out;
}

// The in-place form saves the result where backward can do with that, and otherwise a copy of the input.
// `redispatch` runs the pass itself.
template <class F>
Tensor& forward_(const Call& call, Tensor& self, F redispatch) {
  const Op& op = *call.op;
  const bool requires_grad = compute_requires_grad(self);
  torch::autograd::check_inplace(self, requires_grad);
  const bool has_tangent = isFwGradDefined(self);
  const bool saves_result = op.spec.saves == Saves::result;
  const bool from_result = op.result_suffices != nullptr && op.result_suffices(call.params.data());
  const Differentiated what{call, Pass::forward, from_result};

  NodePtr<ElementwiseNode> node;
  Tensor input;
  if (op.spec.saves == Saves::input && !from_result && (requires_grad || has_tangent)) input = primal(self).clone();
  if (requires_grad) {
    node = make_node<ElementwiseNode>(what);
    node->set_next_edges(torch::autograd::collect_next_edges(self));
    if (input.defined()) node->save(0, input, /*is_output=*/false);
  }
  {
    at::AutoDispatchBelowAutograd guard;
    redispatch();
  }
  if (node) torch::autograd::rebase_history(self, node);
  if (has_tangent) {
    const Tensor saved = input.defined() ? input : primal(self);
    const Tensor old = tangent(self);
    self._set_fw_grad(old.copy_(pushed_forward(what, old, {saved}, 0)), /*level=*/0, /*is_inplace_op=*/true);
  }
  if (node && (saves_result || from_result)) node->save(0, self, /*is_output=*/true);
  return self;
}

void check_out(const Op& op, const Tensor& input, const Tensor& out) {
  if (compute_requires_grad(input, out)) torch::autograd::throw_error_out_requires_grad(op.spec.name);
  TORCH_CHECK_NOT_IMPLEMENTED(!isFwGradDefined(input) && !isFwGradDefined(out), op.spec.name,
                              "(): functions with out=... arguments don't support forward-mode differentiation");
}

// The backward passes, themselves differentiable.
template <class... T>
Tensor differentiable_backward(DispatchKeySet keys, const Call& call, Pass pass, const T&... tensors) {
  constexpr int count = sizeof...(T);
  const Differentiated what{call, pass};
  const Tensor* inputs[] = {&tensors...};
  NodePtr<ElementwiseNode> node;
  if (compute_requires_grad(tensors...)) {
    node = make_node<ElementwiseNode>(what);
    node->set_next_edges(torch::autograd::collect_next_edges(tensors...));
    for (int i = 0; i < count; ++i) {
      // The op is linear in all but the last, so an input is needed for the derivatives by the others only.
      bool others = i == count - 1;
      for (int j = 0; j < count; ++j) others = others || (j != i && inputs[j]->requires_grad());
      if (others) node->save(i, *inputs[i], /*is_output=*/false);
    }
  }
  Tensor out = below_autograd(keys, call, pass, tensors...);
  if (node) torch::autograd::set_history(out, node);

  if ((isFwGradDefined(tensors) || ...)) {
    const Saved primals = {primal(tensors)...};
    Tensor out_tangent;
    for (int i = 0; i < count; ++i) {
      if (!isFwGradDefined(*inputs[i])) continue;
      const Tensor term = pushed_forward(what, tangent(*inputs[i]), primals, i);
      out_tangent = out_tangent.defined() ? out_tangent + term : term;
    }
    out._set_fw_grad(out_tangent, /*level=*/0, /*is_inplace_op=*/false);
  }
  return out;
}

template <class... P>
void register_kernels(torch::Library& library, const Op& op) {
  const std::string name = op.spec.name;
  library.impl(name.c_str(), [&op](DispatchKeySet keys, const Tensor& input, P... p) {
    return forward(keys, checked(op, p...), input);
  });
  library.impl((name + "_").c_str(),
               [&op, inplace = find_in_dispatcher(name + "_").typed<Tensor&(Tensor&, P...)>()](
                   DispatchKeySet keys, Tensor& self, P... p) -> Tensor& {
                 return forward_(checked(op, p...), self,
                                 [&] { inplace.redispatch(keys & c10::after_autograd_keyset, self, p...); });
               });
  library.impl((name + ".out").c_str(),
               [&op, into = find_in_dispatcher(name + ".out").typed<Tensor&(const Tensor&, P..., Tensor&)>()](
                   DispatchKeySet keys, const Tensor& input, P... p, Tensor& out) -> Tensor& {
                 check_out(op, input, out);
                 at::AutoDispatchBelowAutograd guard;
                 return into.redispatch(keys & c10::after_autograd_keyset, input, p..., out);
               });
  if (op.spec.saves == Saves::nothing) {
    library.impl(dispatcher_name(op, Pass::backward).c_str(), [&op](const Tensor& grad_output) {
      // Linear: zeros, or a copy, by ops that are differentiable themselves.
      return op.spec.constant_slope == 0 ? at::zeros_like(grad_output) : grad_output.clone();
    });
    return;
  }
  for (int p = 1; p < kPasses; ++p) {
    const auto pass = static_cast<Pass>(p);
    if (!op.has(pass)) continue;
    const std::string pass_name = dispatcher_name(op, pass);
    if (!is_second(pass)) {
      library.impl(pass_name.c_str(), [&op, pass](DispatchKeySet keys, const Tensor& g, const Tensor& s, P... p) {
        return differentiable_backward(keys, checked(op, p...), pass, g, s);
      });
    } else {
      library.impl(pass_name.c_str(),
                   [&op, pass](DispatchKeySet keys, const Tensor& h, const Tensor& g, const Tensor& s, P... p) {
                     return differentiable_backward(keys, checked(op, p...), pass, h, g, s);
                   });
    }
  }
}

}  // namespace

void register_autograd(const Op& op) {
  // Kept for the life of the process, as the ops are.
  static auto* libraries = new std::list<torch::Library>;
  auto& library = libraries->emplace_back(torch::Library::IMPL, "act_ext", c10::DispatchKey::Autograd, __FILE__,
                                          static_cast<uint32_t>(__LINE__));
  switch (op.kind) {
    case Kind::pointwise:
      return with_signature(op, [&](auto... p) { register_kernels<decltype(p)...>(library, op); });
    case Kind::gated_unit:
      return register_unit_autograd(library, op);
    case Kind::learned:
      return register_learned_autograd(library, op);
    case Kind::maxout:
      return register_maxout_autograd(library);
    case Kind::row_function:
      return register_row_function_autograd(library, op);
    case Kind::rrelu:
      return register_rrelu_autograd(library);
  }
}

}  // namespace act_ext
