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

// The tangent of the backward pass for that of the result y. The pass is sign y (g - sum(g y)), which is quadratic in
// y, or sign (g - e^y sum(g)) of a logarithm.
Tensor by_result(const Differentiated& what, const Tensor& g, const Tensor& y, const Tensor& y_tangent) {
  const auto row_sum = [&](const Tensor& terms) { return terms.sum(what.packing->dim, /*keepdim=*/true); };
  const Tensor tangent = what.call.op->logarithmic ? -y.exp() * y_tangent * row_sum(g)
                                                   : y_tangent * (g - row_sum(g * y)) - y * row_sum(g * y_tangent);
  return what.call.op->sign < 0 ? -tangent : tangent;
}

variable_list pushed_forward(const Differentiated& what, const Saved& inputs, const variable_list& tangents,
                             const variable_list& outputs) {
  if (what.pass == Pass::forward) {
    // The result is not detached, since a derivative of the tangent depends on it. Softmax's Jacobian is symmetric.
    const Tensor &t = tangents[0], &y = outputs[0];
    if (!what.call.op->logarithmic) return {backward_pass(what, t, y)};
    return {t - (y.exp() * t).sum(what.packing->dim, /*keepdim=*/true)};
  }
  TORCH_CHECK_NOT_IMPLEMENTED(what.pass == Pass::backward, what.call.op->spec.name,
                              ": the third derivative is not implemented");
  Tensor result;
  if (tangents[0].defined()) result = backward_pass(what, tangents[0], inputs[1]);
  if (tangents[1].defined()) {
    const Tensor term = by_result(what, inputs[0], inputs[1], tangents[1]);
    result = result.defined() ? result + term : term;
  }
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
  // Double backward is linear in h.
  TORCH_CHECK_NOT_IMPLEMENTED(!needed[1] && !needed[2], what.call.op->spec.name,
                              ": the third derivative is not implemented");
  Tensor by_h;
  if (grads[0].defined()) by_h = backward_pass(what, grads[0], saved[2]);
  if (grads[1].defined()) {
    const Tensor term = by_result(what, saved[1], saved[2], grads[1]);
    by_h = by_h.defined() ? by_h + term : term;
  }
  return {by_h, Tensor(), Tensor()};
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
