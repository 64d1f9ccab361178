// Autograd of the pointwise ops: one node for every op and pass, with double backward, forward-mode derivatives and
// compiled autograd. Attached by act_ext/_register.py.
#pragma once

#include "op.h"

namespace act_ext {

// Attaches the autograd kernels of one op to the dispatcher.
ACT_EXT_API void register_autograd(const Op& op);

}  // namespace act_ext
