// Compiled once for each instruction set, with its flags.
#include "../activations/softmax.h"

#include "rows.h"

namespace act_ext::CPU_CAPABILITY {
extern const std::array<cpu::RowsTable, RowKernels::size> row_tables = rows_tables(RowKernels{});
}
