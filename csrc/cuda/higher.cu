#include "../activations/all.h"
#include "higher.cuh"

namespace act_ext::cuda {

#define ACT_EXT_DEFINE(Family, name)                                                                    \
  std::array<HigherTable<Launcher>, Family::size> name##_higher_tables() {                              \
    return higher_tables<Launcher>(Family{}, []<class F>(F*) -> Launcher { return launch_higher<F>; }); \
  }
ACT_EXT_FAMILIES(ACT_EXT_DEFINE)

}  // namespace act_ext::cuda
