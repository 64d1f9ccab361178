// Compiled once for each instruction set, with its flags.
#include "../activations/periodic.h"

#include "loop.h"

namespace act_ext::CPU_CAPABILITY {
extern const std::array<cpu::Table, Periodic::size> periodic_tables = tables(Periodic{});
}
