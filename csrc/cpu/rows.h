// The loops over rows: what is reduced along a dimension, and what is made of it, for every function of rows, pass and
// dtype. They know no op.
//
// A row is summed in the order of sum.h along contiguous memory and across it, so that both give the same bits.
#pragma once

#include <memory>

#include "across_rows.h"
#include "along_row.h"
#include "narrow_rows.h"

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

// Copies of rows, in which they lie side by side.
template <class F, class S>
class Tile {
  using Across = AcrossRows<F, S>;
  using V = typename Across::Vector;

 public:
  static constexpr int count = F::outputs + F::inputs;

  // rows: the most of them, and no fewer than a vector has.
  Tile(int64_t length, int64_t rows)
      : length_(length),
        // A step of a power of two would always meet the same lines of the cache.
        lines_of_step_((rows * sizeof(S) + sizeof(Line) - 1) / sizeof(Line) + 1),
        lines_(new Line[count * length * lines_of_step_]),
        kept_(Across::new_kept(length)) {}
  int64_t step() const { return lines_of_step_ * (sizeof(Line) / sizeof(S)); }
  S* of(int operand) const { return reinterpret_cast<S*>(lines_.get() + operand * length_ * lines_of_step_); }
  void run(int64_t rows, double sign) const {
    char* data[count];
    int64_t steps[count];
    for (int k = 0; k < count; ++k) {
      data[k] = reinterpret_cast<char*>(of(k));
      steps[k] = step() * sizeof(S);
    }
    Across(steps, length_, sign, kept_.get()).run(data, std::max(rows, Memory<S>::size));
  }

 private:
  struct alignas(64) Line {
    char bytes[64];
  };
  int64_t length_, lines_of_step_;
  std::unique_ptr<Line[]> lines_;
  std::unique_ptr<V[]> kept_;
};

// Short rows, one behind the other: what is computed once for each is long beside them, so they are turned, some at a
// time, to lie side by side.
template <class F, class S>
class TurnedRows {
  static constexpr int64_t kRows = 64;

 public:
  // The longest rows for which that was measured to be quicker. Backward has little to compute once for each row.
  static constexpr int64_t kShortForward = sizeof(S) == 8 ? 16 : sizeof(S) == 4 ? 48 : 64;
  static constexpr int64_t kShort = Memory<S>::size == 1 ? 0 : F::has_max ? kShortForward : kQuickEnds ? 4 : 16;

  static void run(char* const* operands, const int64_t* nexts, int64_t length, int64_t rows, double sign) {
    const Tile<F, S> tile(length, kRows);
    for (int64_t row = 0; row < rows; row += kRows) {
      const int64_t these = std::min(rows - row, kRows);
      const auto at = [&](int k) { return reinterpret_cast<S*>(operands[k] + row * nexts[k]); };
      const auto step = [&](int k) { return nexts[k] / static_cast<int64_t>(sizeof(S)); };
      for (int k = F::outputs; k < tile.count; ++k) turn(at(k), step(k), tile.of(k), tile.step(), these, length);
      tile.run(these, sign);
      for (int k = 0; k < F::outputs; ++k) turn(tile.of(k), tile.step(), at(k), step(k), length, these);
    }
  }
};

