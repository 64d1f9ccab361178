// How a row along memory goes by vectors, whether rows go one by one (along_row.h) or some together (short_rows.h).
#pragma once

#include "row_sums.h"

namespace act_ext::CPU_CAPABILITY {

// Whether the end of a row, along it, costs little.
#if defined(CPU_CAPABILITY_AVX512)
inline constexpr bool kQuickEnds = true;
#else
inline constexpr bool kQuickEnds = false;
#endif

// Where a row's operands begin, and what is kept of its terms.
template <class F, class S>
struct RowPlace {
  S* out[F::outputs];
  const S* in[F::inputs];
  Wide<S>* terms;

  RowPlace() = default;
  ACT_FN RowPlace(char* const* operands, Wide<S>* kept) : terms(kept) {
    for (int k = 0; k < F::outputs; ++k) out[k] = reinterpret_cast<S*>(operands[k]);
    for (int k = 0; k < F::inputs; ++k) in[k] = reinterpret_cast<const S*>(operands[F::outputs + k]);
  }
};

// Rows of one length. End: what loads and stores the end of one.
template <class F, class S, class End = FirstLanes<S>>
class RowVectors {
  using V = typename Memory<S>::V;
  using Place = RowPlace<F, S>;

 public:
  static constexpr int64_t kSize = Memory<S>::size, kGroup = kLanes<S>;
  static constexpr int kVecs = Group<S>::size;

  RowVectors(int64_t length, double sign)
      : sign_(sign), length_(length), whole_(length - length % kGroup), written_end_(length % kSize) {
    for (int v = 0; v < kVecs; ++v) end_[v] = End(length - whole_ - v * kSize);
  }
  double sign() const { return sign_; }
  int64_t length() const { return length_; }
  // Of each row the elements that there must be place for where terms are kept.
  int64_t kept() const { return whole_ + kGroup; }

  // step(lanes, i, v) for each vector of elements begin to end, number v of its group: `lanes` loads and stores it, or
  // what the row has of it.
  template <class G>
  ACT_FN void for_each_vector(int64_t begin, int64_t end, G step) const {
    int64_t i = begin;
    for (; i < std::min(end, whole_); i += kGroup) {
      for (int v = 0; v < kVecs; ++v) step(WholeVector<S>(), i + v * kSize, v);
    }
    for (int v = 0; v < kVecs && i < end; ++v, i += kSize) step(end_[v], i, v);
  }
  // g of the inputs at element i.
  template <class L, class G>
  ACT_FN auto apply(L lanes, G g, const Place& row, int64_t i) const {
    const S padding = static_cast<S>(F::padding(sign_));
    return apply_to_inputs<F>(g, [&](int k) { return lanes.load(row.in[k] + i, padding); });
  }
  // Adds the terms of elements begin to end to those of a group; also(i, v) for each vector.
  template <bool kKeep, class G>
  ACT_FN void add_terms(Group<S>* sum, const F& f, const Place& row, int64_t begin, int64_t end, G also) const {
    for_each_vector(begin, end, [&](auto lanes, int64_t i, int v) {
      const auto each = apply(lanes, [&](auto... x) { return f.terms(x...); }, row, i);
      for (int s = 0; s < F::sums; ++s) sum[s].part[v] = sum[s].part[v] + each.value[s];
      if constexpr (kKeep) Memory<Wide<S>>::store(each.value[0], row.terms + i);
      also(i, v);
    });
  }
  template <bool kKept>
  ACT_FN void write(const F& f, const Place& row) const {
    for_each_written<kKept>([&](auto lanes, int64_t i) { write_vector<kKept>(f, row, lanes, i); });
  }
  template <bool kKept, class L>
  ACT_FN void write_vector(const F& f, const Place& row, L lanes, int64_t i) const {
    if constexpr (kKept) {
      lanes.store(f.from_term(Memory<Wide<S>>::load(row.terms + i)), row.out[0] + i);
    } else {
      const auto all = apply(lanes, [&](auto... x) { return f.results(x...); }, row, i);
      for (int k = 0; k < F::outputs; ++k) lanes.store(all.value[k], row.out[k] + i);
    }
  }

 private:
  // step(lanes, i) for each vector that a row is written in.
  template <bool kKept, class G>
  ACT_FN void for_each_written(G step) const {
    // Where its end is slow to store, the last vector overlaps the one before. Kept terms have the order of a vector's
    // lanes, in bfloat16 not that of the elements: none may begin elsewhere.
    constexpr bool kOverlap = !kQuickEnds && !(kKept && kNeighbours<S>);
    if (kOverlap && length_ >= kSize) {
      return for_each_overlapping<S>(length_, [&](int64_t i) { step(WholeVector<S>(), i); });
    }
    const int64_t whole = length_ & -kSize;
    for (int64_t i = 0; i < whole; i += kSize) step(WholeVector<S>(), i);
    if (whole < length_) step(written_end_, whole);
  }

  double sign_;
  int64_t length_, whole_;
  End end_[kVecs], written_end_;
};

}  // namespace act_ext::CPU_CAPABILITY
