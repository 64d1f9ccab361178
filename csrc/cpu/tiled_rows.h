// Rows that are brought side by side, some at a time, for the loop across them.
#pragma once

#include "across_rows.h"
#include "row_vectors.h"

namespace act_ext::CPU_CAPABILITY {

// Whether at::vec turns whole blocks: elements of eight bytes are few in a register.
#if defined(CPU_CAPABILITY_AVX512)
template <class S>
inline constexpr bool kByBlocks = sizeof(S) <= 4;
#elif defined(CPU_CAPABILITY_AVX2)
template <class S>
inline constexpr bool kByBlocks = std::is_same_v<S, float>;
#else
template <class S>
inline constexpr bool kByBlocks = false;
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
        // An odd number: steps of a power of two would always meet the same lines of the cache.
        lines_of_step_((rows * sizeof(S) + sizeof(Line) - 1) / sizeof(Line) | 1),
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
  // The longest rows for which that was measured, on x86, to be quicker than ShortRows. Backward has little to compute
  // once for each row; without masks that store quickly it takes what fills no register of 32 bytes.
  static constexpr int64_t kShortForward = sizeof(S) == 8 ? 12 : sizeof(S) == 2 ? 28 : kQuickEnds ? 16 : 32;
  static constexpr int64_t kShortBackward = kQuickEnds ? 4 : sizeof(S) == 2 ? 15 : 32 / sizeof(S) - 1;
  static constexpr int64_t kShort = Memory<S>::size == 1 ? 0 : F::has_max ? kShortForward : kShortBackward;

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
      // Part of it may have been copied already.
      std::memcpy(target + bytes - kChunk, source + bytes - kChunk, kChunk);
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
  // Of a tile for several vectors of rows, which stays in the innermost cache, and of one for a vector of whole rows,
  // which stays in the next; where rows do not divide a vector the latter is up to twice as large.
  static constexpr int64_t kBytes = 1 << 15, kMostBytes = 1 << 18;

 public:
  // Longer rows would not fit a tile. Backward's copies of elements of eight bytes take longer than what NarrowRows has
  // to do for each set, from four elements a lane on.
  static constexpr int64_t kLongest = !F::has_max && sizeof(S) == 8
                                          ? 4 * kLanes<S> - 1
                                          : kMostBytes / (Tile<F, S>::count * (kSize + 64 / sizeof(S)) * sizeof(S));

  static void run(char* const* operands, const int64_t* steps, const int64_t* nexts, int64_t length, int64_t rows,
                  int64_t sets, double sign) {
    constexpr int64_t size = sizeof(S);
    // As many sets as fill one vector, or several vectors that fit.
    const int64_t one = (kSize + rows - 1) / rows, fit = kBytes / (Tile<F, S>::count * length * rows * size);
    const int64_t vectors = std::clamp<int64_t>(fit / one, 1, (sets + one - 1) / one), together = vectors * one;
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

}  // namespace act_ext::CPU_CAPABILITY
