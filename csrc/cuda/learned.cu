#include "../activations/learned.h"
#include "kernel.cuh"

namespace act_ext::cuda {
std::array<Table, LearnedActivations::size> learned_tables() { return forward_tables(LearnedActivations{}); }
}  // namespace act_ext::cuda
