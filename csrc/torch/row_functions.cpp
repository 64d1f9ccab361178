#include "row_functions.h"

#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>
#include <ATen/TensorOperators.h>
#include <ATen/WrapDimUtils.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros_like.h>

#include "../cpu/dispatch.h"
#include "cuda.h"
#include "elementwise.h"
#include "record.h"

namespace act_ext {
namespace {

using at::Tensor;
using c10::DispatchKeySet;
using torch::autograd::variable_list;
using T = const Tensor&;
using Two = std::tuple<Tensor, Tensor>;

using Operands = std::vector<const Tensor*>;

char* data_of(const Tensor& tensor) { return static_cast<char*>(const_cast<void*>(tensor.const_data_ptr())); }

// Contiguous operands are sets of rows side by side or, along the last dimension, one set of rows behind each other.
void run_contiguous(cpu::RowsKernel kernel, const Operands& operands, int64_t dim, int64_t length, int64_t grain,
                    double sign) {
  const Tensor& first = *operands.front();
  const int64_t size = first.element_size(), count = first.numel() / length;
  // Not the stride, which means nothing where the dimension has one element.
  const int64_t inner = first.dim() == 0 ? 1 : c10::multiply_integers(first.sizes().slice(dim + 1));
  const bool behind = inner == 1;
  const int64_t rows = behind ? count : inner, next = behind ? length * size : size, next_set = length * inner * size;
  const int operand_count = static_cast<int>(operands.size());
  int64_t steps[kMaxOperands], nexts[2 * kMaxOperands];
  for (int k = 0; k < operand_count; ++k) {
    steps[k] = inner * size;
    nexts[k] = next;
    nexts[operand_count + k] = next_set;
  }
  // Sets that a part of a vector or little more goes through are taken whole, where that leaves no thread idle for
  // long.
  const bool whole_sets = !behind && rows < 64 && count / rows >= 4 * at::get_num_threads();
  const int64_t together = whole_sets ? rows : 1;
  at::parallel_for(0, count / together, std::max<int64_t>(1, grain / together), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin * together, stop = end * together; row < stop;) {
      const int64_t of_set = row % rows, left = stop - row;
      const bool whole = of_set == 0 && left >= rows;
      const int64_t sets = whole ? left / rows : 1, these = whole ? rows : std::min(rows - of_set, left);
      char* data[kMaxOperands];
      for (int k = 0; k < operand_count; ++k) data[k] = data_of(*operands[k]) + row / rows * next_set + of_set * next;
      kernel(data, steps, nexts, length, these, sets, sign);
      row += sets * these;
    }
  });
}

// Operands of one shape as rows: the strides along the rows' dimension, and the operands without it.
void run_on_cpu(const Call& call, Pass pass, Dtype dtype, int64_t dim, Tensors outputs, Tensors inputs) {
  const cpu::RowsKernel kernel = cpu::rows_kernel(call.op->kernel, pass, dtype);
  const Tensor& first = **outputs.begin();
  const int64_t length = first.dim() == 0 ? 1 : first.size(dim);
  const int64_t grain = std::max<int64_t>(1, 8192 / length);
  Operands operands = outputs.vec();
  operands.insert(operands.end(), inputs.begin(), inputs.end());
  if (std::all_of(operands.begin(), operands.end(), [](const Tensor* t) { return t->is_contiguous(); })) {
    return run_contiguous(kernel, operands, dim, length, grain, call.op->sign);
  }
  // The first elements of the rows are walked over, in the order in which memory likes them best.
  int64_t steps[kMaxOperands];
  for (size_t k = 0; k < operands.size(); ++k) steps[k] = operands[k]->stride(dim) * first.element_size();
  walk_rows(outputs, inputs, dim)
      .for_each([&](char** data, const int64_t* strides, int64_t size0,
                    int64_t size1) { kernel(data, steps, strides, length, size0, size1, call.op->sign); },
                grain);
}

void run_rows(const Call& call, Pass pass, int64_t dim, Tensors outputs, Tensors inputs) {
  const Dtype dtype = check_inputs(call, pass, inputs);
  const Tensor& first = **outputs.begin();
  dim = at::maybe_wrap_dim(dim, first.dim(), /*wrap_scalar=*/true);
  if (first.numel() == 0) return;
  if (first.is_cpu()) {
    run_on_cpu(call, pass, dtype, dim, outputs, inputs);
  } else {
    run_rows_on_cuda(call, pass, dtype, dim, outputs, inputs);
  }
}

// As torch's functions of rows give it, whatever the layout of the input.
Tensor contiguous_output(const Tensor& model) {
  return model.is_contiguous() ? empty_output(model) : at::empty(model.sizes(), model.options());
}

Two double_backward(const Call& call, int64_t dim, const Tensor& h, const Tensor& g, const Tensor& result) {
  Tensor grad_g = contiguous_output(g), grad_result = contiguous_output(result);
  run_rows(call, Pass::double_backward, dim, {&grad_g, &grad_result}, {&h, &g, &result});
  return {grad_g, grad_result};
}

// The same through the dispatcher, where it concerns anyone else.

