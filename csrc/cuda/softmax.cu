#include "../activations/softmax.h"
#include "rows.cuh"

namespace act_ext::cuda {

std::array<RowsTable, RowKernels::size> row_tables() { return rows_tables(RowKernels{}); }

int64_t row_workspace(const RowOperands& operands, Dtype dtype) {
  return row_workspace_bytes(operands, dtype == Dtype::float64 ? 8 : dtype == Dtype::float32 ? 4 : 2);
}

}  // namespace act_ext::cuda
