// Compiled once for each instruction set, with its flags.
#include "rrelu.h"

namespace act_ext::CPU_CAPABILITY {
extern const cpu::RreluTable rrelu_table = {rrelu_kernel<float>, rrelu_kernel<double>, rrelu_kernel<c10::BFloat16>,
                                            rrelu_kernel<c10::Half>};
}
