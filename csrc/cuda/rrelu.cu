#include "../activations/rrelu.h"
#include "kernel.cuh"

namespace act_ext::cuda {
namespace {

template <class S, bool kValues>
const char* launch_rrelu(const Operands& operands, const double*, void* stream) {
  return launch<S>(RreluStep<Compute<S>, kValues>(), operands, stream);
}

template <bool kValues>
constexpr std::array<Launcher, kDtypes> kLaunchers = {launch_rrelu<float, kValues>, launch_rrelu<double, kValues>,
                                                      launch_rrelu<__nv_bfloat16, kValues>,
                                                      launch_rrelu<__half, kValues>};

}  // namespace

Launcher rrelu_launcher(Dtype dtype, bool with_values) {
  return (with_values ? kLaunchers<true> : kLaunchers<false>)[static_cast<int>(dtype)];
}

}  // namespace act_ext::cuda