// Pieces of memory: `step` leads from one to the next, and `next` to the next set of them, in bytes.
struct Pieces {
  char* first;
  int64_t step, next;
};
// kChunk: at most bytes.
template <int kChunk>
void copy_in_chunks(Pieces from, Pieces to, int64_t length, int64_t sets, int64_t bytes) {
  for (int64_t set = 0; set < sets; ++set) {
    const char* source = from.first + set * from.next;
    char* target = to.first + set * to.next;
    for (int64_t i = 0; i < length; ++i, source += from.step, target += to.step) {
      for (int64_t begin = 0; begin + kChunk < bytes; begin += kChunk) {
        std::memcpy(target + begin, source + begin, kChunk);
      }
      std::memcpy(target + bytes - kChunk, source + bytes - kChunk, kChunk);  // may have been in part
    }
  }
}
// Each of `bytes` bytes, for which a call of memcpy would take longer than the copy.
[[gnu::noinline]] inline void copy_pieces(Pieces from, Pieces to, int64_t length, int64_t sets, int64_t bytes) {
  const auto copy = bytes >= 64   ? copy_in_chunks<64>
                    : bytes >= 32 ? copy_in_chunks<32>
                    : bytes >= 16 ? copy_in_chunks<16>
                    : bytes >= 8  ? copy_in_chunks<8>
                    : bytes >= 4  ? copy_in_chunks<4>
                                  : copy_in_chunks<2>;
  copy(from, to, length, sets, bytes);
}

// Sets of few rows side by side: those of several sets are brought together.
template <class F, class S>
class NarrowSets {
  static constexpr int64_t kSize = Memory<S>::size;
  static constexpr int64_t kBytes = 1 << 15, kMostBytes = 1 << 18;  // of a tile; it stays in a cache

 public:
  // Longer rows of a vector would be too many bytes. Of eight bytes each, copies take longer than NarrowRows' sums.
  static constexpr int64_t kLongest = !F::has_max && sizeof(S) == 8
                                          ? 4 * kLanes<S> - 1
                                          : kMostBytes / (Tile<F, S>::count * (kSize + 64 / sizeof(S)) * sizeof(S));

  static void run(char* const* operands, const int64_t* steps, const int64_t* nexts, int64_t length, int64_t rows,
                  int64_t sets, double sign) {
    constexpr int64_t size = sizeof(S);
    // Those of one vector, or of several.
    const int64_t one = (kSize + rows - 1) / rows, fit = kBytes / (Tile<F, S>::count * length * rows * size);
    const int64_t together = std::max<int64_t>(1, fit / one) * one;
    const Tile<F, S> tile(length, together * rows);
    for (int64_t first = 0; first < sets; first += together) {
      const int64_t these = std::min(sets - first, together);
      const auto copy = [&](int k, bool out) {
        const Pieces theirs{operands[k] + first * nexts[tile.count + k], steps[k], nexts[tile.count + k]};
        const Pieces ours{reinterpret_cast<char*>(tile.of(k)), tile.step() * size, rows * size};
        copy_pieces(out ? ours : theirs, out ? theirs : ours, length, these, rows * size);
      };
      for (int k = F::outputs; k < tile.count; ++k) copy(k, false);
      tile.run(these * rows, sign);
      for (int k = 0; k < F::outputs; ++k) copy(k, true);
    }
  }
};

// Rows along memory, one after the other, or some together where they are short.
template <template <class> class Op, Pass pass, class S>
void rows_along(char* const* operands, const int64_t* nexts, int64_t length, int64_t rows, double sign) {
  using T = Wide<S>;
  using F = RowStep<Op, pass, typename Memory<S>::V>;
  using Row = AlongRow<RowStep<Op, pass, T>, F, S>;
  constexpr int count = F::outputs + F::inputs;
  const auto begin = [&](Row& each, int64_t row, T* terms) {
    char* data[count];
    for (int k = 0; k < count; ++k) data[k] = operands[k] + row * nexts[k];
    each.begin(data, length, sign, terms);
  };
  if constexpr (!F::has_max) {  // nothing to allocate
    for (int64_t row = 0; row < rows; ++row) {
      Row each;
      begin(each, row, nullptr);
      Row::run(&each, 1);
    }
  } else {
    const int most = length <= Row::kShort ? Row::kTogether : 1;
    const std::unique_ptr<T[]> terms(new T[most * Row::kept(length)]);
    const std::unique_ptr<Row[]> together(new Row[most]);
    for (int64_t row = 0; row < rows; row += most) {
      const int these = static_cast<int>(std::min<int64_t>(rows - row, most));
      for (int r = 0; r < these; ++r) begin(together[r], row + r, terms.get() + r * Row::kept(length));
      Row::run(together.get(), these);
    }
  }
}

