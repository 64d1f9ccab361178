// Rows that lie side by side: their elements of one place are contiguous.
#pragma once

#include <memory>

#include "row_sums.h"

namespace act_ext::CPU_CAPABILITY {

// Where rows side by side have their elements. Loops go by a copy of their own, which the compiler, unlike what `this`
// points at, can keep in registers while results are written.
template <class F, class S>
struct SideBySide {
  using V = typename Memory<S>::V;
  static constexpr int64_t kSize = Memory<S>::size;

  char *out[F::outputs], *in[F::inputs];
  int64_t out_steps[F::outputs], in_steps[F::inputs];  // from element to element, in bytes
  int64_t length;
  V* kept;
  int vectors = 1;
  int64_t last = 0;  // the first row of the last vector

  // Of the last vector, part may be what the one before has too.
  ACT_FN int64_t row(int v) const { return std::min(v * kSize, last); }
  ACT_FN V& kept_at(int64_t i, int v) const { return kept[i * vectors + v]; }
  ACT_FN S* output(int k, int64_t i, int v) const { return reinterpret_cast<S*>(out[k] + i * out_steps[k]) + row(v); }
  template <bool kKept>
  ACT_FN V input(int k, int64_t i, int v) const {
    if constexpr (kKept) return kept_at(i, v);
    return Memory<S>::load(reinterpret_cast<const S*>(in[k] + i * in_steps[k]) + row(v));
  }
  template <bool kKept, class G>
  ACT_FN auto apply(G g, int64_t i, int v) const {
    return apply_to_inputs<F>(g, [&](int k) { return input<kKept>(k, i, v); });
  }

  // What will be written, of rows whose outputs a cache can hold until then. Backward, which has little to compute, is
  // slower with it, and with what follows.
  ACT_FN void fetch_outputs(int64_t i, int v) const {
    for (int k = 0; k < F::outputs; ++k) {
      const char* const here = reinterpret_cast<const char*>(output(k, i, v));
      for (size_t line = 0; line < kSize * sizeof(S); line += 64) __builtin_prefetch(here + line, 1);
    }
  }
  // What the next rows will read at this place. They begin where these end, but the processor, which sees many short
  // pieces of memory, does not expect that.
  ACT_FN void fetch_next(int64_t i, int v) const {
    const char* const here = in[0] + i * in_steps[0] + (vectors + v) * kSize * sizeof(S);
    for (size_t line = 0; line < kSize * sizeof(S); line += 64) __builtin_prefetch(here + line, 0, 2);
  }
};

// Rows side by side: their first elements are contiguous. They go by vectors of Memory<S>::size rows.
template <class F, class S>
class AcrossRows {
  using V = typename Memory<S>::V;
  using T = Wide<S>;
  using Place = SideBySide<F, S>;
  static constexpr int64_t kSize = Memory<S>::size;

 public:
  using Vector = V;
  static constexpr int64_t kShort = 256;
  // The most vectors of rows side by side that go together: memory likes to be read in long pieces. With a maximum what
  // is kept and what is written shall stay in a cache meanwhile.
  static constexpr int kVectors = F::has_max ? 4 : 4096 / sizeof(V);
  // With a maximum, the input is kept, in order, for the next passes: so many vectors of it. The others have one more
  // pass, which finds what it reads in a cache.
  static constexpr int64_t kKept = F::has_max ? (int64_t{1} << 18) / sizeof(V) : 0;
  static_assert(!F::has_max || (F::inputs == 1 && F::rounded == 1));
  // Of how many elements, in vectors of rows, the inputs stay at hand between two passes.
  static constexpr int64_t kCached = F::has_max ? kKept : (int64_t{1} << 19) / (kSize * sizeof(S) * F::inputs);

  // Null where a vector of rows is longer than kKept, and without a maximum.
  static std::unique_ptr<V[]> new_kept(int64_t length) {
    return std::unique_ptr<V[]>(length <= kKept ? new V[std::min(length * kVectors, kKept)] : nullptr);
  }
  // steps: from element to element, in bytes.
  AcrossRows(const int64_t* steps, int64_t length, double sign, V* kept) : sign_(sign) {
    std::copy_n(steps, F::outputs, place_.out_steps);
    std::copy_n(steps + F::outputs, F::inputs, place_.in_steps);
    place_.length = length;
    place_.kept = kept;
  }

