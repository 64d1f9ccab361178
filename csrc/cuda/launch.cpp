#include "launch.h"

#include <vector>

#include "../activations/all.h"

namespace act_ext::cuda {

#define ACT_EXT_DECLARE(Family, name)              \
  std::array<Table, Family::size> name##_tables(); \
  std::array<HigherTable<Launcher>, Family::size> name##_higher_tables();
ACT_EXT_FAMILIES(ACT_EXT_DECLARE)
#undef ACT_EXT_DECLARE
std::array<RowsTable, RowKernels::size> row_tables();
std::array<ReducingTable, LearnedActivations::size> reducing_tables();

Launcher launcher(int op, Pass pass, Dtype dtype) {
  static const std::vector<Table> tables = [] {
    std::vector<Table> list;
#define ACT_EXT_APPEND(Family, name) \
  for (const Table& table : name##_tables()) list.push_back(table);
    ACT_EXT_FAMILIES(ACT_EXT_APPEND)
#undef ACT_EXT_APPEND
    return list;
  }();
  return tables[op][static_cast<int>(pass)][static_cast<int>(dtype)];
}

Launcher higher_launcher(int op, int order, bool from_result) {
  static const std::vector<HigherTable<Launcher>> tables = [] {
    std::vector<HigherTable<Launcher>> list;
#define ACT_EXT_APPEND(Family, name) \
  for (const auto& table : name##_higher_tables()) list.push_back(table);
    ACT_EXT_FAMILIES(ACT_EXT_APPEND)
#undef ACT_EXT_APPEND
    return list;
  }();
  return tables[op][from_result ? 1 : 0][order - kLeastOrder];
}

ReducingLauncher reducing_launcher(int index, Pass pass, Dtype dtype) {
  static const std::array<ReducingTable, LearnedActivations::size> tables = reducing_tables();
  return tables[index][pass == Pass::backward ? 0 : 1][static_cast<int>(dtype)];
}

RowsLauncher rows_launcher(int kernel, Pass pass, Dtype dtype) {
  static const std::array<RowsTable, RowKernels::size> tables = row_tables();
  return tables[kernel][static_cast<int>(pass)][static_cast<int>(dtype)];
}

}  // namespace act_ext::cuda
