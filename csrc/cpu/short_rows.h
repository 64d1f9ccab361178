// Short rows along memory, some at a time, step by step: what is computed once for each row is long beside them, and
// computed for all in one vector.
#pragma once

#include <memory>

#include "row_sums.h"

namespace act_ext::CPU_CAPABILITY {

#if defined(CPU_CAPABILITY_AVX2)
// The two registers of a vector's first elements, of which there are no fewer than one has: the second begins at
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
template <class One, class F, class S>
class ShortRows {
  using V = typename Memory<S>::V;
  using T = Wide<S>;
  using Double = InDouble<V>;
  using Groups = GroupsOfRows<S>;
  static constexpr int64_t kSize = Memory<S>::size, kGroup = kLanes<S>;
  static constexpr int kVecs = Group<S>::size, kCount = F::outputs + F::inputs, kRows = Groups::kRows;
  // What is read is read again when results are written, from the innermost cache.
  static constexpr int64_t kBytes = 1 << 13;

 public:
  // The longest rows for which that was measured to be quicker than one by one. There must be vectors.
  static constexpr int64_t kShortForward = sizeof(S) == 8 ? 256 : 384;
  static constexpr int64_t kShortBackward = sizeof(S) == 2 ? 256 : 256 / sizeof(S) - 1;
  static constexpr int64_t kShort = kSize == 1 ? 0 : F::has_max ? kShortForward : kShortBackward;

  ShortRows(char* const* operands, const int64_t* nexts, int64_t length, double sign)
      : sign_(sign), length_(length), whole_(length - length % kGroup) {
    for (int v = 0; v < kVecs; ++v) end_[v] = FirstLanes<S>(length - whole_ - v * kSize);
    std::copy_n(operands, kCount, data_);
    std::copy_n(nexts, kCount, nexts_);
  }
  void run(int64_t rows) const {
#if defined(CPU_CAPABILITY_AVX512)
    if constexpr (!F::has_max && sizeof(S) > 2) {
      if (length_ % kSize <= kSize / 2) return run(rows, [](FirstLanes<S> lanes) { return lanes.low(); });
    }
#endif
    run(rows, [](FirstLanes<S> lanes) { return lanes; });
  }

 private:
  // end_of: how the end of a row is loaded and stored.
  template <class E>
  [[gnu::noinline]] void run(int64_t rows, E end_of) const {
    ShortRows local = *this;
    const int64_t fit = kBytes / (F::inputs * (whole_ + kGroup) * static_cast<int64_t>(sizeof(S)));
    const int64_t most = std::clamp<int64_t>(fit / Groups::kStep * Groups::kStep, Groups::kStep, kRows);
    const std::unique_ptr<T[]> terms(F::keeps_terms ? new T[most * kept()] : nullptr);
    Groups groups;
    for (; rows > 0; rows -= most) {
      local.run_together(static_cast<int>(std::min(rows, most)), end_of, groups, terms.get());
    }
  }
  // Of each row the elements that `terms` has to hold.
  int64_t kept() const { return whole_ + kGroup; }