// Rows whose elements lie apart in a way of their own.
template <template <class> class Op, Pass pass, class S>
void gathered_rows(char* const* operands, const int64_t* steps, const int64_t* nexts, int64_t length, int64_t rows,
                   double sign) {
  using F = RowStep<Op, pass, typename Memory<S>::V>;
  constexpr int count = F::outputs + F::inputs;
  const std::unique_ptr<S[]> gathered(new S[count * length]);
  for (int64_t row = 0; row < rows; ++row) {
    char* data[count];
    const auto for_each_element = [&](int first, int last, auto move) {
      for (int k = first; k < last; ++k) {
        for (int64_t i = 0; i < length; ++i) {
          move(gathered[k * length + i], *reinterpret_cast<S*>(operands[k] + row * nexts[k] + i * steps[k]));
        }
      }
    };
    for (int k = 0; k < count; ++k) data[k] = reinterpret_cast<char*>(gathered.get() + k * length);
    for_each_element(F::outputs, count, [](S& ours, const S& theirs) { ours = theirs; });
    rows_along<Op, pass, S>(data, nexts, length, 1, sign);
    for_each_element(0, F::outputs, [](const S& ours, S& theirs) { theirs = ours; });
  }
}

template <template <class> class Op, Pass pass, class S>
void rows_kernel(char* const* operands, const int64_t* steps, const int64_t* nexts, int64_t length, int64_t rows,
                 int64_t sets, double sign) {
  using F = RowStep<Op, pass, typename Memory<S>::V>;
  using Across = AcrossRows<F, S>;
  using Narrow = NarrowSets<F, S>;
  using Turned = TurnedRows<F, S>;
  constexpr int count = F::outputs + F::inputs;
  bool along = true, side_by_side = true, dense = true;
  for (int k = 0; k < count; ++k) {
    along = along && (steps[k] == sizeof(S) || length == 1);
    side_by_side = side_by_side && nexts[k] == sizeof(S);
    dense = dense && steps[k] == rows * static_cast<int64_t>(sizeof(S));
  }
  const auto each_set = [&](auto run) {
    char *set[count], *next[count];
    std::copy_n(operands, count, next);
    for (int64_t s = 0; s < sets; ++s) {
      std::copy_n(next, count, set);
      for (int k = 0; k < count && s + 1 < sets; ++k) next[k] += nexts[count + k];
      run(set, next);
    }
  };
  if constexpr (Memory<S>::size > 1) {
    if (!along && side_by_side && rows < Memory<S>::size) {
      const bool fill_a_vector = rows * sets >= Memory<S>::size && length <= Narrow::kLongest;
      if (dense && !fill_a_vector) {
        each_set([&](char* const* set, char* const*) {
          NarrowRows<RowStep<Op, pass, Wide<S>>, F, S>(set, length, rows, sign).run();
        });
        return;
      }
      if (length <= Narrow::kLongest) return Narrow::run(operands, steps, nexts, length, rows, sets, sign);
    }
  }
  if (!along && side_by_side && rows >= Memory<S>::size) {
    const auto kept = Across::new_kept(length);
    Across across(steps, length, sign, kept.get());
    each_set([&](char* const* set, char* const* next) {
      across.fetch(next, rows);
      across.run(set, rows);
    });
    return;
  }
  if constexpr (Turned::kShort > 0) {  // there are vectors
    if (along && length <= Turned::kShort && rows >= Memory<S>::size) {
      each_set([&](char* const* set, char* const*) { Turned::run(set, nexts, length, rows, sign); });
      return;
    }
  }
  each_set([&](char* const* set, char* const*) {
    if (along) {
      rows_along<Op, pass, S>(set, nexts, length, rows, sign);
    } else {
      gathered_rows<Op, pass, S>(set, steps, nexts, length, rows, sign);
    }
  });
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