  // At least Memory<S>::size rows. The last may go in a vector with some that have been computed already.
  [[gnu::noinline]] void run(char* const* operands, int64_t rows) {
    const int64_t most = std::clamp<int64_t>(kCached / place_.length, 1, kVectors);
    for (int64_t next = 0; next < rows; next += most * kSize) {
      const int64_t first = std::min(next, rows - kSize), left = rows - first;
      place_.vectors = static_cast<int>(std::min((left + kSize - 1) / kSize, most));
      place_.last = std::min(left, place_.vectors * kSize) - kSize;
      for (int k = 0; k < F::outputs; ++k) place_.out[k] = operands[k] + first * sizeof(S);
      for (int k = 0; k < F::inputs; ++k) place_.in[k] = operands[F::outputs + k] + first * sizeof(S);
      for (int v = 0; v < place_.vectors; ++v) f_[v] = F(sign_);
      run();
    }
  }

  // What rows beginning there will read, if that is little: the order in which it is read then is none that the
  // processor expects.
  void fetch(char* const* operands, int64_t rows) const {
    const int64_t bytes = rows * sizeof(S);
    if (place_.length * bytes > 4096) return;
    for (int k = 0; k < F::inputs; ++k) {
      for (int64_t i = 0; i < place_.length; ++i) {
        const char* const row = operands[F::outputs + k] + i * place_.in_steps[k];
        for (int64_t line = 0; line < bytes; line += 64) __builtin_prefetch(row + line);
      }
    }
  }

 private:
  using Double = InDouble<V>;
  using Words = Results<Pair<V>, F::sums>;
  // For each row.
  struct Sums {
    Double value[F::sums][kVectors], rest[F::sums][kVectors];
    ACT_FN Words words(int v) const {
      Words all;
      for (int s = 0; s < F::sums; ++s) all.value[s] = words_of(value[s][v], rest[s][v]);
      return all;
    }
  };
  static constexpr int64_t kRows = kVectors * kSize;  // at most

  void run() {
    if constexpr (!F::has_max) {
      run_at_once<false>();
    } else if (place_.length > kSegment) {
      run_by_segments();
    } else {
      place_.kept == nullptr ? run_at_once<false>() : run_at_once<true>();
    }
  }
  template <bool kKeep>
  [[gnu::noinline]] void run_at_once() {
    if constexpr (F::has_max) {
      T m[kRows];
      largest<kKeep>(0, place_.length, m);
      take_largest(m);
    }
    if constexpr (kKeep == F::has_max) {  // what is short is kept
      if (place_.length <= kLanes<S>) {
        take_short_rows();
        return write<kKeep>();
      }
    }
    take(sums<kKeep>(0, place_.length));
    write<kKeep>();
  }
  [[gnu::noinline]] void run_by_segments() {
    by_segments<T, F::sums, kRows>(
        place_.length, place_.vectors * kSize, [&](int64_t begin, int64_t end, T* m) { largest<false>(begin, end, m); },
        [&](const T* m) { take_largest(m); },
        [&](int64_t begin, int64_t end, Results<double, F::sums>* sum) {
          const Sums all = sums<false>(begin, end);
          for_each_vector_and_sum([&](int v, int s) {
            double rows[kSize];
            (all.value[s][v] + all.rest[s][v]).store(rows);
            for (int64_t i = 0; i < kSize; ++i) sum[v * kSize + i].value[s] = rows[i];
          });
        },
        [&](const Results<double, F::sums>* sum) {
          Sums all;
          for_each_vector_and_sum([&](int v, int s) {
            double rows[kSize];
            for (int64_t i = 0; i < kSize; ++i) rows[i] = sum[v * kSize + i].value[s];
            all.value[s][v] = Double::load(rows);
            all.rest[s][v] = Double(V(0));
          });
          take(all);
        });
    write<false>();
  }
  template <class G>
  void for_each_vector_and_sum(G g) const {
    for (int v = 0; v < place_.vectors; ++v) {
      for (int s = 0; s < F::sums; ++s) g(v, s);
    }
  }
  void take_largest(const T* m) {
    for (int v = 0; v < place_.vectors; ++v) f_[v].take_largest(Memory<T>::load(m + v * kSize));
  }

  void take(const Sums& sum) {
    for (int v = 0; v < place_.vectors; ++v) f_[v].take(sum.words(v));
  }

