// Compiled once for each instruction set, with its flags.
#include "../activations/gated_units.h"

#include "loop.h"

namespace act_ext::CPU_CAPABILITY {
extern const std::array<cpu::Table, GatedUnits::size> gated_units_tables = tables(GatedUnits{});
}
