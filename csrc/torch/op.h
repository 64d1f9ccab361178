// An op as the dispatcher knows it: checked arguments, and calls that go through the dispatcher.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <limits>
#include <string>

#include "../registry.h"

namespace act_ext {

// An op with the parameters of one call, checked.
struct Call {
  const Op* op;
  Params params{};
};

void throw_invalid(const Op& op, const char* reason);

// A NaN without its payload, which the kernels' rounding to bfloat16 relies on.
inline double canonical(double param) { return param == param ? param : std::numeric_limits<double>::quiet_NaN(); }

template <class... P>
Call checked(const Op& op, P... params) {
  Call call{&op, {canonical(params)...}};
  if (op.spec.invalid != nullptr) {
    if (const char* reason = op.spec.invalid(call.params.data())) throw_invalid(op, reason);
  }
  return call;
}
// gelu, whose parameter names one of two ops.
Call checked(const Op& op, c10::string_view approximate);

// Whether the op's parameter is gelu's.
ACT_EXT_API bool takes_approximate(const Op& op);

// The name that an op has in the dispatcher for a pass: "mish", "mish_backward", "elu_backward.from_result".
ACT_EXT_API std::string dispatcher_name(const Op& op, Pass pass);

// "mish_", "elu.out"..., as in a schema, without the namespace.
ACT_EXT_API c10::OperatorHandle find_in_dispatcher(const std::string& name);

// The dispatcher's op for a pass of an activation. A gelu reached with a checked Call is the exact one.
class Handle {
 public:
  ACT_EXT_API static const Handle& of(const Op& op, Pass pass);

  template <class... T>
  at::Tensor call(const Params& params, const T&... tensors) const {
    return visit<const T&...>(params, [&](auto op, auto... p) { return op.call(tensors..., p...); });
  }
  template <class... T>
  at::Tensor redispatch(c10::DispatchKeySet keys, const Params& params, const T&... tensors) const {
    return visit<const T&...>(params, [&](auto op, auto... p) { return op.redispatch(keys, tensors..., p...); });
  }

 private:
  Handle(const Op& op, Pass pass);

  template <class... T, class F>
  at::Tensor visit(const Params& p, F f) const {
    using R = at::Tensor;
    if (takes_string_) return f(handle_.typed<R(T..., c10::string_view)>(), c10::string_view("none"));
    if (num_params_ == 0) return f(handle_.typed<R(T...)>());
    if (num_params_ == 1) return f(handle_.typed<R(T..., double)>(), p[0]);
    return f(handle_.typed<R(T..., double, double)>(), p[0], p[1]);
  }

  c10::OperatorHandle handle_;
  int num_params_;
  bool takes_string_;
};

// f called with the op's parameters as values of their C++ types, to choose a signature by.
template <class F>
void with_signature(const Op& op, F f) {
  if (takes_approximate(op)) {
    f(c10::string_view());
  } else if (op.num_params == 0) {
    f();
  } else if (op.num_params == 1) {
    f(0.0);
  } else {
    f(0.0, 0.0);
  }
}

}  // namespace act_ext
