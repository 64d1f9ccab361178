// The autograd node of the pointwise ops.
#pragma once

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/version.h>

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

// What a node differentiates: one call of one pass.
struct Differentiated {
  Call call;
  Pass pass;
  // For a forward pass: what its backward takes from the saved tensor.
  bool from_result = false;
};

inline constexpr int kMaxInputs = 3;
using Saved = std::array<at::Tensor, kMaxInputs>;
using Needed = std::array<bool, kMaxInputs>;

// The derivatives with respect to each input of the pass, given that of its output. `saved` holds the inputs (for a
// forward pass, what the op saves); an undefined result stands for an input that needs no gradient.
torch::autograd::variable_list derivatives(const Differentiated& what, const at::Tensor& grad, const Saved& saved,
                                           const Needed& needed);

class PointwiseNode : public torch::autograd::Node {
 public:
  explicit PointwiseNode(Differentiated differentiated) : what_(differentiated) {}

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
  int inputs() const { return count_inputs(what_.pass); }
  bool saves_output() const {
    return what_.pass == Pass::forward && (what_.from_result || what_.call.op->spec.saves == Saves::result);
  }
  Saved unpack();
  Needed needed() const;

  Differentiated what_;
  std::array<torch::autograd::SavedVariable, kMaxInputs> saved_;
};

}  // namespace act_ext
