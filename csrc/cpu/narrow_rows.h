// Few rows side by side with nothing else between their elements, which take turns in memory.
#pragma once

#include "row_sums.h"

namespace act_ext::CPU_CAPABILITY {

// Memory is read as it lies. Of n rows every n vectors begin with the same row, and kLanes n elements are one of each
// lane of each row: a sum over all such groups, place by place, is the sum of each lane. One: the step with what one
// row has.
template <class One, class F, class S>
class NarrowRows {
  using V = typename Memory<S>::V;
  using T = Wide<S>;
  static constexpr int64_t kSize = Memory<S>::size, kGroup = kLanes<S>;
  static constexpr int kVecs = Group<S>::size;  // for each row of a group

 public:
  static constexpr int kMost = static_cast<int>(kSize) - 1;  // rows

  NarrowRows(char* const* operands, int64_t length, int64_t rows, double sign)
      : rows_(static_cast<int>(rows)), sign_(sign), length_(length), whole_(length - length % kGroup) {
    for (int k = 0; k < F::outputs; ++k) out_[k] = reinterpret_cast<S*>(operands[k]);
    for (int k = 0; k < F::inputs; ++k) in_[k] = reinterpret_cast<const S*>(operands[F::outputs + k]);
    std::fill_n(one_, rows_, One(sign));
    std::fill_n(f_, rows_, F(sign));
  }

  void run() {
    if constexpr (F::has_max) {
      if (length_ > kSegment) {
        run_by_segments();
      } else {
        T m[kMost];
        largest(0, length_, m);
        take_largest(m);
        take(sums(0, length_));
      }
    } else {
      take(sums(0, length_));
    }
    write();
  }

 private:
  struct Sums {
    double value[F::sums][kMost] = {}, rest[F::sums][kMost] = {};
  };

  void run_by_segments() {
    by_segments<T, F::sums, kMost>(
        length_, rows_, [&](int64_t begin, int64_t end, T* m) { largest(begin, end, m); },
        [&](const T* m) { take_largest(m); },
        [&](int64_t begin, int64_t end, Results<double, F::sums>* sum) {
          const Sums all = sums(begin, end);
          for (int r = 0; r < rows_; ++r) {
            for (int s = 0; s < F::sums; ++s) sum[r].value[s] = all.value[s][r] + all.rest[s][r];
          }
        },
        [&](const Results<double, F::sums>* sum) {
          Sums all;
          for (int r = 0; r < rows_; ++r) {
            for (int s = 0; s < F::sums; ++s) all.value[s][r] = sum[r].value[s];
          }
          take(all);
        });
  }

  [[gnu::noinline]] void take_largest(const T* m) {
    for (int r = 0; r < rows_; ++r) one_[r].take_largest(m[r]);
    spread();
  }
  [[gnu::noinline]] void take(const Sums& sums) {
    for (int r = 0; r < rows_; ++r) {
      Results<Pair<T>, F::sums> words;
      for (int s = 0; s < F::sums; ++s) words.value[s] = words_of<T>(sums.value[s][r], sums.rest[s][r]);
      one_[r].take(words);
    }
    spread();
  }
  // To each place of the vectors what its row has: both steps are nothing but numbers.
  [[gnu::noinline]] void spread() {
    constexpr int kNumbers = sizeof(One) / sizeof(T);
    static_assert(sizeof(F) == kNumbers * sizeof(V));
    const int places = rows_ * static_cast<int>(kSize);
    for (int n = 0; n < kNumbers; ++n) {
      T numbers[kMost * kSize];
      for (int r = 0; r < rows_; ++r) numbers[r] = reinterpret_cast<const T*>(&one_[r])[n];
      for (int there = rows_; there < places; there *= 2) {
        std::copy_n(numbers, std::min(there, places - there), numbers + there);
      }
      for (int v = 0; v < rows_; ++v) reinterpret_cast<V*>(&f_[v])[n] = load_in_order<S>(numbers + v * kSize);
    }
  }

