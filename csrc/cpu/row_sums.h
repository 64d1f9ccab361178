// What is common to the loops along a row (along_row.h) and across rows (across_rows.h), which give the same bits.
//
// Much of what is long in them is kept from being inlined: in every place that calls it, it took the compiler half as
// long again. What backward does along a row is too short for that.
#pragma once

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

}  // namespace act_ext::CPU_CAPABILITY
