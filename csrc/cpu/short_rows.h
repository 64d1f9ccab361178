// Short rows along memory, some at a time, step by step: what is computed once for each row is long beside them, and
// computed for all in one vector.
#pragma once

#include <memory>

#include "row_vectors.h"

namespace act_ext::CPU_CAPABILITY {

#if defined(CPU_CAPABILITY_AVX2)
// At least one register of elements, but no whole vector: the second register ends where they do, and begins, at
// `offset`, with some that the first has too.
template <class S>
struct TwoRegisters {
  using R = at::vec::Vectorized<S>;
  int64_t offset;
  ACT_FN typename Memory<S>::V load(const S* from, S) const { return {R::loadu(from), R::loadu(from + offset)}; }
  ACT_FN void store(typename Memory<S>::V v, S* to) const {
    R(v.low).store(to);
    R(v.high).store(to + offset);
  }
};
#endif

// One: the step with what one row has.
template <class One, class F, class S, class End = FirstLanes<S>>
class ShortRows {
  using V = typename Memory<S>::V;
  using T = Wide<S>;
  using Double = InDouble<V>;
  using Sums = SumsOfRows<S, F::uneven>;
  using Vectors = RowVectors<F, S, End>;
  using Place = RowPlace<F, S>;
  static constexpr int64_t kSize = Memory<S>::size;
  static constexpr int kCount = F::outputs + F::inputs, kRows = Sums::kRows;
  // The inputs of rows that go together: each step reads them, or what was kept of them, from the innermost cache.
  static constexpr int64_t kBytes = 1 << 13;
  // The longest rows for which that was measured, with AVX-512 and AVX2, to be quicker than one by one. Without a
  // maximum little is computed for each row, and one that is read twice at once is read quickest.
  static constexpr int64_t kShortForward = sizeof(S) == 8 ? 256 : 384;
  static constexpr int64_t kShortBackward = sizeof(S) == 8 ? 31 : sizeof(S) == 4 ? 63 : 256;

 public:
  // 0: there are no vectors.
  static constexpr int64_t kShort = kSize == 1 ? 0 : F::has_max ? kShortForward : kShortBackward;

  static void run(char* const* operands, const int64_t* nexts, int64_t length, int64_t rows, double sign) {
#if defined(CPU_CAPABILITY_AVX512)
    if constexpr (!F::has_max && sizeof(S) > 2) {
      if (length % kSize <= kSize / 2) {
        return ShortRows<One, F, S, LowLanes<S>>(operands, nexts, length, sign).run(rows);
      }
    }
#endif
    ShortRows(operands, nexts, length, sign).run(rows);
  }

  ShortRows(char* const* operands, const int64_t* nexts, int64_t length, double sign) : vectors_(length, sign) {
    std::copy_n(operands, kCount, data_);
    std::copy_n(nexts, kCount, nexts_);
  }
  [[gnu::noinline]] void run(int64_t rows) const {
    // The compiler can keep a copy of its own in registers while results are written.
    ShortRows local = *this;
    const int64_t fit = kBytes / (F::inputs * vectors_.kept() * static_cast<int64_t>(sizeof(S)));
    const int64_t most = std::clamp<int64_t>(fit / Sums::kRowsPerStep * Sums::kRowsPerStep, Sums::kRowsPerStep, kRows);
    const std::unique_ptr<T[]> terms(F::keeps_terms ? new T[most * vectors_.kept()] : nullptr);
    for (; rows > 0; rows -= most) local.run_together(static_cast<int>(std::min(rows, most)), terms.get());
  }

 private:
  ACT_FN void run_together(int count, T* terms) {
    F all(vectors_.sign());
    Numbers numbers;
    if constexpr (F::has_max) {
      LargestOfRows<S> m;
      for_each_row(count, terms, [&](int r, const Place& row) { m.set(r, largest(row)); });
      all.take_largest(m.all(count));
    }
    numbers.spread(all);
    Double value[F::sums], rest[F::sums];
    for (int64_t block = 0; block < vectors_.length(); block += kRowBlock<F, S>) {
      const int64_t stop = std::min(block + kRowBlock<F, S>, vectors_.length());
      Sums sums[F::sums];
      for_each_row(count, terms, [&](int r, const Place& row) {
        Group<S> sum[F::sums];
        vectors_.template add_terms<F::keeps_terms>(sum, F(numbers.of(r)), row, block, stop, [](int64_t, int) {});
        for (int s = 0; s < F::sums; ++s) sums[s].set(r, sum[s]);
      });
      for (int s = 0; s < F::sums; ++s) {
        if (block == 0) {
          value[s] = sums[s].all(count);
          rest[s] = Double(V(0));
        } else {
          accumulate(value[s], rest[s], sums[s].all(count));
        }
      }
    }
    Results<Pair<V>, F::sums> words;
    for (int s = 0; s < F::sums; ++s) words.value[s] = words_of(value[s], rest[s]);
    all.take(words);
    numbers.spread(all);
    for_each_row(count, terms, [&](int r, const Place& row) { write(F(numbers.of(r)), row); });
    for (int k = 0; k < kCount; ++k) data_[k] += count * nexts_[k];
  }

  // The steps of a vector of rows, each row's apart: both are nothing but numbers.
  struct Numbers {
    static constexpr int kNumbers = sizeof(One) / sizeof(T);
    static_assert(sizeof(F) == kNumbers * sizeof(V));
    T number[kNumbers][kRows];

    ACT_FN void spread(const F& all) {
      for (int n = 0; n < kNumbers; ++n) Memory<T>::store(reinterpret_cast<const V*>(&all)[n], number[n]);
    }
    ACT_FN One of(int row) const {
      One one;
      for (int n = 0; n < kNumbers; ++n) reinterpret_cast<T*>(&one)[n] = number[n][row];
      return one;
    }
  };

  template <class G>
  ACT_FN void for_each_row(int count, T* terms, G g) const {
    char* data[kCount];
    std::copy_n(data_, kCount, data);
    for (int r = 0; r < count; ++r) {
      g(r, Place(data, terms));
      for (int k = 0; k < kCount; ++k) data[k] += nexts_[k];
      if (F::keeps_terms) terms += vectors_.kept();
    }
  }
  ACT_FN Group<S> largest(const Place& row) const {
    const F f(vectors_.sign());
    Group<S> m(-inf);
    vectors_.for_each_vector(0, vectors_.length(), [&](auto lanes, int64_t i, int v) {
      m.part[v] = vectors_.apply(lanes, [&](V x) { return at_least(f.argument(x), m.part[v]); }, row, i);
    });
    return m;
  }
  ACT_FN void write(const F& f, const Place& row) const {
#if defined(CPU_CAPABILITY_AVX2)
    // With masks it takes long to store. Kept terms lie as whole vectors.
    if constexpr (has_masks<S> && !F::keeps_terms) {
      constexpr int64_t half = kSize / 2;
      const int64_t length = vectors_.length();
      if (length >= half && length < kSize) {
        return vectors_.template write_vector<false>(f, row, TwoRegisters<S>{length - half}, 0);
      }
    }
#endif
    vectors_.template write<F::keeps_terms>(f, row);
  }

  Vectors vectors_;
  char* data_[kCount];
  int64_t nexts_[kCount];
};

}  // namespace act_ext::CPU_CAPABILITY