  template <class E>
  ACT_FN void run_together(int count, E end_of, Groups& groups, T* terms) {
    F all(sign_);
    Numbers numbers;
    if constexpr (F::has_max) {
      for_each_row(count, [&](int r, char* const* row) { groups.set_largest(r, largest(row, end_of)); });
      all.take_largest(groups.largest(count));
    }
    numbers.spread(all);
    Double value[F::sums], rest[F::sums];
    for (int64_t block = 0; block < length_; block += kRowBlock<F, S>) {
      const int64_t stop = std::min(block + kRowBlock<F, S>, length_);
      Groups sums[F::sums];
      for_each_row(count, [&](int r, char* const* row) {
        Group<S> sum[F::sums];
        add_terms(sum, F(numbers.of(r)), row, block, stop, end_of, terms + r * kept());
        for (int s = 0; s < F::sums; ++s) sums[s].template set_sum<F::uneven>(r, sum[s]);
      });
      for (int s = 0; s < F::sums; ++s) {
        if (block == 0) {
          value[s] = sums[s].sums(count);
          rest[s] = Double(V(0));
        } else {
          accumulate(value[s], rest[s], sums[s].sums(count));
        }
      }
    }
    Results<Pair<V>, F::sums> words;
    for (int s = 0; s < F::sums; ++s) words.value[s] = words_of(value[s], rest[s]);
    all.take(words);
    numbers.spread(all);
    for_each_row(count, [&](int r, char* const* row) { write(F(numbers.of(r)), row, end_of, terms + r * kept()); });
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
  ACT_FN void for_each_row(int count, G g) const {
    char* row[kCount];
    std::copy_n(data_, kCount, row);
    for (int r = 0; r < count; ++r) {
      g(r, row);
      for (int k = 0; k < kCount; ++k) row[k] += nexts_[k];
    }
  }
  // step(part, i, v) for each vector of elements begin to end, number v of its group, or the part of it that there is.
  template <class E, class G>
  ACT_FN void for_each_vector(int64_t begin, int64_t end, E end_of, G step) const {
    int64_t i = begin;
    for (; i < std::min(end, whole_); i += kGroup) {
      for (int v = 0; v < kVecs; ++v) step(WholeVector<S>(), i + v * kSize, v);
    }
    for (int v = 0; v < kVecs && i < end; ++v, i += kSize) step(end_of(end_[v]), i, v);
  }
  // g of a row's inputs at element i, of which `part` loads a vector.
  template <class P, class G>
  ACT_FN auto apply(P part, G g, char* const* row, int64_t i) const {
    const S padding = static_cast<S>(F::padding(sign_));
    return apply_to_inputs<F>(
        g, [&](int k) { return part.load(reinterpret_cast<const S*>(row[F::outputs + k]) + i, padding); });
  }

  template <class E>
  ACT_FN Group<S> largest(char* const* row, E end_of) const {
    const F f(sign_);
    Group<S> m(-inf);
    for_each_vector(0, length_, end_of, [&](auto part, int64_t i, int v) {
      m.part[v] = apply(part, [&](V x) { return at_least(f.argument(x), m.part[v]); }, row, i);
    });
    return m;
  }
  template <class E>
  ACT_FN void add_terms(Group<S>* sum, const F& f, char* const* row, int64_t begin, int64_t end, E end_of,
                        T* terms) const {
    for_each_vector(begin, end, end_of, [&](auto part, int64_t i, int v) {
      const auto each = apply(part, [&](auto... x) { return f.terms(x...); }, row, i);
      for (int s = 0; s < F::sums; ++s) sum[s].part[v] = sum[s].part[v] + each.value[s];
      if constexpr (F::keeps_terms) Memory<T>::store(each.value[0], terms + i);
    });
  }
  template <class E>
  ACT_FN void write(const F& f, char* const* row, E end_of, const T* terms) const {
    const auto out = [&](int k, int64_t i) { return reinterpret_cast<S*>(row[k]) + i; };
    const auto put = [&](auto part, int64_t i) {
      if constexpr (F::keeps_terms) {
        part.store(f.from_term(Memory<T>::load(terms + i)), out(0, i));
      } else {
        const auto all = apply(part, [&](auto... x) { return f.results(x...); }, row, i);
        for (int k = 0; k < F::outputs; ++k) part.store(all.value[k], out(k, i));
      }
    };
#if defined(CPU_CAPABILITY_AVX2)
    if constexpr (has_masks<S> && !F::keeps_terms) {  // with masks it takes long to store
      constexpr int64_t half = kSize / 2;
      if (length_ >= half && length_ < kSize) return put(TwoRegisters<S>{length_ - half}, 0);
    }
#endif
    for_each_written<S, kWrittenAnywhere<F, S>>(length_, end_of(end_[(length_ - whole_) / kSize]), put);
  }

  double sign_;
  int64_t length_, whole_;
  FirstLanes<S> end_[kVecs];
  char* data_[kCount];
  int64_t nexts_[kCount];
};

}  // namespace act_ext::CPU_CAPABILITY
