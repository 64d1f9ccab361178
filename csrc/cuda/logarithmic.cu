#include "../activations/logarithmic.h"
#include "kernel.cuh"

namespace act_ext::cuda {
std::array<Table, Logarithmic::size> logarithmic_tables() { return tables(Logarithmic{}); }
}  // namespace act_ext::cuda
