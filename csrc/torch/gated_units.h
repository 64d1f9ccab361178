// The gated units in the dispatcher: on two tensors, and on one that holds both halves.
#pragma once

#include <torch/library.h>

#include "node.h"

namespace act_ext {

// The passes of a unit on one tensor that holds both halves.
at::Tensor packed_forward(const Call& call, const Packing& packing, const at::Tensor& input);
at::Tensor packed_backward(const Call& call, const Packing& packing, const at::Tensor& g, const at::Tensor& input);

// See `derivatives`.
torch::autograd::variable_list unit_derivatives(const Differentiated& what, const torch::autograd::variable_list& grads,
                                                const Saved& saved, const Needed& needed);

// The autograd kernels of one unit.
void register_unit_autograd(torch::Library& library, const Op& op);

}  // namespace act_ext