  // step(lanes, f, place, at) for each vector of elements begin to end of the rows, in the order of memory:
  // `lanes` loads and stores it, `place` is that in its group. The last group may not be whole.
  template <class G>
  ACT_FN void for_each_vector(int64_t begin, int64_t end, G step) const {
    const auto group = [&](auto lanes_at, int64_t i) {
      for (int place = 0, v = 0; place < kVecs * rows_; ++place, v = v + 1 == rows_ ? 0 : v + 1) {
        const int64_t at = i * rows_ + place * kSize;
        step(lanes_at(at), f_[v], place, at);
      }
    };
    for (; begin < std::min(end, whole_); begin += kGroup) group([](int64_t) { return WholeVector<S>(); }, begin);
    if (begin < end) group([&](int64_t at) { return FirstLanes<S>(length_ * rows_ - at); }, begin);
  }
  template <class L, class G>
  ACT_FN auto apply(L lanes, G g, int64_t at) const {
    const S padding = static_cast<S>(F::padding(sign_));
    return apply_to_inputs<F>(g, [&](int k) { return lanes.load(in_[k] + at, padding); });
  }
  // numbers(row, those of its lanes) of what the places of a group hold.
  template <class G>
  ACT_FN void for_each_row(const V* places, G numbers) const {
    T all[kGroup * kMost];
    for (int place = 0; place < kVecs * rows_; ++place) store_in_order<S>(places[place], all + place * kSize);
    for (int r = 0; r < rows_; ++r) {
      T lanes[kGroup];
      for (int64_t i = 0; i < kGroup; ++i) lanes[i] = all[i * rows_ + r];
      numbers(r, lanes);
    }
  }

  [[gnu::noinline]] void largest(int64_t begin, int64_t end, T* m) const {
    V places[kVecs * kMost];
    std::fill_n(places, kVecs * rows_, V(-inf));
    for_each_vector(begin, end, [&](auto lanes, const F& f, int place, int64_t at) {
      places[place] = apply(lanes, [&](V x) { return at_least(f.argument(x), places[place]); }, at);
    });
    for_each_row(places, [&](int r, T* lanes) {
      by_halves(lanes, kGroup, 1, Larger());
      m[r] = lanes[0];
    });
  }

  [[gnu::noinline]] Sums sums(int64_t begin, int64_t end) const {
    Sums total;
    const bool only = end - begin <= kRowBlock<F, S>;
    for (int64_t block = begin; block < end; block += kRowBlock<F, S>) {
      V places[F::sums][kVecs * kMost];
      for (int s = 0; s < F::sums; ++s) std::fill_n(places[s], kVecs * rows_, V(0));
      const int64_t stop = std::min(block + kRowBlock<F, S>, end);
      for_each_vector(block, stop, [&](auto lanes, const F& f, int place, int64_t at) {
        const auto each = apply(lanes, [&](auto... x) { return f.terms(x...); }, at);
        for (int s = 0; s < F::sums; ++s) places[s][place] = places[s][place] + each.value[s];
      });
      for (int s = 0; s < F::sums; ++s) {
        for_each_row(places[s], [&](int r, T* lanes) {
          const double sum = sum_of_lanes<S, F::uneven>(lanes);
          if (only) {
            total.value[s][r] = sum;
          } else {
            accumulate(total.value[s][r], total.rest[s][r], sum);
          }
        });
      }
    }
    return total;
  }

  [[gnu::noinline]] void write() const {
    for_each_vector(0, length_, [&](auto lanes, const F& f, int, int64_t at) {
      const auto all = apply(lanes, [&](auto... x) { return f.results(x...); }, at);
      for (int k = 0; k < F::outputs; ++k) lanes.store(all.value[k], out_[k] + at);
    });
  }

  int rows_;
  double sign_;
  int64_t length_, whole_;
  S* out_[F::outputs];
  const S* in_[F::inputs];
  One one_[kMost];
  F f_[kMost];  // vector v of each rows_ has f_[v]
};

}  // namespace act_ext::CPU_CAPABILITY
