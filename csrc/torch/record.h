// Runs an op and records it for autograd.
#pragma once

#include <algorithm>
#include <tuple>

#include "node.h"

namespace act_ext {

inline bool any_defined(const torch::autograd::variable_list& tensors) {
  return std::any_of(tensors.begin(), tensors.end(), [](const at::Tensor& tensor) { return tensor.defined(); });
}

inline torch::autograd::variable_list as_list(const at::Tensor& tensor) { return {tensor}; }
template <class... T>
torch::autograd::variable_list as_list(const std::tuple<T...>& tensors) {
  return std::apply([](const auto&... each) { return torch::autograd::variable_list{each...}; }, tensors);
}

// direct() calls the kernel; redispatch(keys) goes on in the dispatcher. pushed_forward(what, inputs, their tangents,
// outputs) gives the outputs' tangents; a tangent that is not there counts as zeros.
template <class Push, class Direct, class Redispatch, class... T>
auto recorded(c10::DispatchKeySet keys, const Differentiated& what, Push pushed_forward, Direct direct,
              Redispatch redispatch, const T&... tensors) {
  const bool has_tangent = (torch::autograd::isFwGradDefined(tensors) || ...);
  NodePtr<ElementwiseNode> node;
  if (torch::autograd::compute_requires_grad(tensors...)) {
    node = make_node<ElementwiseNode>(what);
    node->set_next_edges(torch::autograd::collect_next_edges(tensors...));
    int i = 0;
    if (!what.saves_output()) (node->save(i++, tensors, /*is_output=*/false), ...);
  }
  auto out = [&] {
    keys = keys & c10::after_autograd_keyset;
    const auto next = keys.highestPriorityTypeId();
    at::AutoDispatchBelowADInplaceOrView guard;
    return next == c10::DispatchKey::CPU || next == c10::DispatchKey::CUDA ? direct() : redispatch(keys);
  }();
  if (!node && !has_tangent) return out;
  const auto outputs = as_list(out);
  if (node) {
    for (const at::Tensor& output : outputs) torch::autograd::set_history(output, node);
  }
  if (has_tangent) {
    const Saved primals = {tensors._fw_primal(0)...};
    const auto tangents = pushed_forward(what, primals, {tensors._fw_grad(0)...}, outputs);
    for (size_t i = 0; i < outputs.size(); ++i) {
      outputs[i]._set_fw_grad(tangents[i], /*level=*/0, /*is_inplace_op=*/false);
    }
  }
  // With its tangent, which a derivative of the gradient asks for.
  if (node && what.saves_output()) node->save(0, outputs[0], /*is_output=*/true);
  return out;
}

}  // namespace act_ext
