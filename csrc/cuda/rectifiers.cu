#include "../activations/rectifiers.h"
#include "kernel.cuh"

namespace act_ext::cuda {
std::array<Table, Rectifiers::size> rectifiers_tables() { return tables(Rectifiers{}); }
}  // namespace act_ext::cuda