Tensor backward_pass(const Differentiated& what, const Tensor& g, const Tensor& result) {
  if (concerns_the_kernel_alone(g, result))
    return row_function(what.call, Pass::backward, what.packing->dim, {&g, &result});
  return find_in_dispatcher(dispatcher_name(*what.call.op, Pass::backward))
      .typed<Tensor(T, T, int64_t)>()
      .call(g, result, what.packing->dim);
}

Two double_backward_pass(const Differentiated& what, const Tensor& h, const Tensor& g, const Tensor& result) {
  return find_in_dispatcher(dispatcher_name(*what.call.op, Pass::double_backward))
      .typed<Two(T, T, T, int64_t)>()
      .call(h, g, result, what.packing->dim);
}

Tensor row_sum(const Differentiated& what, const Tensor& terms) {
  return terms.sum(what.packing->dim, /*keepdim=*/true);
}
Tensor with_sign(const Differentiated& what, const Tensor& tensor) { return what.call.op->sign < 0 ? -tensor : tensor; }
// Of two that may be undefined, which are zeros.
Tensor sum_of(const Tensor& a, const Tensor& b) { return !a.defined() ? b : b.defined() ? a + b : a; }

// The tangent of the backward pass for that of the result y. The pass is sign y (g - sum(g y)), which is quadratic in
// y, or sign (g - e^y sum(g)) of a logarithm.
Tensor by_result(const Differentiated& what, const Tensor& g, const Tensor& y, const Tensor& y_tangent) {
  return with_sign(what, what.call.op->logarithmic
                             ? -y.exp() * y_tangent * row_sum(what, g)
                             : y_tangent * (g - row_sum(what, g * y)) - y * row_sum(what, g * y_tangent));
}

// What the double backward pass gives for g, sign y (h - sum(h y)) or, of a logarithm, sign (h - sum(h e^y)), as the
// tangent of y changes it.
Tensor of_gradient_by_result(const Differentiated& what, const Tensor& h, const Tensor& y, const Tensor& y_tangent) {
  if (!what.call.op->logarithmic) return by_result(what, h, y, y_tangent);
  return with_sign(what, -row_sum(what, h * y_tangent * y.exp())).expand_as(y).contiguous();
}

// What the double backward pass gives for y, sign (h (g - sum(g y)) - g sum(h y)) or, of a logarithm,
// -sign h e^y sum(g), as the tangent of y changes it.
Tensor of_result_by_result(const Differentiated& what, const Tensor& h, const Tensor& g, const Tensor& y,
                           const Tensor& y_tangent) {
  return with_sign(what, what.call.op->logarithmic
                             ? -h * y_tangent * y.exp() * row_sum(what, g)
                             : -h * row_sum(what, g * y_tangent) - g * row_sum(what, h * y_tangent));
}

// The derivatives of the double backward pass by h, g and y, for the gradients of what it gives for g and y.
variable_list third_derivatives(const Differentiated& what, const Tensor& by_g, const Tensor& by_y, const Saved& inputs,
                                const Needed& needed) {
  const Tensor &h = inputs[0], &g = inputs[1], &y = inputs[2];
  variable_list results(3);
  if (by_g.defined()) {
    if (needed[0]) results[0] = backward_pass(what, by_g, y);
    if (needed[2]) results[2] = std::get<1>(double_backward_pass(what, h, by_g, y));
  }
  if (by_y.defined()) {
    if (needed[0]) results[0] = sum_of(results[0], by_result(what, g, y, by_y));
    if (needed[1]) results[1] = of_gradient_by_result(what, h, y, by_y);
    if (needed[2]) results[2] = sum_of(results[2], of_result_by_result(what, h, g, y, by_y));
  }
  return results;
}

// The tangents of what the double backward pass gives for g and y.
variable_list third_tangents(const Differentiated& what, const Saved& inputs, const variable_list& tangents) {
  const Tensor &h = inputs[0], &g = inputs[1], &y = inputs[2];
  variable_list results(2);
  if (tangents[0].defined()) results = as_list(double_backward_pass(what, tangents[0], g, y));
  if (tangents[1].defined()) {
    results[1] = sum_of(results[1], std::get<1>(double_backward_pass(what, h, tangents[1], y)));
  }
  if (tangents[2].defined()) {
    results[0] = sum_of(results[0], of_gradient_by_result(what, h, y, tangents[2]));
    results[1] = sum_of(results[1], of_result_by_result(what, h, g, y, tangents[2]));
  }
  for (Tensor& result : results) {
    if (!result.defined()) result = at::zeros_like(y);
  }
  return results;
}

variable_list pushed_forward(const Differentiated& what, const Saved& inputs, const variable_list& tangents,
                             const variable_list& outputs) {
  if (what.pass == Pass::forward) {
    // The result is not detached, since a derivative of the tangent depends on it. Softmax's Jacobian is symmetric.
    const Tensor &t = tangents[0], &y = outputs[0];
    if (!what.call.op->logarithmic) return {backward_pass(what, t, y)};
    return {t - (y.exp() * t).sum(what.packing->dim, /*keepdim=*/true)};
  }
  if (what.pass == Pass::double_backward) return third_tangents(what, inputs, tangents);
  Tensor result;
  if (tangents[0].defined()) result = backward_pass(what, tangents[0], inputs[1]);
  if (tangents[1].defined()) result = sum_of(result, by_result(what, inputs[0], inputs[1], tangents[1]));
  return {result};
}

