// Compiled once for each instruction set, with its flags.
#include "../activations/gated.h"

#include "loop.h"

namespace act_ext::CPU_CAPABILITY {
extern const std::array<cpu::Table, Gated::size> gated_tables = tables(Gated{});
}
