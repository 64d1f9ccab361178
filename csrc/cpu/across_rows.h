// Rows that lie side by side: their elements of one place are contiguous.
#pragma once

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

  ACT_FN V& kept_at(int64_t i, int v) const { return kept[i * vectors + v]; }
  ACT_FN S* output(int k, int64_t i, int v) const {
    return reinterpret_cast<S*>(out[k] + i * out_steps[k]) + v * kSize;
  }
  template <bool kKept>
  ACT_FN V input(int k, int64_t i, int v) const {
    if constexpr (kKept) return kept_at(i, v);
    return Memory<S>::load(reinterpret_cast<const S*>(in[k] + i * in_steps[k]) + v * kSize);
  }
  // g of the inputs.
  template <bool kKept, class G, std::size_t... I>
  ACT_FN auto apply(G g, int64_t i, int v, std::index_sequence<I...>) const {
    return g(input<kKept>(I, i, v)...);
  }
  template <bool kKept, class G>
  ACT_FN auto apply(G g, int64_t i, int v) const {
    return apply<kKept>(g, i, v, input_indices<F>);
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
  static_assert(!F::has_max || F::inputs == 1);
  // Of how many elements, in vectors of rows, the inputs stay at hand between two passes.
  static constexpr int64_t kCached = F::has_max ? kKept : (int64_t{1} << 19) / (kSize * sizeof(S) * F::inputs);

  // steps: from element to element, in bytes. kept: null where a vector of rows is longer than kKept; not used without
  // a maximum.
  AcrossRows(const int64_t* steps, int64_t length, double sign, V* kept) : sign_(sign) {
    std::copy_n(steps, F::outputs, place_.out_steps);
    std::copy_n(steps + F::outputs, F::inputs, place_.in_steps);
    place_.length = length;
    place_.kept = kept;
  }

  // At least Memory<S>::size rows. The last ones are part of a vector that others have been in already.
  void run(char* const* operands, int64_t rows) {
    const int64_t most = std::clamp<int64_t>(kCached / place_.length, 1, kVectors);
    for (int64_t next = 0; next < rows;) {
      const int64_t first = std::min(next, rows - kSize);
      place_.vectors = static_cast<int>(std::clamp<int64_t>((rows - next) / kSize, 1, most));
      for (int k = 0; k < F::outputs; ++k) place_.out[k] = operands[k] + first * sizeof(S);
      for (int k = 0; k < F::inputs; ++k) place_.in[k] = operands[F::outputs + k] + first * sizeof(S);
      for (int v = 0; v < place_.vectors; ++v) f_[v] = F(sign_);
      run();
      next = first + place_.vectors * kSize;
    }
  }

 private:
  // For each row.
  struct Sums {
    double value[F::sums][kVectors][kSize], rest[F::sums][kVectors][kSize];
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
    } else if (place_.length > kSegment) {
      run_by_segments();
    } else {
      place_.kept == nullptr ? run_at_once<false>() : run_at_once<true>();
    }
  }
  template <bool kKeep>
  [[gnu::noinline]] void run_at_once() {
    if constexpr (F::has_max) {
      Lanes m;
      largest<kKeep>(0, place_.length, m);
      take_largest(m);
    }
    take(sums<kKeep>(0, place_.length));
    write<kKeep>();
  }
  // As AlongRow's.
  [[gnu::noinline]] void run_by_segments() {
    Lanes m;
    Total<T, F::sums> totals[kVectors][kSize];
    for (int64_t begin = 0; begin < place_.length; begin += kSegment) {
      const int64_t end = std::min(begin + kSegment, place_.length);
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
      for (int s = 0; s < F::sums; ++s) sum.value[s][v][i] = totals[v][i].sums.value[s], sum.rest[s][v][i] = 0;
    });
    take_largest(m);
    take(sum);
    write<false>();
  }
  void take_largest(const Lanes& m) {
    for (int v = 0; v < place_.vectors; ++v) f_[v].take_largest(Memory<T>::load(m[v]));
  }

  template <class G>
  void for_each_row(G g) const {
    for (int v = 0; v < place_.vectors; ++v) {
      for (int64_t i = 0; i < kSize; ++i) g(v, i);
    }
  }
  void take(const Sums& sum) {
    for (int v = 0; v < place_.vectors; ++v) f_[v].take(sum.words(v));
  }

  template <bool kKeep>
  [[gnu::noinline]] void largest(int64_t begin, int64_t end, Lanes& lanes) const {
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
    for (int v = 0; v < at.vectors; ++v) Memory<T>::store(m[v], lanes[v]);
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
    const Place at = place_;
    Sums total;
    for (int64_t block = begin; block < end; block += kRowBlock<F, S>) {
      V count[kVectors];  // exact in any order
      std::fill_n(count, counts ? kVectors : 0, V(0));
      const int64_t stop = std::min(block + kRowBlock<F, S>, end);
      const int used = static_cast<int>(std::min<int64_t>((stop - block + kTogether - 1) / kTogether, kGroups));
      LaneSum group[F::rounded][kVectors][kGroups];
      for (int g = 0; g < used; ++g) {
        for (int v = 0; v < at.vectors; ++v) {
          LaneSum part[F::rounded][kParts];
          for (int p = 0; p < kParts; ++p) {
            const int64_t lane = block + g * kTogether + p % kTogether + p / kTogether * (kGroups * kTogether);
            const Results<V, F::rounded> sum = lane_sum<kKept>(at, lane, stop, v, count[v]);
            for (int s = 0; s < F::rounded; ++s) part[s][p] = LaneSum(sum.value[s]);
          }
          for (int s = 0; s < F::rounded; ++s) {
            int width = kParts;
            if (kNeighboursFirst<S>) width = add_neighbours(part[s], width);
            by_halves(part[s], width);
            group[s][v][g] = part[s][0];
          }
        }
      }
      for (int v = 0; v < at.vectors; ++v) {
        for (int s = 0; s < F::rounded; ++s) {
          const auto sum = sum_of_groups<1>(group[s][v], 0, used);
          if (block == begin) {
            begin_with(total.value[s][v], total.rest[s][v], sum);
          } else {
            accumulate(total.value[s][v], total.rest[s][v], sum);
          }
        }
        if constexpr (counts) {
          T row[kSize];
          Memory<T>::store(count[v], row);
          for (int64_t i = 0; i < kSize; ++i) {
            double& so_far = total.value[F::rounded][v][i];
            so_far = (block == begin ? 0 : so_far) + row[i];
            total.rest[F::rounded][v][i] = 0;
          }
        }
      }
    }
    return total;
  }
  // Of elements i, i + kLanes... before `stop`.
  template <bool kKept>
  ACT_FN Results<V, F::rounded> lane_sum(const Place& at, int64_t i, int64_t stop, int v, V& count) const {
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
    const Place at = place_;
    for (int64_t i = 0; i < at.length; ++i) {
      for (int v = 0; v < at.vectors; ++v) {
        if constexpr (kKept && F::keeps_terms) {
          Memory<S>::store(f_[v].from_term(at.kept_at(i, v)), at.output(0, i, v));
        } else {
          S* out[F::outputs];
          for (int k = 0; k < F::outputs; ++k) out[k] = at.output(k, i, v);
          store<S>(at.template apply<kKept>([&](auto... x) { return f_[v].results(x...); }, i, v), out, 0);
        }
      }
    }
  }

  double sign_;
  Place place_;
  F f_[kVectors];
};

}  // namespace act_ext::CPU_CAPABILITY
