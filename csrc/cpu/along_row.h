// A row whose elements lie one behind the other.
#pragma once

#include <memory>

#include "row_vectors.h"

namespace act_ext::CPU_CAPABILITY {

// Rows of one length, one at a time. One: the step with what one row has. Loops go by copies of their own, which the
// compiler can keep in registers while results are written.
template <class One, class F, class S>
class AlongRow {
  using V = typename Memory<S>::V;
  using T = Wide<S>;
  using Vectors = RowVectors<F, S>;
  static constexpr int kVecs = Vectors::kVecs;
  static constexpr int64_t kSize = Vectors::kSize, kGroup = Vectors::kGroup;

 public:
  AlongRow(int64_t length, double sign)
      : vectors_(length, sign), terms_(F::keeps_terms && length <= kSegment ? new T[vectors_.kept()] : nullptr) {}

  ACT_FN void run(char* const* operands) {
    row_ = RowPlace<F, S>(operands, terms_.get());
    one_ = One(vectors_.sign());
    if constexpr (F::has_max) {
      if (vectors_.length() > kSegment) return run_by_segments();
      one_.take_largest(largest(0, vectors_.length()));
      take(sums<F::keeps_terms>(0, vectors_.length()));
    } else {
      take(sums_here<false>(0, vectors_.length()));
    }
    write<F::keeps_terms>();
  }

 private:
  struct Sums {
    double value[F::sums] = {}, rest[F::sums] = {};
  };

  [[gnu::noinline]] void run_by_segments() {
    by_segments<T, F::sums, 1>(
        vectors_.length(), 1, [&](int64_t begin, int64_t end, T* m) { *m = largest(begin, end); },
        [&](const T* m) { one_.take_largest(*m); },
        [&](int64_t begin, int64_t end, Results<double, F::sums>* sum) {
          const Sums all = sums<false>(begin, end);
          for (int s = 0; s < F::sums; ++s) sum->value[s] = all.value[s] + all.rest[s];
        },
        [&](const Results<double, F::sums>* sum) {
          Sums all;
          for (int s = 0; s < F::sums; ++s) all.value[s] = sum->value[s];
          take(all);
        });
    write<false>();
  }
  void take(const Sums& sums) {
    Results<Pair<T>, F::sums> words;
    for (int s = 0; s < F::sums; ++s) words.value[s] = words_of<T>(sums.value[s], sums.rest[s]);
    one_.take(words);
  }

  // What this row will write, and what the next one will read: the processor does not expect that while it sums.
  ACT_FN void fetch_next(const RowPlace<F, S>& row, int64_t i) const {
    constexpr int64_t line = 64 / sizeof(S);
    for (int64_t e = i; e < i + kGroup; e += line) {
      for (int k = 0; k < F::outputs; ++k) __builtin_prefetch(row.out[k] + e, 1);
      for (int k = 0; k < F::inputs; ++k) __builtin_prefetch(row.in[k] + vectors_.length() + e);
    }
  }

  [[gnu::noinline]] T largest(int64_t begin, int64_t end) const {
    constexpr int kChains = 4;  // one comparison waits for the one before
    const Vectors vectors = vectors_;
    const RowPlace<F, S> row = row_;
    const F f(vectors.sign());
    Group<S> m[kChains];
    for (Group<S>& each : m) each = Group<S>(-inf);
    const auto take_in = [&](auto lanes, Group<S>& group, int64_t i, int v) {
      group.part[v] = vectors.apply(lanes, [&](V x) { return at_least(f.argument(x), group.part[v]); }, row, i);
    };
    int64_t i = begin;
    for (; i + kChains * kGroup <= end; i += kChains * kGroup) {
      for (int c = 0; c < kChains; ++c) {
        for (int v = 0; v < kVecs; ++v) take_in(WholeVector<S>(), m[c], i + c * kGroup + v * kSize, v);
      }
    }
    vectors.for_each_vector(i, end, [&](auto lanes, int64_t i, int v) { take_in(lanes, m[0], i, v); });
    for (int c = 1; c < kChains; ++c) {
      for (int v = 0; v < kVecs; ++v) m[0].part[v] = at_least(m[c].part[v], m[0].part[v]);
    }
    return m[0].largest();
  }

  template <bool kKeep>
  [[gnu::noinline]] Sums sums(int64_t begin, int64_t end) const {
    return sums_here<kKeep>(begin, end);
  }
  template <bool kKeep>
  ACT_FN Sums sums_here(int64_t begin, int64_t end) const {
    const Vectors vectors = vectors_;
    const RowPlace<F, S> row = row_;
    const F f(one_);
    Sums total;
    for (int64_t block = begin; block < end; block += kRowBlock<F, S>) {
      Group<S> sum[F::sums];
      vectors.template add_terms<kKeep>(sum, f, row, block, std::min(block + kRowBlock<F, S>, end),
                                        [&](int64_t i, int v) {
                                          if (F::has_max && v == 0) fetch_next(row, i);  // long enough to be worth it
                                        });
      if (end - begin <= kRowBlock<F, S>) {  // the only one
        for (int s = 0; s < F::sums; ++s) total.value[s] = sum[s].template sum<F::uneven>();
        return total;
      }
      for (int s = 0; s < F::sums; ++s) accumulate(total.value[s], total.rest[s], sum[s].template sum<F::uneven>());
    }
    return total;
  }
  template <bool kKept>
  void write() const {
    const Vectors vectors = vectors_;
    const RowPlace<F, S> row = row_;
    vectors.template write<kKept>(F(one_), row);
  }

  Vectors vectors_;
  std::unique_ptr<T[]> terms_;
  RowPlace<F, S> row_;
  One one_;
};

}  // namespace act_ext::CPU_CAPABILITY
