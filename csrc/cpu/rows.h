// The loops over rows: what is reduced along a dimension, and what is made of it, for every function of rows, pass and
// dtype. They know no op.
//
// A row is summed in the order of sum.h along contiguous memory and across it, so that both give the same bits.
#pragma once

#include <memory>

#include "across_rows.h"
#include "along_row.h"

namespace act_ext::CPU_CAPABILITY {

// Whether at::vec turns whole blocks (elements of eight bytes are few in a register), and whether the end of a row,
// along it, costs little.
#if defined(CPU_CAPABILITY_AVX512)
template <class S>
inline constexpr bool kByBlocks = sizeof(S) <= 4;
inline constexpr bool kQuickEnds = true;
#elif defined(CPU_CAPABILITY_AVX2)
template <class S>
inline constexpr bool kByBlocks = std::is_same_v<S, float>;
inline constexpr bool kQuickEnds = false;
#else
template <class S>
inline constexpr bool kByBlocks = false;
inline constexpr bool kQuickEnds = false;
#endif

// Writes rows of elements as columns.
template <class S>
[[gnu::noinline]] void turn(const S* from, int64_t step, S* to, int64_t to_step, int64_t rows, int64_t columns) {
  constexpr int64_t kSide = kByBlocks<S> ? 8 : 1;
  // What of them is turned by blocks.
  int64_t block_rows = 0, block_columns = 0;
  if (kByBlocks<S> && rows >= kSide && columns >= kSide) {
#if defined(CPU_CAPABILITY_AVX512)
    constexpr int64_t kMost = 32;
    block_rows = rows, block_columns = columns;
    for (int64_t r = 0; r < rows; r += kMost) {
      for (int64_t c = 0; c < columns; c += kMost) {
        at::vec::transpose_mxn<S>(from + r * step + c, step, to + c * to_step + r, to_step,
                                  static_cast<int>(std::min(kMost, rows - r)),
                                  static_cast<int>(std::min(kMost, columns - c)));
      }
    }
#elif defined(CPU_CAPABILITY_AVX2)
    block_rows = rows - rows % kSide, block_columns = columns - columns % kSide;
    for (int64_t r = 0; r < block_rows; r += kSide) {
      for (int64_t c = 0; c < block_columns; c += kSide) {
        at::vec::transpose_mxn<S, kSide, kSide>(from + r * step + c, step, to + c * to_step + r, to_step);
      }
    }
#endif
  }
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = r < block_rows ? block_columns : 0; c < columns; ++c) to[c * to_step + r] = from[r * step + c];
  }
}

// Short rows, one behind the other: what is computed once for each is long beside them, so they are turned, some at a
// time, to lie side by side.
template <class F, class S>
class TurnedRows {
  using Across = AcrossRows<F, S>;
  static constexpr int64_t kRows = 64;

 public:
  // The longest rows for which that was measured to be quicker. Backward has little to compute once for each row.
  static constexpr int64_t kShort = Memory<S>::size == 1 ? 0
                                    : F::has_max         ? (sizeof(S) > 4 ? 24 : 48)
                                                         : (kQuickEnds ? 4 : 16);

  static void run(char* const* operands, const int64_t* nexts, int64_t length, int64_t rows, double sign) {
    constexpr int count = F::outputs + F::inputs;
    alignas(64) S turned[count][kShort * kRows];
    char* data[count];
    int64_t steps[count];
    for (int k = 0; k < count; ++k) {
      data[k] = reinterpret_cast<char*>(turned[k]);
      steps[k] = kRows * sizeof(S);
    }
    typename Across::Vector kept[F::has_max ? kShort * Across::kVectors : 1];
    Across across(steps, length, sign, kept);
    for (int64_t row = 0; row < rows; row += kRows) {
      const int64_t these = std::min(rows - row, kRows);
      const auto at = [&](int k) { return reinterpret_cast<S*>(operands[k] + row * nexts[k]); };
      const auto step = [&](int k) { return nexts[k] / static_cast<int64_t>(sizeof(S)); };
      for (int k = F::outputs; k < count; ++k) turn(at(k), step(k), turned[k], kRows, these, length);
      across.run(data, std::max(these, Memory<S>::size));
      for (int k = 0; k < F::outputs; ++k) turn(turned[k], kRows, at(k), step(k), length, these);
    }
  }
};

