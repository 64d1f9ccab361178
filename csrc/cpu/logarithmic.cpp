// Compiled once for each instruction set, with its flags.
#include "../activations/logarithmic.h"

#include "loop.h"

namespace act_ext::CPU_CAPABILITY {
extern const std::array<cpu::Table, Logarithmic::size> logarithmic_tables = tables(Logarithmic{});
}
