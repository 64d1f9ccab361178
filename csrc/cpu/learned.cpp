// Compiled once for each instruction set, with its flags.
#include "../activations/learned.h"

#include "reduce.h"

namespace act_ext::CPU_CAPABILITY {
extern const std::array<cpu::Table, LearnedActivations::size> learned_tables = forward_tables(LearnedActivations{});
extern const std::array<cpu::ReducingTable, LearnedActivations::size> reducing_tables =
    reducing_tables_of(LearnedActivations{});
extern const cpu::AddTermsTable add_terms_table = {add_terms<float>, add_terms<double>};
extern const std::array<cpu::StretchesTable, LearnedActivations::size> stretches_tables =
    stretches_tables_of(LearnedActivations{});
}  // namespace act_ext::CPU_CAPABILITY
