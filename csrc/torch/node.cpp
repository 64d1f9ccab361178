#include "node.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/dynamo/compiled_autograd.h>

#include <cctype>
#include <map>
#include <mutex>

#include "elementwise.h"
#include "gated_units.h"
#include "higher.h"
#include "learned.h"
#include "maxout.h"
#include "row_functions.h"
#include "rrelu.h"

namespace act_ext {

using at::Tensor;
using torch::autograd::variable_list;
namespace dynamo = torch::dynamo::autograd;

namespace {

template <class... T>
Tensor backward_pass(const Call& call, Pass pass, const T&... tensors) {
  if (concerns_the_kernel_alone(tensors...)) return pointwise(call, pass, {&tensors...});
  return Handle::of(*call.op, pass).call(call.params, tensors...);
}

variable_list pointwise_derivatives(const Differentiated& what, const Tensor& grad, const Saved& saved,
                                    const Needed& needed) {
  const auto& [call, pass, from_result, packing, order] = what;
  const Op& op = *call.op;
  variable_list result(what.count_tensors());
  if (!grad.defined()) return result;
  const auto next_derivative = [&](const Tensor& gradients, int next, const Tensor& s) {
    // A slope that is a function of what all backward passes save, the result, is at most quadratic in it.
    if (op.spec.saves == Saves::result && next > 2) return at::zeros_like(s);
    return times_derivative(op, gradients, slope_derivative(what.call, next, is_from_result(what.pass), s));
  };
  if (order > 0) {
    if (needed[0]) result[0] = next_derivative(grad, order + 1, saved[0]);
    return result;
  }

  if (op.spec.saves == Saves::nothing) {
    // Linear with slope 0 or 1, in every pass.
    result[0] = op.spec.constant_slope == 0 ? at::zeros_like(grad) : grad;
    return result;
  }
  if (pass == Pass::forward) {
    const Pass backward = from_result ? Pass::backward_from_result : Pass::backward;
    if (needed[0]) result[0] = backward_pass(call, backward, grad, saved[0]);
    return result;
  }
  if (!is_second(pass)) {
    const Pass second = is_from_result(pass) ? Pass::double_backward_from_result : Pass::double_backward;
    if (needed[0]) result[0] = backward_pass(call, pass, grad, saved[1]);
    if (needed[1]) result[1] = backward_pass(call, second, grad, saved[0], saved[1]);
    return result;
  }
  // h g f''(s) is linear in h and g.
  if (needed[0]) result[0] = backward_pass(call, pass, grad, saved[1], saved[2]);
  if (needed[1]) result[1] = backward_pass(call, pass, saved[0], grad, saved[2]);
  if (needed[2]) result[2] = next_derivative(grad * saved[0] * saved[1], kLeastOrder, saved[2]);
  return result;
}

}  // namespace

c10::DispatchKeySet keys_of_call(c10::ArrayRef<const Tensor*> tensors) {
  c10::DispatchKeySet given;
  for (const Tensor* tensor : tensors) given = given | tensor->key_set();
  constexpr c10::DispatchKeySet none{c10::DispatchKey::ADInplaceOrView, c10::DispatchKey::BackendSelect};
  return c10::impl::computeDispatchKeySet(given, c10::DispatchKeySet(c10::DispatchKeySet::FULL) - none);
}

bool concern_the_kernel_alone(c10::ArrayRef<const Tensor*> tensors) {
  if (at::GradMode::is_enabled() || at::hasCallbacks()) return false;
  for (const Tensor* tensor : tensors) {
    if (torch::autograd::isFwGradDefined(*tensor)) return false;
  }
  // What a backward op has no kernel for, or one that does nothing here.
  constexpr auto ignored = c10::autograd_dispatch_keyset | c10::autocast_dispatch_keyset;
  const auto first = (keys_of_call(tensors) - ignored).highestPriorityTypeId();
  return first == c10::DispatchKey::CPU || first == c10::DispatchKey::CUDA;
}

variable_list derivatives(const Differentiated& what, const variable_list& grads, const Saved& saved,
                          const Needed& needed) {
  switch (what.call.op->kind) {
    case Kind::pointwise:
      return pointwise_derivatives(what, grads[0], saved, needed);
    case Kind::gated_unit:
      return unit_derivatives(what, grads, saved, needed);
    case Kind::learned:
      return learned_derivatives(what, grads, saved);
    case Kind::maxout:
      return maxout_derivatives(what, grads, saved);
    case Kind::row_function:
      return row_function_derivatives(what, grads, saved, needed);
    case Kind::rrelu:
      return rrelu_derivatives(grads, saved);
  }
  TORCH_INTERNAL_ASSERT(false);
}

std::string ElementwiseNode::name() const {
  std::string name;
  bool upper = true;
  for (const char c : std::string_view(what_.call.op->spec.name)) {
    if (c != '_') name += upper ? static_cast<char>(std::toupper(c)) : c;
    upper = c == '_';
  }
  if (what_.packing && what_.call.op->kind == Kind::gated_unit) name += "Packed";
  for (int passes = count_inputs(what_.pass, 1); passes > 0; --passes) name += "Backward";
  for (int order = 0; order < what_.order; ++order) name += "Derivative";
  const bool from_result = what_.from_result || is_from_result(what_.pass);
  return "ActExt" + name + (from_result ? "FromResult0" : "0");
}

Saved ElementwiseNode::unpack() {
  Saved tensors;
  // A saved result has to find the node that it came from; a saved input has its own.
  const NodePtr<torch::autograd::Node> self = what_.saved_output() >= 0 ? owning(this) : nullptr;
  for (int i = 0; i < what_.count_tensors(); ++i) tensors[i] = saved_[i].unpack(self);
  return tensors;
}

Needed ElementwiseNode::needed() const {
  Needed flags{};
  for (int i = 0; i < what_.count_tensors(); ++i) flags[i] = task_should_compute_output(i);
  return flags;
}

void ElementwiseNode::release_variables() {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (auto& variable : saved_) variable.reset_data();
}

variable_list ElementwiseNode::apply(variable_list&& grads) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return derivatives(what_, grads, unpack(), needed());
}

