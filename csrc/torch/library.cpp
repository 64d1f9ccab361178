// The ops of act_ext in the dispatcher: schemas, CPU and CUDA kernels, functionalization and version counters, for
// every entry of the List. Autograd, fake kernels and vmap follow from Python (act_ext/_register.py).
#include <ATen/FunctionalTensorWrapper.h>
#include <torch/csrc/autograd/VariableTypeUtils.h>
#include <torch/library.h>

#include "elementwise.h"

namespace act_ext {
namespace {

using at::Tensor;
using c10::DispatchKeySet;

// "Tensor input, float alpha=1.0"
std::string arguments(const std::string& tensors, const Op& op) {
  const std::string params = op.spec.params;
  return params.empty() ? tensors : tensors + ", " + params;
}

void define(torch::Library& library, const Op& op) {
  const std::string name = op.spec.name;
  const std::vector<at::Tag> tags = {at::Tag::pt2_compliant_tag, at::Tag::pointwise};
  const auto def = [&](const std::string& schema) { library.def(torch::schema(schema.c_str()), tags); };
  def(name + "(" + arguments("Tensor input", op) + ") -> Tensor");
  def(name + "_(" + arguments("Tensor(a!) input", op) + ") -> Tensor(a!)");
  const std::string star = takes_approximate(op) ? ", " : ", *, ";
  def(name + ".out(" + arguments("Tensor input", op) + star + "Tensor(a!) out) -> Tensor(a!)");
  if (op.spec.saves == Saves::nothing) {
    def(dispatcher_name(op, Pass::backward) + "(Tensor grad_output) -> Tensor");
    return;
  }
  const std::string saved = op.spec.saves == Saves::result ? "result" : "input";
  for (int p = 1; p < kPasses; ++p) {
    const auto pass = static_cast<Pass>(p);
    if (!op.has(pass)) continue;
    const std::string tensors = std::string(is_second(pass) ? "Tensor grad_grad_input, " : "") +
                                "Tensor grad_output, Tensor " + (is_from_result(pass) ? "result" : saved);
    def(dispatcher_name(op, pass) + "(" + arguments(tensors, op) + ") -> Tensor");
  }
}

template <class... P>
void implement(torch::Library& library, const Op& op) {
  const std::string name = op.spec.name;
  library.impl(name.c_str(),
               [&op](const Tensor& input, P... p) { return pointwise(checked(op, p...), Pass::forward, {&input}); });
  library.impl((name + "_").c_str(),
               [&op](Tensor& self, P... p) -> Tensor& { return pointwise_(checked(op, p...), self); });
  library.impl((name + ".out").c_str(), [&op](const Tensor& input, P... p, Tensor& out) -> Tensor& {
    return pointwise_out(checked(op, p...), input, out);
  });
  if (op.spec.saves == Saves::nothing) {
    library.impl(dispatcher_name(op, Pass::backward).c_str(),
                 [&op](const Tensor& grad_output) { return constant_backward(op, grad_output); });
    return;
  }
  for (int p = 1; p < kPasses; ++p) {
    const auto pass = static_cast<Pass>(p);
    if (!op.has(pass)) continue;
    if (!is_second(pass)) {
      library.impl(dispatcher_name(op, pass).c_str(), [&op, pass](const Tensor& g, const Tensor& s, P... p) {
        return pointwise(checked(op, p...), pass, {&g, &s});
      });
    } else {
      library.impl(dispatcher_name(op, pass).c_str(),
                   [&op, pass](const Tensor& h, const Tensor& g, const Tensor& s, P... p) {
                     return pointwise(checked(op, p...), pass, {&h, &g, &s});
                   });
    }
  }
}

// The in-place and out= forms bump the version counter of what they write.
template <class... P>
void count_versions(torch::Library& library, const Op& op) {
  const std::string name = op.spec.name;
  library.impl((name + "_").c_str(),
               [inplace = find_in_dispatcher(name + "_").typed<Tensor&(Tensor&, P...)>()](
                   DispatchKeySet keys, Tensor& self, P... p) -> Tensor& {
                 at::AutoDispatchBelowADInplaceOrView guard;
                 inplace.redispatch(keys & c10::after_ADInplaceOrView_keyset, self, p...);
                 torch::autograd::increment_version(self);
                 return self;
               });
  library.impl((name + ".out").c_str(),
               [into = find_in_dispatcher(name + ".out").typed<Tensor&(const Tensor&, P..., Tensor&)>()](
                   DispatchKeySet keys, const Tensor& input, P... p, Tensor& out) -> Tensor& {
                 at::AutoDispatchBelowADInplaceOrView guard;
                 into.redispatch(keys & c10::after_ADInplaceOrView_keyset, input, p..., out);
                 torch::autograd::increment_version(out);
                 return out;
               });
}

// Under functionalization a write becomes the functional op and a replacement of the written tensor's value.
namespace fn = at::functionalization::impl;

Tensor unwrapped(const Tensor& tensor) {
  if (!fn::isFunctionalTensor(tensor)) return tensor;
  fn::sync(tensor);
  return fn::from_functional_tensor(tensor);
}
Tensor& replaced(Tensor& target, const Tensor& value) {
  fn::replace_(target, value);
  fn::commit_update(target);
  fn::sync(target);
  return target;
}

template <class... P>
void functionalize(torch::Library& library, const Op& op) {
  const std::string name = op.spec.name;
  const auto functional = find_in_dispatcher(name).typed<Tensor(const Tensor&, P...)>();
  library.impl((name + "_").c_str(),
               [functional, inplace = find_in_dispatcher(name + "_").typed<Tensor&(Tensor&, P...)>()](
                   Tensor& self, P... p) -> Tensor& {
                 const Tensor value = unwrapped(self);
                 at::AutoDispatchSkipFunctionalize guard;
                 return fn::isFunctionalTensor(self) ? replaced(self, functional.call(value, p...))
                                                     : inplace.call(self, p...);
               });
  library.impl((name + ".out").c_str(),
               [functional, into = find_in_dispatcher(name + ".out").typed<Tensor&(const Tensor&, P..., Tensor&)>()](
                   const Tensor& input, P... p, Tensor& out) -> Tensor& {
                 const Tensor value = unwrapped(input);
                 at::AutoDispatchSkipFunctionalize guard;
                 return fn::isFunctionalTensor(out) ? replaced(out, functional.call(value, p...))
                                                    : into.call(value, p..., out);
               });
}

}  // namespace

TORCH_LIBRARY(act_ext, library) {
  library.set_python_module("act_ext._register");
  for (const Op& op : all_ops()) {
    if (op.kind == Kind::pointwise) define(library, op);
  }
}

#define ACT_EXT_FOR_EVERY_OP(function)                                                                             \
  for (const Op& op : all_ops()) {                                                                                 \
    if (op.kind == Kind::pointwise) with_signature(op, [&](auto... p) { function<decltype(p)...>(library, op); }); \
  }
TORCH_LIBRARY_IMPL(act_ext, CPU, library){ACT_EXT_FOR_EVERY_OP(implement)} TORCH_LIBRARY_IMPL(act_ext, CUDA, library){
    ACT_EXT_FOR_EVERY_OP(implement)} TORCH_LIBRARY_IMPL(act_ext, ADInplaceOrView, library){
    ACT_EXT_FOR_EVERY_OP(count_versions)} TORCH_LIBRARY_IMPL(act_ext, Functionalize, library) {
  ACT_EXT_FOR_EVERY_OP(functionalize)
}

}  // namespace act_ext
