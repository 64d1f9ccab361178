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

// The operands likewise, each `rows` rows of `length` elements; `steps` leads from element to element and `nexts` from
// row to row, in bytes, for each operand. sign: of the argument.
using RowsKernel = void (*)(char* const* operands, const int64_t* steps, const int64_t* nexts, int64_t length,
                            int64_t rows, double sign);

using RowsTable = std::array<std::array<RowsKernel, kDtypes>, kRowPasses>;

}  // namespace act_ext::cpu