template <template <class> class Op, Pass pass, class S>
void rows_kernel(char* const* operands, const int64_t* steps, const int64_t* nexts, int64_t length, int64_t rows,
                 double sign) {
  using V = typename Memory<S>::V;
  using T = Wide<S>;
  using F = RowStep<Op, pass, V>;
  constexpr int count = F::outputs + F::inputs;
  constexpr int64_t size = sizeof(S);
  bool along = true, across = rows >= Memory<S>::size;
  for (int k = 0; k < count; ++k) {
    along = along && (steps[k] == size || length == 1);
    across = across && nexts[k] == size;
  }
  if (!along && across) {
    using Across = AcrossRows<F, S>;
    const std::unique_ptr<V[]> kept(length <= Across::kKept ? new V[Across::kKept] : nullptr);
    Across(steps, length, sign, kept.get()).run(operands, rows);
    return;
  }
  using Turned = TurnedRows<F, S>;
  if constexpr (Turned::kShort > 0) {  // there are vectors
    if (along && length <= Turned::kShort && rows >= Memory<S>::size) {
      return Turned::run(operands, nexts, length, rows, sign);
    }
  }
  using Row = AlongRow<RowStep<Op, pass, T>, F, S>;
  if (along && !F::has_max) {  // nothing to allocate
    for (int64_t row = 0; row < rows; ++row) {
      char* data[count];
      for (int k = 0; k < count; ++k) data[k] = operands[k] + row * nexts[k];
      Row each;
      each.begin(data, length, sign, nullptr);
      Row::run(&each, 1);
    }
    return;
  }
  const int most = along && length <= Row::kShort ? Row::kTogether : 1;
  const std::unique_ptr<T[]> terms(new T[most * Row::kept(length)]);
  const std::unique_ptr<S[]> gathered(along ? nullptr : new S[count * length]);
  const std::unique_ptr<Row[]> together(new Row[most]);
  for (int64_t row = 0; row < rows; row += most) {
    const int these = static_cast<int>(std::min<int64_t>(rows - row, most));
    const auto element = [&](int k, int64_t i) {
      return reinterpret_cast<S*>(operands[k] + row * nexts[k] + i * steps[k]);
    };
    for (int r = 0; r < these; ++r) {
      char* data[count];
      for (int k = 0; k < count; ++k) {
        data[k] = operands[k] + (row + r) * nexts[k];
        if (along) continue;
        S* const to = gathered.get() + k * length;
        data[k] = reinterpret_cast<char*>(to);
        for (int64_t i = 0; k >= F::outputs && i < length; ++i) to[i] = *element(k, i);
      }
      together[r].begin(data, length, sign, terms.get() + r * Row::kept(length));
    }
    Row::run(together.get(), these);
    for (int k = 0; !along && k < F::outputs; ++k) {
      for (int64_t i = 0; i < length; ++i) *element(k, i) = gathered[k * length + i];
    }
  }
}

template <template <class> class Op, Pass pass>
constexpr std::array<cpu::RowsKernel, kDtypes> rows_by_dtype() {
  return {rows_kernel<Op, pass, float>, rows_kernel<Op, pass, double>, rows_kernel<Op, pass, c10::BFloat16>,
          rows_kernel<Op, pass, c10::Half>};
}

template <template <class> class... Ops>
constexpr std::array<cpu::RowsTable, sizeof...(Ops)> rows_tables(List<Ops...>) {
  return {cpu::RowsTable{rows_by_dtype<Ops, Pass::forward>(), rows_by_dtype<Ops, Pass::backward>(),
                         rows_by_dtype<Ops, Pass::double_backward>()}...};
}

}  // namespace act_ext::CPU_CAPABILITY
