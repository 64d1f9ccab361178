// Randomized leaky ReLU in the dispatcher.
#pragma once

#include <torch/library.h>

#include "node.h"

namespace act_ext {

// See `derivatives`.
torch::autograd::variable_list rrelu_derivatives(const torch::autograd::variable_list& grads, const Saved& saved);

void register_rrelu_autograd(torch::Library& library);

}  // namespace act_ext
