#include "maxout.cuh"

namespace act_ext::cuda {

const char* run_maxout(MaxoutPass pass, Dtype dtype, int64_t index_size, const MaxoutOperands& operands, void* stream) {
  const auto launch = index_size == 1   ? launch_maxout<uint8_t>
                      : index_size == 2 ? launch_maxout<int16_t>
                                        : launch_maxout<int32_t>;
  return launch(pass, dtype, operands, stream);
}

}  // namespace act_ext::cuda