  template <bool kKeep>
  [[gnu::noinline]] void largest(int64_t begin, int64_t end, T* rows) const {
    const Place at = place_;
    const F f(sign_);
    V m[kVectors];
    for (V& each : m) each = V(-inf);
    for (int64_t i = begin; i < end; ++i) {
      for (int v = 0; v < at.vectors; ++v) {
        const V x = at.template input<false>(0, i, v);
        at.fetch_next(i, v);
        if constexpr (kKeep) at.kept_at(i, v) = x;
        m[v] = at_least(f.argument(x), m[v]);
      }
    }
    for (int v = 0; v < at.vectors; ++v) Memory<T>::store(m[v], rows + v * kSize);
  }

  // Lanes are added as Group::sum adds its own: all that one of the last kGroups consists of, then these in double.
  static constexpr int kNeighbouring = kNeighboursFirst<S> ? 2 : 1;
  static constexpr int kGroups = std::min(8, kLanes<S> / kNeighbouring), kParts = kLanes<S> / (kNeighbouring * kGroups);
  // Uneven terms in double from the first addition of lanes on.
  using LaneSum = std::conditional_t<F::uneven, Double, V>;

  // The sum of those of the first `count` lanes that group g consists of.
  template <class L>
  ACT_FN static auto sum_of_group(int g, int64_t count, L lane) {
    constexpr int kStep = kGroups * kNeighbouring;
    const int first = g * kNeighbouring;
    return sum_by_halves<kParts>((count - first + kStep - 1) / kStep, [&](auto part) {
      const int i = first + part * kStep;
      auto sum = lane(i);
      if (kNeighbouring > 1 && i + 1 < count) sum = sum + lane(i + 1);
      return sum;
    });
  }
  // The sum of groups kFirst, kFirst + kStep... Those without lanes are left out.
  template <int kFirst, int kStep, class L>
  ACT_FN static auto sum_of_groups(int64_t count, L lane) {
    return sum_by_halves<kGroups, kFirst, kStep>((count + kNeighbouring - 1) / kNeighbouring,
                                                 [&](auto g) { return in_double(sum_of_group(g, count, lane)); });
  }
  template <class N, int kCount>
  ACT_FN static Results<Double, kCount> in_double(const Results<N, kCount>& sums) {
    Results<Double, kCount> all;
    for (int s = 0; s < kCount; ++s) all.value[s] = Double(sums.value[s]);
    return all;
  }

  // The sums of rows whose elements have a lane each.
  void take_short_rows() {
    if constexpr (kQuickTerms) {
      // Half of the groups are read in long pieces of memory and added in registers.
      RoundedSums half[kVectors];
      add_groups<0>([&](int v, const RoundedSums& even) { half[v] = even; });
      if (place_.length <= kNeighbouring) {
        for (int v = 0; v < place_.vectors; ++v) take_short_sums(f_[v], half[v]);
      } else {
        add_groups<1>([&](int v, const RoundedSums& odd) { take_short_sums(f_[v], half[v] + odd); });
      }
    } else {
      for (int v = 0; v < place_.vectors; ++v) take_short_vector(v);
    }
  }
  // Whether what is computed of an element is little beside reading it. Else the elements of one vector of rows come
  // one after the other.
  static constexpr bool kQuickTerms = !F::has_max && F::sums == 1;
  using RoundedSums = Results<Double, F::rounded>;
  template <int kParity, class G>
  ACT_FN void add_groups(G take) const {
    const Place at = place_;
    const F f(sign_);
    for (int v = 0; v < at.vectors; ++v) {
      take(v, sum_of_groups<kParity, 2>(at.length, [&](int i) {
             return at.template apply<false>([&](auto... x) { return f.terms(x...); }, i, v);
           }));
    }
  }
  ACT_FN static void take_short_sums(F& f, const RoundedSums& sums, V count = V(0)) {
    Words words;
    for (int s = 0; s < F::rounded; ++s) {
      // -0 alone gives 0, as it does where lanes begin with that.
      words.value[s] = words_of(sums.value[s] + Double(V(0)), Double(V(0)));
    }
    if constexpr (F::sums > F::rounded) words.value[F::rounded] = {count, V(0)};
    f.take(words);
  }
  ACT_FN void take_short_vector(int v) {
    const Place at = place_;
    const F f = f_[v];
    V count(0);
    Results<LaneSum, F::rounded> lane[kLanes<S>];
    for (int64_t i = 0; i < at.length; ++i) {
      const auto each = at.template apply<F::has_max>([&](auto... x) { return f.terms(x...); }, i, v);
      for (int s = 0; s < F::rounded; ++s) lane[i].value[s] = LaneSum(each.value[s]);
      if constexpr (F::sums > F::rounded) count = count + each.value[F::rounded];
      if constexpr (F::keeps_terms) at.kept_at(i, v) = each.value[0];
      if constexpr (F::has_max) at.fetch_outputs(i, v);
    }
    take_short_sums(f_[v], sum_of_groups<0, 1>(at.length, [&](int i) { return lane[i]; }), count);
  }

