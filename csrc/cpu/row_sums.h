// What is common to the loops along rows (along_row.h, short_rows.h), across rows (across_rows.h) and over few rows
// whose elements take turns (narrow_rows.h), which give the same bits.
//
// Much of what is long in them is kept from being inlined: in every place that calls it, it took the compiler half as
// long again. What backward does along a row is too short for that.
#pragma once

#include "../row_pass.h"
#include "loop.h"
#include "sum.h"

namespace act_ext::CPU_CAPABILITY {

// The longest row whose terms are kept, and the length by which a longer one is read for its largest element and its
// sum together.
inline constexpr int64_t kSegment = 32768;

// The elements whose terms are added lane by lane. Of uneven ones few go together, and the lanes are added in double
// from the first.
template <class F, class S>
inline constexpr int64_t kRowBlock = F::uneven ? kBlock<S> / 4 : kBlock<S>;

// g of the inputs, which load(k) gives.
template <class G, class L, std::size_t... I>
ACT_FN auto apply_to_inputs(G g, L load, std::index_sequence<I...>) {
  return g(load(I)...);
}
template <class F, class G, class L>
ACT_FN auto apply_to_inputs(G g, L load) {
  return apply_to_inputs(g, load, input_indices<F>);
}

// Adds what a part of each row has: one function for all dtypes that are computed in T.
template <class T, int kSums>
[[gnu::noinline]] void add_parts(Total<T, kSums>* total, const T* largest, const Results<double, kSums>* sums,
                                 int64_t rows) {
  for (int64_t r = 0; r < rows; ++r) total[r].add({largest[r], sums[r]});
}

// Takes the largest elements and the sums of long rows, which are read for both together, segment by segment.
template <class T, int kSums, int kMostRows, class Largest, class TakeLargest, class Sums, class Take>
void by_segments(int64_t length, int64_t rows, Largest largest, TakeLargest take_largest, Sums sums, Take take) {
  using Row = Total<T, kSums>;
  Row total[kMostRows];
  T m[kMostRows];
  Results<double, kSums> sum[kMostRows];
  for (int64_t begin = 0; begin < length; begin += kSegment) {
    const int64_t end = std::min(begin + kSegment, length);
    largest(begin, end, m);
    T bounded[kMostRows];
    for (int64_t r = 0; r < rows; ++r) bounded[r] = Row::bounded(m[r]);
    take_largest(bounded);
    sums(begin, end, sum);
    add_parts(total, m, sum, rows);
  }
  for (int64_t r = 0; r < rows; ++r) {
    m[r] = total[r].largest;
    sum[r] = total[r].sums;
  }
  take_largest(m);
  take(sum);
}

}  // namespace act_ext::CPU_CAPABILITY
