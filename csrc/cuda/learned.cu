#include "../activations/learned.h"
#include "kernel.cuh"

namespace act_ext::cuda {
std::array<Table, LearnedActivations::size> learned_tables() { return tables(LearnedActivations{}); }
}  // namespace act_ext::cuda