// Compiled autograd: the tensors are swapped for proxies, and `derivatives` is called on them by way of a function
// bound once under the node's name.

void ElementwiseNode::compiled_args(dynamo::CompiledNodeArgs& args) const {
  for (const auto& variable : saved_) args.collect(variable, what_.saved_output() >= 0);
  args.collect(static_cast<int64_t>(what_.call.op->index));
  args.collect(static_cast<int64_t>(what_.pass));
  args.collect(what_.from_result);
  args.collect(static_cast<int64_t>(what_.order));
  const Packing packing = what_.packing.value_or(Packing());
  args.collect(what_.packing.has_value());
  args.collect(packing.dim);
  args.collect(packing.gate_first);
  args.collect(packing.interleaved);
  for (const double param : what_.call.params) args.collect(param);
}

namespace {

variable_list run_packed(const variable_list& grads, const std::vector<c10::IValue>& values) {
  dynamo::PackedArgs args(values);
  Differentiated what;
  what.call.op = &all_ops()[args.unpack<int64_t>()];
  what.pass = static_cast<Pass>(args.unpack<int64_t>());
  what.from_result = args.unpack<bool>();
  what.order = static_cast<int>(args.unpack<int64_t>());
  const bool packed = args.unpack<bool>();
  Packing packing;
  packing.dim = args.unpack<int64_t>();
  packing.gate_first = args.unpack<bool>();
  packing.interleaved = args.unpack<bool>();
  if (packed) what.packing = packing;
  for (double& param : what.call.params) param = args.unpack<double>();
  Saved saved;
  Needed needed{};
  for (int i = 0; i < what.count_tensors(); ++i) {
    needed[i] = args.unpack<bool>();
    saved[i] = args.unpack<Tensor>();
  }
  return derivatives(what, grads, saved, needed);
}

std::string bound_name(dynamo::SwapSavedVariables& saved, const std::string& name,
                       const std::vector<at::TypePtr>& schema) {
  static std::mutex mutex;
  static std::map<std::string, std::string> bound;
  const std::lock_guard<std::mutex> lock(mutex);
  if (const auto found = bound.find(name); found != bound.end()) return found->second;
  const auto function =
      dynamo::getPyCompilerInterface()->bind_function(saved.get_py_compiler(), name, run_packed, schema);
  return bound.emplace(name, function).first->second;
}

}  // namespace

variable_list ElementwiseNode::apply_with_saved(const variable_list& grads, dynamo::SwapSavedVariables& saved) {
  for (auto& variable : saved_) saved.before(variable);
  dynamo::PackedArgs args;
  args.pack(static_cast<int64_t>(what_.call.op->index));
  args.pack(static_cast<int64_t>(what_.pass));
  args.pack(what_.from_result);
  args.pack(static_cast<int64_t>(what_.order));
  const Packing packing = what_.packing.value_or(Packing());
  args.pack(what_.packing.has_value());
  args.pack(packing.dim);
  args.pack(packing.gate_first);
  args.pack(packing.interleaved);
  for (const double param : what_.call.params) args.pack(param);
  const auto tensors = unpack();
  const auto flags = needed();
  for (int i = 0; i < what_.count_tensors(); ++i) {
    args.pack(flags[i]);
    args.pack(tensors[i]);
  }
  std::vector<at::TypePtr> schema;
  for (const auto& value : args.vec()) {
    schema.push_back(value.isTensor() ? at::TypePtr(at::TensorType::get()) : value.type());
  }
  const auto function = bound_name(saved, name(), schema);
  const auto metadata = dynamo::IValuePacker<std::vector<std::optional<torch::autograd::InputMetadata>>>::pack(
      dynamo::get_input_metadata(next_edges()));
  auto result = dynamo::getPyCompilerInterface()->call_function(saved.get_py_compiler(), "apply_functional", function,
                                                                grads, args.vec(), metadata);
  for (auto& variable : saved_) saved.after(variable);
  return result;
}

}  // namespace act_ext
