#include "dispatch.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "../activations/all.h"

// The tables of each instruction set, defined by the family files compiled for it.
#define ACT_EXT_DECLARE(Family, name) extern const std::array<cpu::Table, Family::size> name##_tables;
#define ACT_EXT_CAPABILITY(NAME)                                        \
  namespace act_ext::NAME {                                             \
  ACT_EXT_FAMILIES(ACT_EXT_DECLARE)                                     \
  extern const std::array<cpu::RowsTable, RowKernels::size> row_tables; \
  static std::vector<cpu::Table> tables() {                             \
    std::vector<cpu::Table> list;                                       \
    ACT_EXT_FAMILIES(ACT_EXT_APPEND)                                    \
    return list;                                                        \
  }                                                                     \
  }
#define ACT_EXT_APPEND(Family, name) list.insert(list.end(), name##_tables.begin(), name##_tables.end());

ACT_EXT_CAPABILITY(DEFAULT)
#ifdef __x86_64__
ACT_EXT_CAPABILITY(AVX2)
ACT_EXT_CAPABILITY(AVX512)
#endif

namespace act_ext::cpu {
namespace {

struct Capability {
  const char* name;
  bool available;
  std::vector<Table> (*tables)();
  const std::array<RowsTable, RowKernels::size>& row_tables;
};

// Best first.
std::vector<Capability> capabilities() {
  std::vector<Capability> list;
#ifdef __x86_64__
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  list.push_back({"avx512", avx512, AVX512::tables, AVX512::row_tables});
  list.push_back({"avx2", avx2, AVX2::tables, AVX2::row_tables});
#endif
  list.push_back({"default", true, DEFAULT::tables, DEFAULT::row_tables});
  return list;
}

Capability choose() {
  const char* forced = std::getenv("ACT_EXT_CPU_CAPABILITY");
  std::string accepted;
  for (const Capability& candidate : capabilities()) {
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

// A rectangle of elements of T: `steps` are the bytes from column to column and from row to row.
struct Steps {
  int64_t column, row;
};

template <class T>
void move(const char* from, Steps from_steps, char* to, Steps to_steps, int64_t columns, int64_t rows) {
  const bool whole_rows = from_steps.column == sizeof(T) && to_steps.column == sizeof(T);
  if (whole_rows && columns * sizeof(T) >= 32) {
    for (int64_t row = 0; row < rows; ++row) {
      std::memcpy(to + row * to_steps.row, from + row * from_steps.row, columns * sizeof(T));
    }
    return;
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

// Tile by tile, through blocks of contiguous memory for the operands that are not contiguous themselves.
template <class T>
void run_buffered(Kernel kernel, int outputs, int operands, char** data, const int64_t* strides, int64_t size0,
                  int64_t size1, const double* params) {
  constexpr int64_t kBlock = 512, size = sizeof(T);
  alignas(64) char buffer[kMaxOperands][kBlock * size];
  const int64_t width = std::min(size0, kBlock), height = kBlock / width;
  for (int64_t row = 0; row < size1; row += height) {
    for (int64_t column = 0; column < size0; column += width) {
      const int64_t columns = std::min(width, size0 - column), rows = std::min(height, size1 - row);
      const Steps packed{size, columns * size};
      char *place[kMaxOperands], *block[kMaxOperands];
      Steps steps[kMaxOperands];
      for (int k = 0; k < operands; ++k) {
        steps[k] = {strides[k], strides[operands + k]};
        place[k] = data[k] + row * steps[k].row + column * steps[k].column;
        const bool contiguous = steps[k].column == size && (rows == 1 || steps[k].row == packed.row);
        block[k] = contiguous ? place[k] : buffer[k];
        if (k >= outputs && !contiguous) move<T>(place[k], steps[k], block[k], packed, columns, rows);
      }
      kernel(block, rows * columns, params);
      for (int k = 0; k < outputs; ++k) {
        if (block[k] != place[k]) move<T>(block[k], packed, place[k], steps[k], columns, rows);
      }
    }
  }
}

constexpr int64_t item_size(Dtype dtype) { return dtype == Dtype::float64 ? 8 : dtype == Dtype::float32 ? 4 : 2; }

}  // namespace

const char* capability() { return chosen().name; }

Kernel kernel(int op, Pass pass, Dtype dtype) {
  static const std::vector<Table> tables = chosen().tables();
  return tables[op][static_cast<int>(pass)][static_cast<int>(dtype)];
}

RowsKernel rows_kernel(int index, Pass pass, Dtype dtype) {
  return chosen().row_tables[index][static_cast<int>(pass)][static_cast<int>(dtype)];
}

void run_strided(Kernel kernel, Dtype dtype, int outputs, int inputs, char** data, const int64_t* strides,
                 int64_t size0, int64_t size1, const double* params) {
  const int operands = outputs + inputs;
  const int64_t size = item_size(dtype);
  // Rows long enough for a kernel call each, in place.
  constexpr int64_t kLong = 64;
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

}  // namespace act_ext::cpu
