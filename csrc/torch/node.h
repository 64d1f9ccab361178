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

// Where a gated unit finds its gate and the other half in one tensor; of row functions and channels the dimension
// alone.
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
  // Of a gated unit on one tensor, of a row function and of learned parameters.
  std::optional<Packing> packing = std::nullopt;
  // Of a derivative of the slope alone (higher.h), or 0: then the pass tells what it is a function of.
  int order = 0;

  // The output that is saved in place of the inputs, or -1: the result, maxout's indices or rrelu's noise.
  int saved_output() const {
    if (pass != Pass::forward) return -1;
    if (call.op->kind == Kind::maxout || call.op->kind == Kind::rrelu) return 1;
    return from_result || call.op->spec.saves == Saves::result ? 0 : -1;
  }

  // What is saved. Double backward of learned parameters has no derivative and saves nothing.
  int count_tensors() const {
    if (order > 0) return 1;
    if (call.op->kind == Kind::learned && is_second(pass)) return 0;
    if (call.op->kind == Kind::maxout) return pass == Pass::forward ? 1 : 2;
    return count_inputs(pass, packing && call.op->kind == Kind::gated_unit ? 1 : call.op->arity);
  }
};

using Saved = std::array<at::Tensor, kMaxSaved>;
using Needed = std::array<bool, kMaxSaved>;

// The derivatives with respect to each input of the pass, given those of its outputs. `saved` holds the inputs (for the
// forward pass of a pointwise op, what the op saves); an undefined result stands for an input that needs no gradient.
torch::autograd::variable_list derivatives(const Differentiated& what, const torch::autograd::variable_list& grads,
                                           const Saved& saved, const Needed& needed);

// The dispatcher's keys of a call with these tensors, without those for which no op has a kernel here.
c10::DispatchKeySet keys_of_call(c10::ArrayRef<const at::Tensor*> tensors);

// Whether nobody but the kernel wants to see a call: no gradient or tangent is recorded, and no mode, transform or
// profiler looks on. The way through the dispatcher, which costs more than a small kernel, can then be saved.
bool concern_the_kernel_alone(c10::ArrayRef<const at::Tensor*> tensors);
template <class... T>
bool concerns_the_kernel_alone(const T&... tensors) {
  return concern_the_kernel_alone({&tensors...});
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
  std::array<torch::autograd::SavedVariable, kMaxSaved> saved_;
};

}  // namespace act_ext
