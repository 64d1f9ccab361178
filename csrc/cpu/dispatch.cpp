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
#define ACT_EXT_CAPABILITY(NAME)            \
  namespace act_ext::NAME {                 \
  ACT_EXT_FAMILIES(ACT_EXT_DECLARE)         \
  static std::vector<cpu::Table> tables() { \
    std::vector<cpu::Table> list;           \
    ACT_EXT_FAMILIES(ACT_EXT_APPEND)        \
    return list;                            \
  }                                         \
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
};

// Best first.
std::vector<Capability> capabilities() {
  std::vector<Capability> list;
#ifdef __x86_64__
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  list.push_back({"avx512", avx512, AVX512::tables});
  list.push_back({"avx2", avx2, AVX2::tables});
#endif
  list.push_back({"default", true, DEFAULT::tables});
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

// `count` elements of T, `stride` bytes apart, to or from contiguous memory.
template <class T>
void gather(const char* from, int64_t stride, int64_t count, char* to) {
  for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * sizeof(T), from + i * stride, sizeof(T));
}
template <class T>
void scatter(const char* from, int64_t count, char* to, int64_t stride) {
  for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * stride, from + i * sizeof(T), sizeof(T));
}

template <class T>
void run_buffered(Kernel kernel, int operands, char** data, const int64_t* strides, int64_t size0, int64_t size1,
                  const double* params) {
  constexpr int64_t kBlock = 512;
  alignas(64) char buffer[4][kBlock * sizeof(T)];
  char* blocks[4] = {buffer[0], buffer[1], buffer[2], buffer[3]};
  const int64_t *inner = strides, *outer = strides + operands;

  // The block that is being filled holds the elements from (row, column) on; runs of one row move at a time.
  const auto move_block = [&](int64_t row, int64_t column, int64_t count, int operand, bool out) {
    for (int64_t done = 0; done < count;) {
      const int64_t run = std::min(size0 - column, count - done);
      char* element = data[operand] + row * outer[operand] + column * inner[operand];
      char* slot = blocks[operand] + done * sizeof(T);
      out ? scatter<T>(slot, run, element, inner[operand]) : gather<T>(element, inner[operand], run, slot);
      done += run;
      column = 0;
      ++row;
    }
  };

  const int64_t total = size0 * size1;
  for (int64_t start = 0; start < total; start += kBlock) {
    const int64_t count = std::min(kBlock, total - start), row = start / size0, column = start % size0;
    for (int k = 1; k < operands; ++k) move_block(row, column, count, k, false);
    kernel(blocks, count, params);
    move_block(row, column, count, 0, true);
  }
}

constexpr int64_t item_size(Dtype dtype) { return dtype == Dtype::float64 ? 8 : dtype == Dtype::float32 ? 4 : 2; }

}  // namespace

const char* capability() { return chosen().name; }

Kernel kernel(int op, Pass pass, Dtype dtype) {
  static const std::vector<Table> tables = chosen().tables();
  return tables[op][static_cast<int>(pass)][static_cast<int>(dtype)];
}

void run_strided(Kernel kernel, Pass pass, Dtype dtype, char** data, const int64_t* strides, int64_t size0,
                 int64_t size1, const double* params) {
  const int operands = count_inputs(pass) + 1;
  const int64_t size = item_size(dtype);
  bool contiguous = true;
  for (int k = 0; k < operands; ++k) contiguous = contiguous && strides[k] == size;
  if (contiguous) {
    char* row[4];
    for (int64_t i = 0; i < size1; ++i) {
      for (int k = 0; k < operands; ++k) row[k] = data[k] + i * strides[operands + k];
      kernel(row, size0, params);
    }
    return;
  }
  const auto run = size == 8 ? run_buffered<int64_t> : size == 4 ? run_buffered<int32_t> : run_buffered<int16_t>;
  run(kernel, operands, data, strides, size0, size1, params);
}

}  // namespace act_ext::cpu
