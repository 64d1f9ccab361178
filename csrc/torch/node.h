// The autograd node of the elementwise ops.
#pragma once

#include <torch/csrc/autograd/VariableTypeUtils.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/version.h>

#include <optional>

#include "op.h"

namespace torch::dynamo::autograd {
struct PackedArgs;
}

namespace act_ext {

// torch 2.13 moved nodes from shared_ptr to intrusive_ptr.
#if TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR < 13
template <class N>
using NodePtr = std::shared_ptr<N>;
template <class N, class... A>
NodePtr<N> make_node(A&&... args) {
  return NodePtr<N>(new N(std::forward<A>(args)...), torch::autograd::deleteNode);
}
inline NodePtr<torch::autograd::Node> owning(torch::autograd::Node* node) { return node->getptr(); }
#else
template <class N>
using NodePtr = c10::intrusive_ptr<N>;
template <class N, class... A>
NodePtr<N> make_node(A&&... args) {
  return c10::make_intrusive<N>(std::forward<A>(args)...);
}
inline NodePtr<torch::autograd::Node> owning(torch::autograd::Node* node) {
  return c10::intrusive_ptr<torch::autograd::Node>::unsafe_reclaim_from_nonowning(node);
}
#endif

// Where a gated unit finds its gate and the other half in one tensor; of a row function the dimension alone.
struct Packing {
  int64_t dim = -1;
  bool gate_first = true, interleaved = false;
};

// What a node differentiates: one call of one pass.
struct Differentiated {
  Call call;
  Pass pass;
  // For a forward pass: what its backward takes from the saved tensor.
  bool from_result = false;
  // Of a gated unit on one tensor and of a row function.
  std::optional<Packing> packing = std::nullopt;

  bool saves_output() const { return pass == Pass::forward && (from_result || call.op->spec.saves == Saves::result); }

  int count_tensors() const { return count_inputs(pass, packing ? 1 : call.op->arity); }
};

using Saved = std::array<at::Tensor, kMaxInputs>;
using Needed = std::array<bool, kMaxInputs>;

// The derivatives with respect to each input of the pass, given those of its outputs. `saved` holds the inputs (for the
// forward pass of a pointwise op, what the op saves); an undefined result stands for an input that needs no gradient.
torch::autograd::variable_list derivatives(const Differentiated& what, const torch::autograd::variable_list& grads,
                                           const Saved& saved, const Needed& needed);

// Whether nobody but the kernel wants to see a call: no gradient or tangent is recorded, and no mode, transform or
// profiler looks on. The way through the dispatcher, which costs more than a small kernel, can then be saved.
template <class... T>
bool concerns_the_kernel_alone(const T&... tensors) {
  if (at::GradMode::is_enabled() || at::hasCallbacks() || (torch::autograd::isFwGradDefined(tensors) || ...)) {
    return false;
  }
  // What a backward op has no kernel for, or one that does nothing here.
  constexpr auto ignored = c10::autograd_dispatch_keyset_with_ADInplaceOrView | c10::autocast_dispatch_keyset |
                           c10::DispatchKeySet(c10::DispatchKey::BackendSelect);
  const auto keys = c10::impl::computeDispatchKeySet((tensors.key_set() | ...),
                                                     c10::DispatchKeySet(c10::DispatchKeySet::FULL) - ignored);
  const auto first = keys.highestPriorityTypeId();
  return first == c10::DispatchKey::CPU || first == c10::DispatchKey::CUDA;
}

class ElementwiseNode : public torch::autograd::Node {
 public:
  explicit ElementwiseNode(Differentiated differentiated) : what_(differentiated) {}

  void save(int index, const at::Tensor& tensor, bool is_output) {
    saved_[index] = torch::autograd::SavedVariable(tensor, is_output);
  }

  std::string name() const override;
  void release_variables() override;
  torch::autograd::variable_list apply(torch::autograd::variable_list&& grads) override;

  void compiled_args(torch::dynamo::autograd::CompiledNodeArgs& args) const override;
  torch::autograd::variable_list apply_with_saved(const torch::autograd::variable_list& grads,
                                                  torch::dynamo::autograd::SwapSavedVariables& saved) override;

 private:
  Saved unpack();
  Needed needed() const;

  Differentiated what_;
  std::array<torch::autograd::SavedVariable, kMaxInputs> saved_;
};

}  // namespace act_ext
