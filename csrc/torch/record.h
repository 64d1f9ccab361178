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
inline torch::autograd::variable_list as_list(const torch::autograd::variable_list& tensors) { return tensors; }
template <class... T>
torch::autograd::variable_list as_list(const std::tuple<T...>& tensors) {
  return std::apply([](const auto&... each) { return torch::autograd::variable_list{each...}; }, tensors);
}

using Recorded = c10::ArrayRef<const at::Tensor*>;

// direct() calls the kernel; redispatch(keys) goes on in the dispatcher. pushed_forward(what, inputs, their tangents,
// outputs) gives the outputs' tangents; a tangent that is not there counts as zeros.
template <class Push, class Direct, class Redispatch>
auto recorded(c10::DispatchKeySet keys, const Differentiated& what, Push pushed_forward, Direct direct,
              Redispatch redispatch, Recorded tensors) {
  bool requires_grad = false, has_tangent = false;
  for (const at::Tensor* tensor : tensors) {
    requires_grad = requires_grad || torch::autograd::compute_requires_grad(*tensor);
    has_tangent = has_tangent || torch::autograd::isFwGradDefined(*tensor);
  }
  NodePtr<ElementwiseNode> node;
  if (requires_grad) {
    node = make_node<ElementwiseNode>(what);
    int i = 0;
    for (const at::Tensor* tensor : tensors) {
      node->add_next_edge(torch::autograd::impl::gradient_edge(*tensor));
      if (what.saved_output() < 0 && i < what.count_tensors()) node->save(i++, *tensor, /*is_output=*/false);
    }
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
    // All but what is saved beside the result, a constant.
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (i == 0 || static_cast<int>(i) != what.saved_output()) torch::autograd::set_history(outputs[i], node);
    }
  }
  if (has_tangent) {
    Saved primals;
    torch::autograd::variable_list tangents;
    for (const at::Tensor* tensor : tensors) {
      if (tangents.size() < primals.size()) primals[tangents.size()] = tensor->_fw_primal(0);
      tangents.push_back(tensor->_fw_grad(0));
    }
    tangents = pushed_forward(what, primals, tangents, outputs);
    for (size_t i = 0; i < tangents.size(); ++i) {
      outputs[i]._set_fw_grad(tangents[i], /*level=*/0, /*is_inplace_op=*/false);
    }
  }
  // With its tangent, which a derivative of the gradient asks for.
  if (node && what.saved_output() >= 0) node->save(0, outputs[what.saved_output()], /*is_output=*/true);
  return out;
}

}  // namespace act_ext
