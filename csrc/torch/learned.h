// The activations with learned parameters in the dispatcher.
#pragma once

#include <torch/library.h>

#include "node.h"

namespace act_ext {

// See `derivatives`.
torch::autograd::variable_list learned_derivatives(const Differentiated& what,
                                                   const torch::autograd::variable_list& grads, const Saved& saved);

// The autograd kernels of one activation.
void register_learned_autograd(torch::Library& library, const Op& op);

}  // namespace act_ext
