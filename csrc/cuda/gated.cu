#include "../activations/gated.h"
#include "kernel.cuh"

namespace act_ext::cuda {
std::array<Table, Gated::size> gated_tables() { return tables(Gated{}); }
}  // namespace act_ext::cuda
