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
  // With a maximum, rows that are at most kShort long go kTogether at a time, step by step: what is computed once for
  // each row is long beside them, and computed for all in one vector.
  static constexpr int kTogether = F::has_max ? static_cast<int>(Memory<T>::size) : 1;
  static constexpr int64_t kShort = 256;
  // Of each row the elements that `terms` has to hold.
  static int64_t kept(int64_t length) { return F::keeps_terms && length <= kSegment ? length + kGroup : 0; }

  void begin(char* const* operands, int64_t length, double sign, T* terms) {
    one_ = One(sign);
    sign_ = sign;
    length_ = length;
    terms_ = terms;
    whole_ = length - length % kGroup;
    for (int k = 0; k < F::outputs; ++k) out_[k] = reinterpret_cast<S*>(operands[k]);
    for (int k = 0; k < F::inputs; ++k) in_[k] = reinterpret_cast<const S*>(operands[F::outputs + k]);
  }

  // Rows of one length.
  ACT_FN static void run(AlongRow* rows, int count) {
    if (count == 1) return rows->run();
    if constexpr (F::has_max) {
      const auto each = [&](auto step) {
        for (int r = 0; r < count; ++r) step(r, rows[r]);
      };
      F all(rows->sign_);
      T m[kTogether] = {};
      each([&](int r, AlongRow& row) { m[r] = row.largest(0, row.length_); });
      all.take_largest(Memory<T>::load(m));
      spread(all, rows, count);
      double value[F::sums][kTogether] = {}, rest[F::sums][kTogether] = {};
      each([&](int r, AlongRow& row) {
        const Sums sums = row.template sums<F::keeps_terms>(0, row.length_);
        for (int s = 0; s < F::sums; ++s) value[s][r] = sums.value[s], rest[s][r] = sums.rest[s];
      });
      Results<Pair<V>, F::sums> words;
      for (int s = 0; s < F::sums; ++s)
        words.value[s] = words_of(InDouble<V>::load(value[s]), InDouble<V>::load(rest[s]));
      all.take(words);
      spread(all, rows, count);
      each([](int, AlongRow& row) { row.template write<F::keeps_terms>(); });
    }
  }

 private:
  struct Sums {
    double value[F::sums] = {}, rest[F::sums] = {};
  };

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

  // The steps of a vector of rows, to each its own: both are nothing but numbers.
  [[gnu::noinline]] static void spread(const F& all, AlongRow* rows, int count) {
    constexpr int kNumbers = sizeof(One) / sizeof(T);
    static_assert(sizeof(F) == kNumbers * sizeof(V));
    T numbers[kNumbers][kTogether];
    for (int n = 0; n < kNumbers; ++n) Memory<T>::store(reinterpret_cast<const V*>(&all)[n], numbers[n]);
    for (int r = 0; r < count; ++r) {
      for (int n = 0; n < kNumbers; ++n) reinterpret_cast<T*>(&rows[r].one_)[n] = numbers[n][r];
    }
  }
  void take(const Sums& sums) {
    Results<Pair<T>, F::sums> words;
    for (int s = 0; s < F::sums; ++s) words.value[s] = words_of<T>(sums.value[s], sums.rest[s]);
    one_.take(words);
  }

  // A vector of the group at i, which the row may end in.
  template <bool kWhole>
  ACT_FN V load(int k, int64_t i, int part) const {
    const int64_t begin = i + part * kSize;
    if constexpr (kWhole) return Memory<S>::load(in_[k] + begin);
    return load_first(length_ - begin, in_[k] + begin, static_cast<S>(F::padding(sign_)));
  }
  template <bool kWhole, class G>
  ACT_FN auto apply(G g, int64_t i, int part) const {
    return apply_to_inputs<F>(g, [&](int k) { return load<kWhole>(k, i, part); });
  }
  // group(whole, i) for each group of elements; the last of a row may not be whole.
  template <class G>
  ACT_FN void for_each_group(int64_t begin, int64_t end, G group) const {
    for (; begin < std::min(end, whole_); begin += kGroup) group(std::true_type(), begin);
    if (begin < end) group(std::false_type(), begin);
  }

  // What this row will write, and what the next ones will read: the processor does not expect that while it sums.
  ACT_FN void fetch_next(int64_t i) const {
    constexpr int64_t line = 64 / sizeof(S);
    const int64_t ahead = (length_ <= kShort ? kTogether : 1) * length_;
    for (int64_t e = i; e < i + kGroup; e += line) {
      for (int k = 0; k < F::outputs; ++k) __builtin_prefetch(out_[k] + e, 1);
      for (int k = 0; k < F::inputs; ++k) __builtin_prefetch(in_[k] + ahead + e);
    }
  }

  [[gnu::noinline]] T largest(int64_t begin, int64_t end) const {
    constexpr int kChains = 4;  // one comparison waits for the one before
    const F f(sign_);
    Group<S> m[kChains];
    for (Group<S>& each : m) each = Group<S>(-inf);
    const auto take = [&](auto whole, Group<S>& group, int64_t i) {
      for (int v = 0; v < kVecs; ++v) {
        group.part[v] = apply<whole>([&](V x) { return at_least(f.argument(x), group.part[v]); }, i, v);
      }
    };
    int64_t i = begin;
    for (; i + kChains * kGroup <= end; i += kChains * kGroup) {
      for (int c = 0; c < kChains; ++c) take(std::true_type(), m[c], i + c * kGroup);
    }
    for_each_group(i, end, [&](auto whole, int64_t i) { take(whole, m[0], i); });
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
      for_each_group(block, stop, [&](auto whole, int64_t i) {
        for (int v = 0; v < kVecs; ++v) {
          const auto each = apply<whole>([&](auto... x) { return f.terms(x...); }, i, v);
          for (int s = 0; s < F::sums; ++s) sum[s].part[v] = sum[s].part[v] + each.value[s];
          if constexpr (kKeep) Memory<T>::store(each.value[0], terms_ + i + v * kSize);
        }
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
    const auto put = [&](auto whole, V value, S* to, int64_t i) {
      if constexpr (whole) {
        Memory<S>::store(value, to + i);
      } else {
        store_first(length_ - i, value, to + i);
      }
    };
    for_each_group(0, length_, [&](auto whole, int64_t i) {
      for (int v = 0; v < kVecs; ++v) {
        const int64_t begin = i + v * kSize;
        if constexpr (kKept) {
          put(whole, f.from_term(Memory<T>::load(terms_ + begin)), out_[0], begin);
        } else {
          const auto all = apply<whole>([&](auto... x) { return f.results(x...); }, i, v);
          for (int k = 0; k < F::outputs; ++k) put(whole, all.value[k], out_[k], begin);
        }
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
