// The functions of rows in the dispatcher: softmax and its like, along any dimension.
#pragma once

#include <torch/library.h>

#include "elementwise.h"
#include "node.h"

namespace act_ext {

// The forward or backward pass itself.
at::Tensor row_function(const Call& call, Pass pass, int64_t dim, Tensors inputs);

// See `derivatives`.
torch::autograd::variable_list row_function_derivatives(const Differentiated& what,
                                                        const torch::autograd::variable_list& grads, const Saved& saved,
                                                        const Needed& needed);

// The autograd kernels of one function.
void register_row_function_autograd(torch::Library& library, const Op& op);

}  // namespace act_ext
