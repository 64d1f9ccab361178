// Derivatives beyond the second of pointwise ops: an op that gives a derivative of the slope alone, and is itself
// differentiated by giving the next one.
#pragma once

#include "../higher.h"
#include "node.h"

namespace act_ext {

// That derivative, by way of the dispatcher. order: of the slope.
at::Tensor slope_derivative(const Call& call, int order, bool from_result, const at::Tensor& saved);

// What gradients contribute by way of it.
at::Tensor times_derivative(const Op& op, const at::Tensor& gradients, const at::Tensor& derivative);

}  // namespace act_ext