void define(torch::Library& library, const Op& op) {
  const std::vector<at::Tag> tags = {at::Tag::pt2_compliant_tag};
  const auto def = [&](Pass pass, const std::string& rest) {
    library.def(torch::schema((dispatcher_name(op, pass) + rest).c_str()), tags);
  };
  def(Pass::forward, "(Tensor input, int dim) -> Tensor");
  def(Pass::backward, "(Tensor grad_output, Tensor result, int dim) -> Tensor");
  def(Pass::double_backward,
      "(Tensor grad_grad_input, Tensor grad_output, Tensor result, int dim) -> (Tensor, Tensor)");
}

void implement(torch::Library& library, const Op& op) {
  library.impl(dispatcher_name(op, Pass::forward).c_str(),
               [&op](T input, int64_t dim) { return row_function({&op}, Pass::forward, dim, {&input}); });
  library.impl(dispatcher_name(op, Pass::backward).c_str(),
               [&op](T g, T result, int64_t dim) { return row_function({&op}, Pass::backward, dim, {&g, &result}); });
  library.impl(dispatcher_name(op, Pass::double_backward).c_str(),
               [&op](T h, T g, T result, int64_t dim) { return double_backward({&op}, dim, h, g, result); });
}

Differentiated call_of(const Op& op, Pass pass, int64_t dim) { return {{&op}, pass, false, Packing{.dim = dim}}; }

}  // namespace

Tensor row_function(const Call& call, Pass pass, int64_t dim, Tensors inputs) {
  Tensor out = contiguous_output(*inputs.back());
  run_rows(call, pass, dim, {&out}, inputs);
  return out;
}

variable_list row_function_derivatives(const Differentiated& what, const variable_list& grads, const Saved& saved,
                                       const Needed& needed) {
  if (!any_defined(grads)) return variable_list(what.count_tensors());
  if (what.pass == Pass::forward) return {backward_pass(what, grads[0], saved[0])};
  if (what.pass == Pass::backward) return as_list(double_backward_pass(what, grads[0], saved[0], saved[1]));
  return third_derivatives(what, grads[0], grads[1], saved, needed);
}

void register_row_function_autograd(torch::Library& library, const Op& op) {
  const auto impl = [&](Pass pass, auto make) {
    const std::string name = dispatcher_name(op, pass);
    library.impl(name.c_str(), make(find_in_dispatcher(name)));
  };
  impl(Pass::forward, [&op](const c10::OperatorHandle& handle) {
    return [&op, next = handle.typed<Tensor(T, int64_t)>()](DispatchKeySet keys, T input, int64_t dim) {
      const auto what = call_of(op, Pass::forward, dim);
      return recorded(
          keys, what, pushed_forward, [&] { return row_function(what.call, what.pass, dim, {&input}); },
          [&](DispatchKeySet rest) { return next.redispatch(rest, input, dim); }, {&input});
    };
  });
  impl(Pass::backward, [&op](const c10::OperatorHandle& handle) {
    return [&op, next = handle.typed<Tensor(T, T, int64_t)>()](DispatchKeySet keys, T g, T result, int64_t dim) {
      const auto what = call_of(op, Pass::backward, dim);
      return recorded(
          keys, what, pushed_forward, [&] { return row_function(what.call, what.pass, dim, {&g, &result}); },
          [&](DispatchKeySet rest) { return next.redispatch(rest, g, result, dim); }, {&g, &result});
    };
  });
  impl(Pass::double_backward, [&op](const c10::OperatorHandle& handle) {
    return [&op, next = handle.typed<Two(T, T, T, int64_t)>()](DispatchKeySet keys, T h, T g, T result, int64_t dim) {
      const auto what = call_of(op, Pass::double_backward, dim);
      return recorded(
          keys, what, pushed_forward, [&] { return double_backward(what.call, dim, h, g, result); },
          [&](DispatchKeySet rest) { return next.redispatch(rest, h, g, result, dim); }, {&h, &g, &result});
    };
  });
}

#define ACT_EXT_FOR_EVERY_ROW_FUNCTION(function)              \
  for (const Op& op : all_ops()) {                            \
    if (op.kind == Kind::row_function) function(library, op); \
  }
TORCH_LIBRARY_FRAGMENT(act_ext, library) {
  library.set_python_module("act_ext._register");
  ACT_EXT_FOR_EVERY_ROW_FUNCTION(define)
}
TORCH_LIBRARY_IMPL(act_ext, CPU, library){ACT_EXT_FOR_EVERY_ROW_FUNCTION(implement)} TORCH_LIBRARY_IMPL(act_ext, CUDA,
                                                                                                        library) {
  ACT_EXT_FOR_EVERY_ROW_FUNCTION(implement)
}

}  // namespace act_ext
