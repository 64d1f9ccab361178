// Maxout in the dispatcher.
#pragma once

#include <torch/library.h>

#include "node.h"

namespace act_ext {

// See `derivatives`.
torch::autograd::variable_list maxout_derivatives(const Differentiated& what,
                                                  const torch::autograd::variable_list& grads, const Saved& saved);

void register_maxout_autograd(torch::Library& library);

}  // namespace act_ext
