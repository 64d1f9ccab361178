// A row whose elements lie one behind the other.
#pragma once

#include "row_sums.h"

namespace act_ext::CPU_CAPABILITY {

// One contiguous row. One: the step with what one row has.
template <class One, class F, class S>
class AlongRow {
  using V = typename Memory<S>::V;
  using T = Wide<S>;
  static constexpr int kVecs = Group<S>::size;
  static constexpr int64_t kSize = Memory<S>::size, kGroup = kLanes<S>;

 public:
  // The elements that `terms` has to hold.
  static int64_t kept(int64_t length) { return F::keeps_terms && length <= kSegment ? length + kGroup : 0; }

  AlongRow(char* const* operands, int64_t length, double sign, T* terms)
      : one_(sign), sign_(sign), length_(length), whole_(length - length % kGroup), terms_(terms) {
    for (int k = 0; k < F::outputs; ++k) out_[k] = reinterpret_cast<S*>(operands[k]);
    for (int k = 0; k < F::inputs; ++k) in_[k] = reinterpret_cast<const S*>(operands[F::outputs + k]);
  }

  ACT_FN void run() {
    if constexpr (F::has_max) {
      if (length_ > kSegment) return run_by_segments();
      one_.take_largest(largest(0, length_));
      take(sums<F::keeps_terms>(0, length_));
    } else {
      take(sums_here<false>(0, length_));
    }
    write<F::keeps_terms>();
  }

 private:
  struct Sums {
    double value[F::sums] = {}, rest[F::sums] = {};
  };

  [[gnu::noinline]] void run_by_segments() {
    by_segments<T, F::sums, 1>(
        length_, 1, [&](int64_t begin, int64_t end, T* m) { *m = largest(begin, end); },
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

  // g of the inputs at element i, of which `part` loads a vector.
  template <class P, class G>
  ACT_FN auto apply(P part, G g, int64_t i) const {
    const S padding = static_cast<S>(F::padding(sign_));
    return apply_to_inputs<F>(g, [&](int k) { return part.load(in_[k] + i, padding); });
  }
  // step(part, i, v) for each vector of the group at i: number v of it, or the part of that which the row has.
  template <class G>
  ACT_FN void for_each_of_group(int64_t i, G step) const {
    for (int v = 0; v < kVecs; ++v) step(WholeVector<S>(), i + v * kSize, v);
  }
  template <class G>
  ACT_FN void for_each_of_last_group(G step) const {
    for (int v = 0; v < kVecs; ++v) step(FirstLanes<S>(length_ - whole_ - v * kSize), whole_ + v * kSize, v);
  }
  // The same for all groups; the last of a row may not be whole.
  template <class G>
  ACT_FN void for_each_vector(int64_t begin, int64_t end, G step) const {
    for (; begin < std::min(end, whole_); begin += kGroup) for_each_of_group(begin, step);
    if (begin < end) for_each_of_last_group(step);
  }

  // What this row will write, and what the next one will read: the processor does not expect that while it sums.
  ACT_FN void fetch_next(int64_t i) const {
    constexpr int64_t line = 64 / sizeof(S);
    for (int64_t e = i; e < i + kSize; e += line) {
      for (int k = 0; k < F::outputs; ++k) __builtin_prefetch(out_[k] + e, 1);
      for (int k = 0; k < F::inputs; ++k) __builtin_prefetch(in_[k] + length_ + e);
    }
  }

  [[gnu::noinline]] T largest(int64_t begin, int64_t end) const {
    constexpr int kChains = 4;  // one comparison waits for the one before
    const F f(sign_);
    Group<S> m[kChains];
    for (Group<S>& each : m) each = Group<S>(-inf);
    const auto take_in = [&](Group<S>& group) {
      return [&](auto part, int64_t i, int v) {
        group.part[v] = apply(part, [&](V x) { return at_least(f.argument(x), group.part[v]); }, i);
      };
    };
    int64_t i = begin;
    for (; i + kChains * kGroup <= end; i += kChains * kGroup) {
      for (int c = 0; c < kChains; ++c) for_each_of_group(i + c * kGroup, take_in(m[c]));
    }
    for_each_vector(i, end, take_in(m[0]));
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
    const F f(one_);
    Sums total;
    for (int64_t block = begin; block < end; block += kRowBlock<F, S>) {
      Group<S> sum[F::sums];
      const int64_t stop = std::min(block + kRowBlock<F, S>, end);
      for_each_vector(block, stop, [&](auto part, int64_t i, int v) {
        const auto each = apply(part, [&](auto... x) { return f.terms(x...); }, i);
        for (int s = 0; s < F::sums; ++s) sum[s].part[v] = sum[s].part[v] + each.value[s];
        if constexpr (kKeep) Memory<T>::store(each.value[0], terms_ + i);
        if constexpr (F::has_max) fetch_next(i);  // long enough to be worth it
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
    const F f(one_);
    for_each_written<S, kWrittenAnywhere<F, S>>(length_, FirstLanes<S>(length_ % kSize), [&](auto part, int64_t i) {
      if constexpr (kKept) {
        part.store(f.from_term(Memory<T>::load(terms_ + i)), out_[0] + i);
      } else {
        const auto all = apply(part, [&](auto... x) { return f.results(x...); }, i);
        for (int k = 0; k < F::outputs; ++k) part.store(all.value[k], out_[k] + i);
      }
    });
  }

  One one_;
  double sign_;
  int64_t length_, whole_;
  T* terms_;
  S* out_[F::outputs];
  const S* in_[F::inputs];
};

}  // namespace act_ext::CPU_CAPABILITY
