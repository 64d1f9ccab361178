// Compiled once for each instruction set, with its flags.
#include "../activations/literature.h"

#include "loop.h"

namespace act_ext::CPU_CAPABILITY {
extern const std::array<cpu::Table, Literature::size> literature_tables = tables(Literature{});
}
