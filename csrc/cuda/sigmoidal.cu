#include "../activations/sigmoidal.h"
#include "kernel.cuh"

namespace act_ext::cuda {
std::array<Table, Sigmoidal::size> sigmoidal_tables() { return tables(Sigmoidal{}); }
}  // namespace act_ext::cuda
