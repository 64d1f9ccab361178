// Compiled once for each instruction set, with its flags.
#include "../activations/exponential.h"

#include "loop.h"

namespace act_ext::CPU_CAPABILITY {
extern const std::array<cpu::Table, Exponential::size> exponential_tables = tables(Exponential{});
}