  // Where terms are kept, they take the inputs' place.
  template <bool kKept>
  [[gnu::noinline]] Sums sums(int64_t begin, int64_t end) const {
    constexpr bool kCounts = F::sums > F::rounded;
    const Place at = place_;
    Sums total;
    for (int64_t block = begin; block < end; block += kRowBlock<F, S>) {
      V counts[kVectors];  // exact in any order
      std::fill_n(counts, kCounts ? kVectors : 0, V(0));
      const int64_t stop = std::min(block + kRowBlock<F, S>, end);
      const int64_t count = stop - block;
      const int used = static_cast<int>(std::min<int64_t>((count + kNeighbouring - 1) / kNeighbouring, kGroups));
      Results<LaneSum, F::rounded> group[kVectors][kGroups];
      for (int g = 0; g < used; ++g) {
        for (int v = 0; v < at.vectors; ++v) {
          group[v][g] =
              sum_of_group(g, count, [&](int i) { return lane_sum<kKept>(at, block + i, stop, v, counts[v]); });
        }
      }
      for (int v = 0; v < at.vectors; ++v) {
        const RoundedSums all = sum_by_halves<kGroups>(used, [&](int g) { return in_double(group[v][g]); });
        for (int s = 0; s < F::rounded; ++s) {
          const Double& sum = all.value[s];
          if (block == begin) {
            total.value[s][v] = sum;
            total.rest[s][v] = Double(V(0));
          } else {
            accumulate(total.value[s][v], total.rest[s][v], sum);
          }
        }
        if constexpr (kCounts) {
          Double& so_far = total.value[F::rounded][v];
          so_far = block == begin ? Double(counts[v]) : so_far + Double(counts[v]);
          total.rest[F::rounded][v] = Double(V(0));
        }
      }
    }
    return total;
  }
  // Of elements i, i + kLanes... before `stop`.
  template <bool kKept>
  ACT_FN Results<LaneSum, F::rounded> lane_sum(const Place& at, int64_t i, int64_t stop, int v, V& count) const {
    Results<V, F::rounded> sum;
    for (V& each : sum.value) each = V(0);  // -0 alone gives +0
    for (; i < stop; i += kLanes<S>) {
      const auto each = at.template apply<kKept>([&](auto... x) { return f_[v].terms(x...); }, i, v);
      for (int s = 0; s < F::rounded; ++s) sum.value[s] = sum.value[s] + each.value[s];
      if constexpr (F::sums > F::rounded) count = count + each.value[F::rounded];
      if constexpr (kKept && F::keeps_terms) at.kept_at(i, v) = each.value[0];
      if constexpr (F::has_max) {
        if (at.length <= kShort) at.fetch_outputs(i, v);
      }
    }
    Results<LaneSum, F::rounded> all;
    for (int s = 0; s < F::rounded; ++s) all.value[s] = LaneSum(sum.value[s]);
    return all;
  }
  template <bool kKept>
  [[gnu::noinline]] void write() const {
    const Place at = place_;
    const F* const f = f_;
    for (int64_t i = 0; i < at.length; ++i) {
      for (int v = 0; v < at.vectors; ++v) {
        if constexpr (kKept && F::keeps_terms) {
          Memory<S>::store(f[v].from_term(at.kept_at(i, v)), at.output(0, i, v));
        } else {
          S* out[F::outputs];
          for (int k = 0; k < F::outputs; ++k) out[k] = at.output(k, i, v);
          store<S>(at.template apply<kKept>([&](auto... x) { return f[v].results(x...); }, i, v), out, 0);
        }
      }
    }
  }

  double sign_;
  Place place_;
  F f_[kVectors];
};

}  // namespace act_ext::CPU_CAPABILITY
