// Compiled once for each instruction set, with its flags.
#include "../activations/sigmoidal.h"

#include "loop.h"

namespace act_ext::CPU_CAPABILITY {
extern const std::array<cpu::Table, Sigmoidal::size> sigmoidal_tables = tables(Sigmoidal{});
}
