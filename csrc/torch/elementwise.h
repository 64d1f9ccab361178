// The elementwise ops on tensors of a CPU or CUDA device: checks, outputs, and the walk over memory of any layout.
#pragma once

#include "op.h"

namespace at {
struct TensorIterator;
}

namespace act_ext {

// In the order of Pass.
using Tensors = c10::ArrayRef<const at::Tensor*>;

// All inputs as the last, which is what the op saved: same shape, dtype and device.
Dtype check_inputs(const Call& call, Pass pass, Tensors inputs);

// A result for inputs like `model`, with the strides that TensorIterator gives it.
at::Tensor empty_output(const at::Tensor& model);

// The pass, from checked inputs to outputs of their shape.
void run(const Call& call, Pass pass, Dtype dtype, Tensors outputs, Tensors inputs);

// The passes of pointwise ops.
at::Tensor pointwise(const Call& call, Pass pass, Tensors inputs);
at::Tensor& pointwise_(const Call& call, at::Tensor& self);
at::Tensor& pointwise_out(const Call& call, const at::Tensor& input, at::Tensor& out);

// Backward of the ops that save nothing: grad_output times a constant 0 or 1.
at::Tensor constant_backward(const Op& op, const at::Tensor& grad_output);

// The elements of operands whose layouts differ, in the order in which memory likes them best.
at::TensorIterator walk(Tensors outputs, Tensors inputs);
// The same of the first elements of the rows along a dimension.
at::TensorIterator walk_rows(Tensors outputs, Tensors inputs, int64_t dim);

}  // namespace act_ext
