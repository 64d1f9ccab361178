#include "../activations/learned.h"
#include "reduce.cuh"

namespace act_ext::cuda {

std::array<Table, LearnedActivations::size> learned_tables() { return forward_tables(LearnedActivations{}); }

std::array<ReducingTable, LearnedActivations::size> reducing_tables() { return reducing_tables(LearnedActivations{}); }

int64_t reducing_workspace(const Reduced& reduced, Dtype dtype) {
  return reducing_workspace_bytes(reduced, item_size(dtype));
}

}  // namespace act_ext::cuda
