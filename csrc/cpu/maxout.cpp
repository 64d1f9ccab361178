// Compiled once for each instruction set, with its flags.
#include "maxout.h"

namespace act_ext::CPU_CAPABILITY {
extern const std::array<cpu::MaxoutTable, 3> maxout_tables = {maxout_table<uint8_t>(), maxout_table<int16_t>(),
                                                              maxout_table<int32_t>()};
}
