#include "../activations/gated_units.h"
#include "kernel.cuh"

namespace act_ext::cuda {
std::array<Table, GatedUnits::size> gated_units_tables() { return tables(GatedUnits{}); }
}  // namespace act_ext::cuda
