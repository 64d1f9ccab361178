// Compiled once for each instruction set, with its flags.
#include "../activations/rectifiers.h"

#include "loop.h"

namespace act_ext::CPU_CAPABILITY {
extern const std::array<cpu::Table, Rectifiers::size> rectifiers_tables = tables(Rectifiers{});
}
