// The loops over rows: what is reduced along a dimension, and what is made of it, for every function of rows, pass and
// dtype. They know no op.
//
// A row is summed in the order of sum.h along contiguous memory and across it, so that both give the same bits.
//
// Much of what is long is kept from being inlined: in every place that calls it, it took the compiler half as long
// again. What backward does along a row is too short for that.
#pragma once

#include <limits>
#include <memory>

#include "../row_pass.h"
#include "sum.h"

namespace act_ext::CPU_CAPABILITY {

// The longest row whose terms are kept, and the length by which a longer one is read for its largest element and its
// sum together.
inline constexpr int64_t kSegment = 32768;

// The elements whose terms are added lane by lane. Of uneven ones few go together, and the lanes are added in double
// from the first.
template <class F, class S>
inline constexpr int64_t kRowBlock = F::uneven ? kBlock<S> / 4 : kBlock<S>;

// The sums of as many rows as a vector has elements, in two words.
template <class T>
[[gnu::noinline]] auto words_of_rows(const double* value, const double* rest) {
  T high[Memory<T>::size], low[Memory<T>::size];
  for (int64_t i = 0; i < Memory<T>::size; ++i) {
    const Pair<T> words = words_of<T>(value[i], rest[i]);
    high[i] = words.hi;
    low[i] = words.lo;
  }
  return Pair<typename Memory<T>::V>{Memory<T>::load(high), Memory<T>::load(low)};
}

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
  static void run(AlongRow* rows, int count) {
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
      for (int s = 0; s < F::sums; ++s) words.value[s] = words_of_rows<T>(value[s], rest[s]);
      all.take(words);
      spread(all, rows, count);
      each([](int, AlongRow& row) { row.template write<F::keeps_terms>(); });
    }
  }

 private:
  struct Sums {
    double value[F::sums] = {}, rest[F::sums] = {};
  };

  void run() {
    if constexpr (F::has_max) {
      if (length_ > kSegment) return run_by_segments();
      one_.take_largest(largest(0, length_));
    }
    take(sums<F::keeps_terms>(0, length_));
    write<F::keeps_terms>();
  }
  // A long row is read for its largest element and its sum together, piece by piece.
  [[gnu::noinline]] void run_by_segments() {
    Total<T, F::sums> total;
    for (int64_t begin = 0; begin < length_; begin += kSegment) {
      const int64_t end = std::min(begin + kSegment, length_);
      const T m = largest(begin, end);
      one_.take_largest(total.bounded(m));
      const Sums segment = sums<false>(begin, end);
      Total<T, F::sums> part{m};
      for (int s = 0; s < F::sums; ++s) part.sums.value[s] = segment.value[s] + segment.rest[s];
      total.add(part);
    }
    one_.take_largest(total.largest);
    Sums all;
    for (int s = 0; s < F::sums; ++s) all.value[s] = total.sums.value[s];
    take(all);
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
  template <bool kWhole, class G, std::size_t... I>
  ACT_FN auto apply(G g, int64_t i, int part, std::index_sequence<I...>) const {
    return g(load<kWhole>(I, i, part)...);
  }
  template <bool kWhole, class G>
  ACT_FN auto apply(G g, int64_t i, int part) const {
    return apply<kWhole>(g, i, part, input_indices<F>);
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
  Sums sums(int64_t begin, int64_t end) const {
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

// The most vectors of rows side by side that go together: memory likes to be read in longer pieces than one vector.
inline constexpr int kVectors = 4;

// Rows side by side: their first elements are contiguous. They go by vectors of Memory<S>::size rows.
template <class F, class S>
class AcrossRows {
  using V = typename Memory<S>::V;
  using T = Wide<S>;
  static constexpr int64_t kSize = Memory<S>::size;

 public:
  using Vector = V;
  static constexpr int64_t kShort = 256;
  // With a maximum, the input is kept, in order, for the next passes: so many vectors of it. The others have one more
  // pass, which finds what it reads in a cache.
  static constexpr int64_t kKept = F::has_max ? (int64_t{1} << 18) / sizeof(V) : 0;
  static_assert(!F::has_max || F::inputs == 1);
  // Of how many elements, in vectors of rows, the inputs stay at hand between two passes.
  static constexpr int64_t kCached = F::has_max ? kKept : (int64_t{1} << 19) / (kSize * sizeof(S) * F::inputs);

  // steps: from element to element, in bytes. kept: null where a vector of rows is longer than kKept; not used without
  // a maximum.
  AcrossRows(const int64_t* steps, int64_t length, double sign, V* kept) : sign_(sign), length_(length), kept_(kept) {
    for (int k = 0; k < F::outputs; ++k) out_steps_[k] = steps[k];
    for (int k = 0; k < F::inputs; ++k) in_steps_[k] = steps[F::outputs + k];
  }

  // At least Memory<S>::size rows. The last ones are part of a vector that others have been in already.
  void run(char* const* operands, int64_t rows) {
    const int64_t most = std::clamp<int64_t>(kCached / length_, 1, kVectors);
    for (int64_t next = 0; next < rows;) {
      const int64_t first = std::min(next, rows - kSize);
      vectors_ = static_cast<int>(std::clamp<int64_t>((rows - next) / kSize, 1, most));
      for (int k = 0; k < F::outputs; ++k) out_[k] = operands[k] + first * sizeof(S);
      for (int k = 0; k < F::inputs; ++k) in_[k] = operands[F::outputs + k] + first * sizeof(S);
      for (int v = 0; v < vectors_; ++v) f_[v] = F(sign_);
      run();
      next = first + vectors_ * kSize;
    }
  }

 private:
  // For each row.
  struct Sums {
    double value[F::sums][kVectors][kSize] = {}, rest[F::sums][kVectors][kSize] = {};
    ACT_FN Results<Pair<V>, F::sums> words(int v) const {
      Results<Pair<V>, F::sums> all;
      for (int s = 0; s < F::sums; ++s) all.value[s] = words_of_rows<T>(value[s][v], rest[s][v]);
      return all;
    }
  };
  using Lanes = T[kVectors][kSize];

  void run() {
    if constexpr (!F::has_max) {
      run_at_once<false>();
    } else if (length_ > kSegment) {
      run_by_segments();
    } else {
      kept_ == nullptr ? run_at_once<false>() : run_at_once<true>();
    }
  }
  template <bool kKeep>
  [[gnu::noinline]] void run_at_once() {
    if constexpr (F::has_max) {
      Lanes m;
      largest<kKeep>(0, length_, m);
      take_largest(m);
    }
    take(sums<kKeep>(0, length_));
    write<kKeep>();
  }
  // As AlongRow's.
  [[gnu::noinline]] void run_by_segments() {
    Lanes m;
    Total<T, F::sums> totals[kVectors][kSize];
    for (int64_t begin = 0; begin < length_; begin += kSegment) {
      const int64_t end = std::min(begin + kSegment, length_);
      largest<false>(begin, end, m);
      Lanes bounded;
      for_each_row([&](int v, int64_t i) { bounded[v][i] = Total<T, F::sums>::bounded(m[v][i]); });
      take_largest(bounded);
      const Sums segment = sums<false>(begin, end);
      for_each_row([&](int v, int64_t i) {
        Total<T, F::sums> part{m[v][i]};
        for (int s = 0; s < F::sums; ++s) part.sums.value[s] = segment.value[s][v][i] + segment.rest[s][v][i];
        totals[v][i].add(part);
      });
    }
    Sums sum;
    for_each_row([&](int v, int64_t i) {
      m[v][i] = totals[v][i].largest;
      for (int s = 0; s < F::sums; ++s) sum.value[s][v][i] = totals[v][i].sums.value[s];
    });
    take_largest(m);
    take(sum);
    write<false>();
  }
  void take_largest(const Lanes& m) {
    for (int v = 0; v < vectors_; ++v) f_[v].take_largest(Memory<T>::load(m[v]));
  }

  template <class G>
  void for_each_row(G g) const {
    for (int v = 0; v < vectors_; ++v) {
      for (int64_t i = 0; i < kSize; ++i) g(v, i);
    }
  }
  void take(const Sums& sum) {
    for (int v = 0; v < vectors_; ++v) f_[v].take(sum.words(v));
  }

  V& kept(int64_t i, int v) const { return kept_[i * vectors_ + v]; }

  ACT_FN V load(int k, int64_t i, int v) const {
    return Memory<S>::load(reinterpret_cast<const S*>(in_[k] + i * in_steps_[k]) + v * kSize);
  }
  // What will be written, of rows whose outputs a cache can hold until then. Backward, which has little to compute, is
  // slower with it, and with what follows.
  ACT_FN void fetch_outputs(int64_t i, int v) const {
    for (int k = 0; k < F::outputs; ++k) {
      const char* const here = out_[k] + i * out_steps_[k] + v * kSize * sizeof(S);
      for (size_t line = 0; line < kSize * sizeof(S); line += 64) __builtin_prefetch(here + line, 1);
    }
  }
  // What the next rows will read at this place. They begin where these end, but the processor, which sees many short
  // pieces of memory, does not expect that.
  ACT_FN void fetch_next(int64_t i, int v) const {
    const char* const here = in_[0] + i * in_steps_[0] + (vectors_ + v) * kSize * sizeof(S);
    for (size_t line = 0; line < kSize * sizeof(S); line += 64) __builtin_prefetch(here + line, 0, 2);
  }
  template <bool kKept>
  ACT_FN V input(int k, int64_t i, int v) const {
    if constexpr (kKept) return kept(i, v);
    return load(k, i, v);
  }
  template <bool kKept, class G, std::size_t... I>
  ACT_FN auto apply(G g, int64_t i, int v, std::index_sequence<I...>) const {
    return g(input<kKept>(I, i, v)...);
  }

  template <bool kKeep>
  [[gnu::noinline]] void largest(int64_t begin, int64_t end, Lanes& lanes) const {
    const F f(sign_);
    V m[kVectors];
    for (V& each : m) each = V(-std::numeric_limits<double>::infinity());
    for (int64_t i = begin; i < end; ++i) {
      for (int v = 0; v < vectors_; ++v) {
        const V x = load(0, i, v);
        fetch_next(i, v);
        if constexpr (kKeep) kept(i, v) = x;
        m[v] = at_least(f.argument(x), m[v]);
      }
    }
    for (int v = 0; v < vectors_; ++v) Memory<T>::store(m[v], lanes[v]);
  }

  // Lanes are added as Group::sum adds its own: all that one of the last kGroups consists of, then these in double.
  static constexpr int kTogether = kNeighboursFirst<S> ? 2 : 1;
  static constexpr int kGroups = std::min(8, kLanes<S> / kTogether), kParts = kLanes<S> / kGroups;
  // Uneven terms in double from the first addition of lanes on.
  using LaneSum = std::conditional_t<F::uneven, InDouble<V>, V>;

  // Where terms are kept, they take the inputs' place.
  template <bool kKept>
  [[gnu::noinline]] Sums sums(int64_t begin, int64_t end) const {
    constexpr bool counts = F::sums > F::rounded;
    Sums total;
    for (int64_t block = begin; block < end; block += kRowBlock<F, S>) {
      V count[kVectors];  // exact in any order
      std::fill_n(count, counts ? kVectors : 0, V(0));
      const int64_t stop = std::min(block + kRowBlock<F, S>, end);
      const int used = static_cast<int>(std::min<int64_t>((stop - block + kTogether - 1) / kTogether, kGroups));
      LaneSum group[F::rounded][kVectors][kGroups];
      for (int g = 0; g < used; ++g) {
        for (int v = 0; v < vectors_; ++v) {
          LaneSum part[F::rounded][kParts];
          for (int p = 0; p < kParts; ++p) {
            const int64_t lane = block + g * kTogether + p % kTogether + p / kTogether * (kGroups * kTogether);
            const Results<V, F::rounded> sum = lane_sum<kKept>(lane, stop, v, count[v]);
            for (int s = 0; s < F::rounded; ++s) part[s][p] = LaneSum(sum.value[s]);
          }
          for (int s = 0; s < F::rounded; ++s) {
            int width = kParts;
            if (kNeighboursFirst<S>) width = add_neighbours(part[s], width);
            for (width /= 2; width > 0; width /= 2) {
              for (int p = 0; p < width; ++p) part[s][p] = part[s][p] + part[s][p + width];
            }
            group[s][v][g] = part[s][0];
          }
        }
      }
      for (int v = 0; v < vectors_; ++v) {
        for (int s = 0; s < F::rounded; ++s) {
          accumulate(total.value[s][v], total.rest[s][v], sum_of_groups<1>(group[s][v], 0, used));
        }
        if constexpr (counts) {
          T row[kSize];
          Memory<T>::store(count[v], row);
          for (int64_t i = 0; i < kSize; ++i) total.value[F::rounded][v][i] += row[i];
        }
      }
    }
    return total;
  }
  // Of elements i, i + kLanes... before `stop`.
  template <bool kKept>
  ACT_FN Results<V, F::rounded> lane_sum(int64_t i, int64_t stop, int v, V& count) const {
    Results<V, F::rounded> sum;
    for (V& each : sum.value) each = V(0);  // -0 alone gives +0
    for (; i < stop; i += kLanes<S>) {
      const auto each = apply<kKept>([&](auto... x) { return f_[v].terms(x...); }, i, v, input_indices<F>);
      for (int s = 0; s < F::rounded; ++s) sum.value[s] = sum.value[s] + each.value[s];
      if constexpr (F::sums > F::rounded) count = count + each.value[F::rounded];
      if constexpr (kKept && F::keeps_terms) kept(i, v) = each.value[0];
      if constexpr (F::has_max) {
        if (length_ <= kShort) fetch_outputs(i, v);
      }
    }
    return sum;
  }
  // Of groups g, g + kStep... before `used`; the others have no elements.
  template <int kStep>
  ACT_FN static InDouble<V> sum_of_groups(const LaneSum* group, int g, int used) {
    if constexpr (kStep == kGroups) {
      return InDouble<V>(group[g]);
    } else {
      const auto sum = sum_of_groups<2 * kStep>(group, g, used);
      return g + kStep < used ? sum + sum_of_groups<2 * kStep>(group, g + kStep, used) : sum;
    }
  }

  template <bool kKept>
  [[gnu::noinline]] void write() const {
    for (int64_t i = 0; i < length_; ++i) {
      for (int v = 0; v < vectors_; ++v) {
        S* out[F::outputs];
        for (int k = 0; k < F::outputs; ++k) {
          out[k] = reinterpret_cast<S*>(out_[k] + i * out_steps_[k]) + v * kSize;
        }
        if constexpr (kKept && F::keeps_terms) {
          Memory<S>::store(f_[v].from_term(kept(i, v)), out[0]);
        } else {
          store<S>(apply<kKept>([&](auto... x) { return f_[v].results(x...); }, i, v, input_indices<F>), out, 0);
        }
      }
    }
  }

  double sign_;
  int64_t length_;
  V* kept_;
  int vectors_ = 1;
  F f_[kVectors];
  char *out_[F::outputs], *in_[F::inputs];
  int64_t out_steps_[F::outputs], in_steps_[F::inputs];
};

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
    typename Across::Vector kept[kShort * kVectors];
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
