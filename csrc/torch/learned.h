// The activations with learned parameters in the dispatcher.
#pragma once

#include <torch/library.h>

#include "node.h"

namespace act_ext {

// The op itself, past the boxed calls of the dispatcher where one of its own kernels comes first there. tensors: the
// input and the parameters.
ACT_EXT_API at::Tensor learned_forward(const Call& call, int64_t dim, torch::autograd::variable_list tensors);

// See `derivatives`.
torch::autograd::variable_list learned_derivatives(const Differentiated& what,
                                                   const torch::autograd::variable_list& grads, const Saved& saved);

// The autograd kernels of one activation.
void register_learned_autograd(torch::Library& library, const Op& op);

}  // namespace act_ext
