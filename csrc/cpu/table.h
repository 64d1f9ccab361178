// The interface of cpu/ to the rest: kernels by pass and dtype, an op's table, and the tables in the List's order.
#pragma once

#include <array>
#include <cstdint>

#include "../pass.h"

namespace act_ext::cpu {

// The operands are the outputs, then the inputs, in the order of Pass; each n contiguous elements.
using Kernel = void (*)(char* const* operands, int64_t n, const double* params);

// Null where the op has no such pass.
using Table = std::array<std::array<Kernel, kDtypes>, kPasses>;

}  // namespace act_ext::cpu
