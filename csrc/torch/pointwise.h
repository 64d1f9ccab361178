// The pointwise ops on tensors of a CPU or CUDA device: checks, outputs, and the walk over memory of any layout.
#pragma once

#include <initializer_list>

#include "op.h"

namespace at {
struct TensorIterator;
}

namespace act_ext {

// Inputs in the order of Pass.
using Inputs = std::initializer_list<const at::Tensor*>;

at::Tensor pointwise(const Call& call, Pass pass, Inputs inputs);
at::Tensor& pointwise_(const Call& call, at::Tensor& self);
at::Tensor& pointwise_out(const Call& call, const at::Tensor& input, at::Tensor& out);

// The elements of operands whose layouts differ, in the order in which memory likes them best.
at::TensorIterator walk(const at::Tensor& out, Inputs inputs);

// Backward of the ops that save nothing: grad_output times a constant 0 or 1.
at::Tensor constant_backward(const Op& op, const at::Tensor& grad_output);

}  // namespace act_ext
