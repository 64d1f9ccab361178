#include "higher.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/where.h>
#include <torch/library.h>

#include "../cpu/dispatch.h"
#include "cuda.h"
#include "record.h"

namespace act_ext {
namespace {

using at::Tensor;
using c10::DispatchKeySet;
using torch::autograd::variable_list;
using Numbers = c10::ArrayRef<double>;
using Signature = Tensor(const Tensor&, c10::string_view, Numbers, int64_t, bool);

// The call whose slope is differentiated; the arguments are those of the schema.
Differentiated call_of(c10::string_view activation, Numbers params, int64_t order, bool from_result) {
  const Op* op = find_op(std::string_view(activation.data(), activation.size()));
  TORCH_CHECK_VALUE(op != nullptr && op->kind == Kind::pointwise && op->has(Pass::double_backward) &&
                        (!from_result || op->has(Pass::double_backward_from_result)),
                    "slope_derivative: activation must be a pointwise one with a slope",
                    from_result ? " that follows from its result" : "", ", got '", activation, "'");
  TORCH_CHECK_VALUE(static_cast<int>(params.size()) == op->num_params, "slope_derivative: params must be the ",
                    op->num_params, " of ", op->spec.name, ", got ", params.size());
  TORCH_CHECK_VALUE(order >= kLeastOrder, "slope_derivative: order must be at least ", kLeastOrder, ", got ", order);
  TORCH_CHECK_NOT_IMPLEMENTED(order <= kMostOrder, op->spec.name, ": derivatives beyond the fifth are not implemented");
  static_assert(kMostOrder == 4, "the fifth is the slope's fourth");
  Differentiated what{{op}, from_result ? Pass::double_backward_from_result : Pass::double_backward};
  std::transform(params.begin(), params.end(), what.call.params.begin(), canonical);
  if (const char* reason = op->spec.invalid == nullptr ? nullptr : op->spec.invalid(what.call.params.data())) {
    throw_invalid(*op, reason);
  }
  what.order = static_cast<int>(order);
  return what;
}

Tensor computed(const Tensor& saved, c10::string_view activation, Numbers params, int64_t order, bool from_result) {
  const auto what = call_of(activation, params, order, from_result);
  check_inputs(what.call, Pass::forward, {&saved});
  const Tensor in = saved.to(at::kDouble).contiguous();
  const Tensor result = at::empty_like(in);
  if (!saved.is_cpu()) {
    run_higher_on_cuda(what.call, what.order, from_result, result, in);
  } else if (saved.numel() > 0) {
    const cpu::Kernel kernel = cpu::higher_kernel(what.call.op->index, what.order, from_result);
    auto* const to = static_cast<double*>(result.mutable_data_ptr());
    auto* const from = const_cast<double*>(static_cast<const double*>(in.const_data_ptr()));
    constexpr int64_t kGrain = 512;  // some hundred operations for each element
    at::parallel_for(0, saved.numel(), kGrain, [&](int64_t begin, int64_t end) {
      char* const operands[] = {reinterpret_cast<char*>(to + begin), reinterpret_cast<char*>(from + begin)};
      kernel(operands, end - begin, what.call.params.data());
    });
  }
  return empty_output(saved).copy_(result);
}

const c10::TypedOperatorHandle<Signature>& in_dispatcher() {
  static const auto op = find_in_dispatcher("slope_derivative").typed<Signature>();
  return op;
}

Tensor differentiable(DispatchKeySet keys, const Tensor& saved, c10::string_view activation, Numbers params,
                      int64_t order, bool from_result) {
  const auto push = [](const Differentiated& what, const Saved& primals, const variable_list& tangents,
                       const variable_list&) { return derivatives(what, tangents, primals, {true}); };
  return recorded(
      keys, call_of(activation, params, order, from_result), push,
      [&] { return computed(saved, activation, params, order, from_result); },
      [&](DispatchKeySet rest) {
        return in_dispatcher().redispatch(rest, saved, activation, params, order, from_result);
      },
      {&saved});
}

}  // namespace

Tensor slope_derivative(const Call& call, int order, bool from_result, const Tensor& saved) {
  const Numbers params(call.params.data(), call.op->num_params);
  return in_dispatcher().call(saved, call.op->spec.name, params, order, from_result);
}

Tensor times_derivative(const Op& op, const Tensor& gradients, const Tensor& derivative) {
  const Tensor product = derivative * gradients;  // in the layout of what was saved, which the derivative has
  return op.spec.gates ? at::where(derivative == 0, 0, product) : product;
}

TORCH_LIBRARY_FRAGMENT(act_ext, library) {
  library.set_python_module("act_ext._register");
  library.def(
      torch::schema("slope_derivative(Tensor saved, str activation, float[] params, int order, bool from_result=False) "
                    "-> Tensor"),
      {at::Tag::pt2_compliant_tag, at::Tag::pointwise});
}
TORCH_LIBRARY_IMPL(act_ext, CPU, library) { library.impl("slope_derivative", &computed); }
TORCH_LIBRARY_IMPL(act_ext, CUDA, library) { library.impl("slope_derivative", &computed); }
TORCH_LIBRARY_IMPL(act_ext, Autograd, library) { library.impl("slope_derivative", &differentiable); }

}  // namespace act_ext
