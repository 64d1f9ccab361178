// Autocast: the rules that torch has for its own ops, and for those that take several tensors the dtype that they meet
// in.
#include <ATen/autocast_mode.h>
#include <torch/library.h>

#include "op.h"

namespace act_ext {
namespace {

using at::ScalarType;
using at::Tensor;

enum class Rule {
  float32,          // as torch's softmax and softplus on CUDA
  lower_precision,  // as torch's prelu
  widest,           // as the product of two tensors
  as_first,         // parameters as the input
};

class AutocastKernel : public c10::OperatorKernel {
 public:
  AutocastKernel(Rule rule, c10::DeviceType device) : rule_(rule), device_(device) {}

  void operator()(const c10::OperatorHandle& op, c10::DispatchKeySet, torch::jit::Stack* stack) {
    const c10::impl::ExcludeDispatchKeyGuard guard(c10::autocast_dispatch_keyset);
    const auto arguments = torch::jit::last(*stack, op.schema().arguments().size());
    std::vector<size_t> tensors;
    for (size_t i = 0; i < arguments.size(); ++i) {
      if (arguments[i].isTensor()) tensors.push_back(stack->size() - arguments.size() + i);
    }
    ScalarType dtype = (*stack)[tensors[0]].toTensor().scalar_type();
    if (rule_ == Rule::float32) dtype = at::kFloat;
    if (rule_ == Rule::lower_precision) dtype = at::autocast::get_autocast_dtype(device_);
    if (rule_ == Rule::widest) {
      for (const size_t i : tensors) dtype = c10::promoteTypes(dtype, (*stack)[i].toTensor().scalar_type());
    }
    for (const size_t i : tensors) {
      (*stack)[i] = at::autocast::cached_cast(dtype, (*stack)[i].toTensor(), device_);
    }
    op.callBoxed(stack);
  }

 private:
  Rule rule_;
  c10::DeviceType device_;
};

std::optional<Rule> rule_of(const Op& op, c10::DeviceType device) {
  switch (op.kind) {
    case Kind::learned:
      return std::string_view(op.spec.name) == "prelu" ? Rule::lower_precision : Rule::as_first;
    case Kind::gated_unit:
      return Rule::widest;
    case Kind::row_function:
      return device == at::kCUDA ? std::optional(Rule::float32) : std::nullopt;
    case Kind::pointwise:
      if (device == at::kCUDA && std::string_view(op.spec.name) == "softplus") return Rule::float32;
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

void implement(torch::Library& library, c10::DeviceType device) {
  for (const Op& op : all_ops()) {
    const auto rule = rule_of(op, device);
    if (!rule) continue;
    library.impl(dispatcher_name(op, Pass::forward).c_str(),
                 torch::CppFunction::makeFromBoxedKernel(
                     c10::BoxedKernel::makeFromFunctor(std::make_unique<AutocastKernel>(*rule, device))));
  }
}

}  // namespace

TORCH_LIBRARY_IMPL(act_ext, AutocastCPU, library) { implement(library, at::kCPU); }
TORCH_LIBRARY_IMPL(act_ext, AutocastCUDA, library) { implement(library, at::kCUDA); }

}  // namespace act_ext
