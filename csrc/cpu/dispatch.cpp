#include "dispatch.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "../activations/all.h"

// The tables of each instruction set, defined by the family files compiled for it.
#define ACT_EXT_DECLARE(Family, name)                              \
  extern const std::array<cpu::Table, Family::size> name##_tables; \
  extern const std::array<HigherTable<cpu::Kernel>, Family::size> name##_higher_tables;
#define ACT_EXT_CAPABILITY(NAME)                                                           \
  namespace act_ext::NAME {                                                                \
  ACT_EXT_FAMILIES(ACT_EXT_DECLARE)                                                        \
  extern const std::array<cpu::RowsTable, RowKernels::size> row_tables;                    \
  extern const std::array<cpu::MaxoutTable, 3> maxout_tables;                              \
  extern const cpu::RreluTable rrelu_table;                                                \
  extern const std::array<cpu::ReducingTable, LearnedActivations::size> reducing_tables;   \
  extern const cpu::AddTermsTable add_terms_table;                                         \
  extern const std::array<cpu::StretchesTable, LearnedActivations::size> stretches_tables; \
  static std::vector<cpu::Table> tables() {                                                \
    std::vector<cpu::Table> list;                                                          \
    ACT_EXT_FAMILIES(ACT_EXT_APPEND)                                                       \
    return list;                                                                           \
  }                                                                                        \
  static std::vector<HigherTable<cpu::Kernel>> higher_tables() {                           \
    std::vector<HigherTable<cpu::Kernel>> list;                                            \
    ACT_EXT_FAMILIES(ACT_EXT_APPEND_HIGHER)                                                \
    return list;                                                                           \
  }                                                                                        \
  }
