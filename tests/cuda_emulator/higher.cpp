// The kernels of higher derivatives against the functions that they call.
#include "cuda/higher.cuh"

#include "activations/exponential.h"
#include "activations/gated.h"
#include "operand.h"

using namespace act_ext;
using namespace act_ext::cuda;

namespace {

template <template <class> class Op>
void check() {
  using F = SlopeDerivative<Op, 2, false>;
  const double params[] = {0.75};
  for (const int64_t count : {1, 127, 128, 300}) {
    Operand<double> out({count}, {1}, 1), in({count}, {1}, 1);
    for (int64_t i = 0; i < count; ++i) in[i] = 0.05 * static_cast<double>(i % 90) - 2.2;
    const Operands operands{1, 1, count, {out.data(), in.data()}};
    require(launch_higher<F>(operands, params, nullptr) == nullptr, "no launch");
    out.check_surroundings();
    in.check_surroundings();
    for (int64_t i = 0; i < count; ++i) require(same_bits(out[i], F(params)(in[i])), "a result differs");
  }
}

}  // namespace

int main() {
  check<Silu>();
  check<Celu>();
  std::puts("passed");
}
