#include "../activations/softmax.h"
#include "rows.cuh"

namespace act_ext::cuda {

std::array<RowsTable, RowKernels::size> row_tables() { return rows_tables(RowKernels{}); }

int64_t row_workspace(const RowOperands& operands, Dtype dtype) {
  return row_workspace_bytes(operands, item_size(dtype));
}

}  // namespace act_ext::cuda