#define ACT_EXT_APPEND(Family, name) list.insert(list.end(), name##_tables.begin(), name##_tables.end());
#define ACT_EXT_APPEND_HIGHER(Family, name) \
  list.insert(list.end(), name##_higher_tables.begin(), name##_higher_tables.end());

ACT_EXT_CAPABILITY(DEFAULT)
#ifdef ACT_EXT_WITH_AVX2
ACT_EXT_CAPABILITY(AVX2)
#endif
#ifdef ACT_EXT_WITH_AVX512
ACT_EXT_CAPABILITY(AVX512)
#endif

namespace act_ext::cpu {
namespace {

struct Capability {
  const char* name;
  bool available;
  std::vector<Table> tables;
  std::vector<HigherTable<Kernel>> higher_tables;
  std::array<RowsTable, RowKernels::size> row_tables;
  std::array<ReducingTable, LearnedActivations::size> reducing_tables;
  AddTermsTable add_terms;
  std::array<StretchesTable, LearnedActivations::size> stretches_tables;
  std::array<MaxoutTable, 3> maxout_tables;
  RreluTable rrelu_table;
};

#define ACT_EXT_TABLES(NAME)                                                                             \
  NAME::tables(), NAME::higher_tables(), NAME::row_tables, NAME::reducing_tables, NAME::add_terms_table, \
      NAME::stretches_tables, NAME::maxout_tables, NAME::rrelu_table

// Best first.
std::vector<Capability> capabilities() {
  std::vector<Capability> list;
#ifdef __x86_64__
  __builtin_cpu_init();
  [[maybe_unused]] const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
#endif
#ifdef ACT_EXT_WITH_AVX512
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  list.push_back({"avx512", avx512, ACT_EXT_TABLES(AVX512)});
#endif
#ifdef ACT_EXT_WITH_AVX2
  list.push_back({"avx2", avx2, ACT_EXT_TABLES(AVX2)});
#endif
  list.push_back({"default", true, ACT_EXT_TABLES(DEFAULT)});
  return list;
}

// Puts another table's kernels where this one has none.
template <class Function>
void complete(Function*& kernel, Function* other) {
  if (kernel == nullptr) kernel = other;
}
void complete(StretchesTable& table, const StretchesTable& other);
template <class List>
void complete(List& table, const List& other) {
  for (std::size_t i = 0; i < table.size(); ++i) complete(table[i], other[i]);
}

void complete(StretchesTable& table, const StretchesTable& other) {
  complete(table.forward, other.forward);
  complete(table.backward, other.backward);
}

Capability choose() {
  const char* forced = std::getenv("ACT_EXT_CPU_CAPABILITY");
  std::string accepted;
  std::vector<Capability> list = capabilities();
  for (std::size_t k = list.size() - 1; k > 0; --k) {
    complete(list[k - 1].tables, list[k].tables);
    complete(list[k - 1].higher_tables, list[k].higher_tables);
    complete(list[k - 1].stretches_tables, list[k].stretches_tables);
  }
  for (const Capability& candidate : list) {
    if (!candidate.available) continue;
    if (forced == nullptr || *forced == '\0' || std::strcmp(forced, candidate.name) == 0) return candidate;
    accepted += std::string(accepted.empty() ? "" : ", ") + candidate.name;
  }
  throw std::invalid_argument("ACT_EXT_CPU_CAPABILITY must name an instruction set of this processor (" + accepted +
                              "), got '" + forced + "'");
}

const Capability& chosen() {
  static const Capability capability = choose();
  return capability;
}

// The bytes from column to column and from row to row of a rectangle of elements.
struct Steps {
  int64_t column, row;
};

// The element at `from`, `count` times; by registers, which a compiler for any processor would not use by itself.
template <class T>
void repeat(const char* from, char* to, int64_t count) {
  using Register [[gnu::vector_size(16)]] = T;
  T value;
  std::memcpy(&value, from, sizeof(T));
  const Register all = Register{} + value;
  constexpr int64_t lanes = sizeof(Register) / sizeof(T);
  if (count < lanes) {
    std::memcpy(to, &all, count * sizeof(T));
    return;
  }
  // The last register ends where they do.
  for (int64_t i = 0; i + lanes < count; i += lanes) std::memcpy(to + i * sizeof(T), &all, sizeof(all));
  std::memcpy(to + (count - lanes) * sizeof(T), &all, sizeof(all));
}

template <class T>
void move(const char* from, Steps from_steps, char* to, Steps to_steps, int64_t columns, int64_t rows) {
  if (to_steps.column == sizeof(T) && columns * sizeof(T) >= 32) {
    if (from_steps.column == sizeof(T)) {
      for (int64_t row = 0; row < rows; ++row) {
        std::memcpy(to + row * to_steps.row, from + row * from_steps.row, columns * sizeof(T));
      }
      return;
    }
    if (from_steps.column == 0) {  // a parameter of a channel
      for (int64_t row = 0; row < rows; ++row) {
        repeat<T>(from + row * from_steps.row, to + row * to_steps.row, columns);
      }
      return;
    }
  }
  // The inner loop takes the longer side.
  if (columns < rows) {
    std::swap(columns, rows);
    std::swap(from_steps.column, from_steps.row);
    std::swap(to_steps.column, to_steps.row);
  }
  for (int64_t row = 0; row < rows; ++row, from += from_steps.row, to += to_steps.row) {
    for (int64_t column = 0; column < columns; ++column) {
      std::memcpy(to + column * to_steps.column, from + column * from_steps.column, sizeof(T));
    }
  }
}

// A tile of the operands: where each stands, and the block of contiguous memory that stands for it, which is the same
// where the operand is contiguous.
constexpr int64_t kBlock = 512, kLong = 64;
struct Tile {
  int64_t columns, rows;
  char *place[kMaxOperands], *block[kMaxOperands];
  Steps steps[kMaxOperands];

  // Whether operand k is one element, repeated.
  bool is_constant(int k) const { return (columns == 1 || steps[k].column == 0) && (rows == 1 || steps[k].row == 0); }
};

// compute(tile) for each tile of rows of strided memory.
template <class T, class F>
void for_each_tile(int outputs, int operands, char** data, const int64_t* strides, int64_t size0, int64_t size1,
                   F compute) {
  constexpr int64_t size = sizeof(T);
  alignas(64) char buffer[kMaxOperands][kBlock * size];
  // What a buffer is filled with, and how far.
  const char* constant[kMaxOperands] = {};
  int64_t filled[kMaxOperands] = {};
  // Of several rows unless these are long enough to be worth a tile each: in one row a parameter is constant.
  constexpr int64_t kOfItsOwn = 192;
  const int64_t width = std::min(size0, kBlock), height = width >= kOfItsOwn ? 1 : kBlock / width;
  Tile tile;
  for (int64_t row = 0; row < size1; row += height) {
    for (int64_t column = 0; column < size0; column += width) {
      tile.columns = std::min(width, size0 - column);
      tile.rows = std::min(height, size1 - row);
      const Steps packed{size, tile.columns * size};
      for (int k = 0; k < operands; ++k) {
        const Steps steps = tile.steps[k] = {strides[k], strides[operands + k]};
        char* const place = tile.place[k] = data[k] + row * steps.row + column * steps.column;
        const bool contiguous = steps.column == size && (tile.rows == 1 || steps.row == packed.row);
        tile.block[k] = contiguous ? place : buffer[k];
        if (k < outputs || contiguous) continue;
        const int64_t count = tile.columns * tile.rows;
        if (!tile.is_constant(k)) {
          move<T>(place, steps, buffer[k], packed, tile.columns, tile.rows);
          constant[k] = nullptr;
        } else if (constant[k] != place || filled[k] < count) {
          repeat<T>(place, buffer[k], count);
          constant[k] = place;
          filled[k] = count;
        }
      }
      compute(tile);
      for (int k = 0; k < outputs; ++k) {
        if (tile.block[k] == tile.place[k]) continue;
        move<T>(tile.block[k], packed, tile.place[k], tile.steps[k], tile.columns, tile.rows);
      }
    }
  }
}

template <class T>
void run_buffered(Kernel kernel, int outputs, int operands, char** data, const int64_t* strides, int64_t size0,
                  int64_t size1, const double* params) {
  for_each_tile<T>(outputs, operands, data, strides, size0, size1,
                   [&](const Tile& tile) { kernel(tile.block, tile.columns * tile.rows, params); });
}

// T: as which elements are moved; Wide: what they are computed in.
template <class T, class Wide>
void run_reducing_buffered(ReducingKernel kernel, int outputs, int inputs, int parameters, char** data,
                           const int64_t* strides, int64_t size0, int64_t size1, const double* params,
                           const Reduced* reduced) {
  const int operands = outputs + inputs, first = operands - parameters;
  const AddTerms add_terms = chosen().add_terms[sizeof(Wide) / 8];
  Wide terms[kMaxArity][kBlock];
  for_each_tile<T>(outputs, operands, data, strides, size0, size1, [&](const Tile& tile) {
    char* to[kMaxArity];
    double sums[kMaxArity];
    for (int p = 0; p < parameters; ++p) {
      to[p] = tile.is_constant(first + p) ? nullptr : reinterpret_cast<char*>(terms[p]);
    }
    kernel(tile.block, tile.columns * tile.rows, params, sums, to);
    for (int p = 0; p < parameters; ++p) {
      const int k = first + p;
      double* const channel =
          reduced[p].sums + (tile.place[k] - reduced[p].parameter) / static_cast<int64_t>(sizeof(T));
      if (to[p] == nullptr) {
        *channel += sums[p];
      } else {
        const int64_t column = tile.steps[k].column / static_cast<int64_t>(sizeof(T));
        const int64_t row = tile.steps[k].row / static_cast<int64_t>(sizeof(T));
        add_terms(terms[p], tile.columns, tile.rows, column, row, channel);
      }
    }
  });
}

}  // namespace

const char* capability() { return chosen().name; }

Kernel kernel(int op, Pass pass, Dtype dtype) {
  return chosen().tables[op][static_cast<int>(pass)][static_cast<int>(dtype)];
}

Kernel higher_kernel(int op, int order, bool from_result) {
  return chosen().higher_tables[op][from_result ? 1 : 0][order - kLeastOrder];
}

RowsKernel rows_kernel(int index, Pass pass, Dtype dtype) {
  return chosen().row_tables[index][static_cast<int>(pass)][static_cast<int>(dtype)];
}

ReducingKernel reducing_kernel(int index, Pass pass, Dtype dtype) {
  return chosen().reducing_tables[index][pass == Pass::backward ? 0 : 1][static_cast<int>(dtype)];
}

StretchesKernel stretches_kernel(int index, Dtype dtype) {
  return chosen().stretches_tables[index].forward[static_cast<int>(dtype)];
}
ReducingStretchesKernel reducing_stretches_kernel(int index, Dtype dtype) {
  return chosen().stretches_tables[index].backward[static_cast<int>(dtype)];
}

const MaxoutTable& maxout_table(int64_t pieces) {
  return chosen().maxout_tables[pieces <= 256 ? 0 : pieces <= 32768 ? 1 : 2];
}

RreluKernel rrelu_kernel(Dtype dtype) { return chosen().rrelu_table[static_cast<int>(dtype)]; }

void run_strided(Kernel kernel, Dtype dtype, int outputs, int inputs, char** data, const int64_t* strides,
                 int64_t size0, int64_t size1, const double* params) {
  const int operands = outputs + inputs;
  const int64_t size = item_size(dtype);
  // Rows long enough for a kernel call each, in place.
  bool in_place = size0 >= kLong || size1 == 1;
  for (int k = 0; k < operands; ++k) in_place = in_place && strides[k] == size;
  if (in_place) {
    char* row[kMaxOperands];
    for (int64_t i = 0; i < size1; ++i) {
      for (int k = 0; k < operands; ++k) row[k] = data[k] + i * strides[operands + k];
      kernel(row, size0, params);
    }
    return;
  }
  const auto run = size == 8 ? run_buffered<int64_t> : size == 4 ? run_buffered<int32_t> : run_buffered<int16_t>;
  run(kernel, outputs, operands, data, strides, size0, size1, params);
}

void run_reducing(ReducingKernel kernel, Dtype dtype, int outputs, int inputs, int parameters, char** data,
                  const int64_t* strides, int64_t size0, int64_t size1, const double* params, const Reduced* reduced) {
  const int64_t size = item_size(dtype);
  const auto run = size == 8   ? run_reducing_buffered<int64_t, double>
                   : size == 4 ? run_reducing_buffered<int32_t, float>
                               : run_reducing_buffered<int16_t, float>;
  run(kernel, outputs, inputs, parameters, data, strides, size0, size1, params, reduced);
}

}  // namespace act_ext::cpu
