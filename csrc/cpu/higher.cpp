// Compiled once for each instruction set, with its flags.
#include "../higher.h"

#include "../activations/all.h"
#include "table.h"

namespace act_ext::CPU_CAPABILITY {

// AVX-512 leaves them to AVX2: one element at a time takes as long.
#if defined(CPU_CAPABILITY_AVX512)
template <class F>
constexpr cpu::Kernel kernel = nullptr;
#else
template <class F>
void kernel(char* const* operands, int64_t n, const double* params) {
  auto* const out = reinterpret_cast<double*>(operands[0]);
  const auto* const in = reinterpret_cast<const double*>(operands[1]);
  const F f(params);
  for (int64_t i = 0; i < n; ++i) out[i] = f(in[i]);
}
#endif

#define ACT_EXT_DEFINE(Family, name)                                                     \
  extern const std::array<HigherTable<cpu::Kernel>, Family::size> name##_higher_tables = \
      higher_tables<cpu::Kernel>(Family{}, []<class F>(F*) -> cpu::Kernel { return kernel<F>; });
ACT_EXT_FAMILIES(ACT_EXT_DEFINE)

}  // namespace act_ext::CPU_CAPABILITY
