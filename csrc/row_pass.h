// The passes over a function of rows (activations/softmax.h): what each sums along a row and what it makes of the sums.
#pragma once

#include "math/log.h"
#include "pass.h"

namespace act_ext {

// Each has `inputs`, `outputs`, `sums`; terms(inputs...), which are summed along the row; take(sum...); and then
// results(inputs...). `padding`: what fills an input up without changing a sum. `sign` is -1 where the function is of
// the input's negative.
template <template <class> class Op, Pass pass, class V>
struct RowStep;

template <template <class> class Op, class V>
struct RowStep<Op, Pass::forward, V> {
  static constexpr int inputs = 1, outputs = 1, sums = 1;
  static constexpr bool has_max = true, logarithmic = Op<V>::logarithmic;
  // Whether the result follows from the term, so that the exponential is computed once where a row's terms can be kept.
  static constexpr bool keeps_terms = !logarithmic;

  ACT_FN static double padding(double sign) { return -sign * std::numeric_limits<double>::infinity(); }

  RowStep() = default;
  ACT_FN explicit RowStep(double sign) : sign_(sign) {}
  ACT_FN V argument(V x) const { return sign_ * x; }
  // Of the arguments.
  ACT_FN void take_largest(V largest) {
    largest_ = largest;
    exp_ = RelativeExp<V>(largest);
  }

  ACT_FN Results<V, 1> terms(V x) const { return {exp_(argument(x))}; }

  // The sum, as hi + lo. e^x / sum is e^x times the inverse in two words; log(e^x / sum) is (x - largest) less the
  // logarithm of the sum in units of its largest term: both at most 0, so that nothing cancels.
  ACT_FN void take(Pair<V> sum) {
    if constexpr (logarithmic) {
      divisor_.hi = log_of_normal(sum.hi / exp_(largest_));
    } else {
      const V inverse = V(1) / sum.hi;
      divisor_ = {inverse, inverse * (fma(-inverse, sum.hi, V(1)) - inverse * sum.lo)};
    }
  }

  // Where the largest term is most of the sum, the logarithm needs the others' own sum, which the sum has rounded off.
  template <class S>
  ACT_FN static auto peaked(S sum, S largest_term) {
    return sum < S(4) * largest_term;
  }
  // The others' terms, and how many are as large as the largest.
  ACT_FN Results<V, 2> others(V x) const {
    const auto is_largest = argument(x) == largest_;
    return {select(is_largest, V(0), exp_(argument(x))), select(is_largest, V(1), V(0))};
  }
  ACT_FN void take_others(V sum, V others, V count) {
    const V one = exp_(largest_), excess = others / one + (count - V(1));
    const V logarithm = select(excess > V(1), log_of_normal(V(1) + excess), log1p(at_most(excess, V(1))));
    divisor_.hi = select(peaked(sum, one), logarithm, divisor_.hi);
  }

  ACT_FN V from_term(V term) const { return fma(term, divisor_.hi, term * divisor_.lo); }
  ACT_FN Results<V, 1> results(V x) const {
    if constexpr (logarithmic) {
      return {(argument(x) - largest_) - divisor_.hi};
    } else {
      return {from_term(exp_(argument(x)))};
    }
  }

 private:
  V sign_, largest_;
  RelativeExp<V> exp_;
  Pair<V> divisor_;  // the inverse of the sum, or its logarithm in units of the largest term
};

template <template <class> class Op, class V>
struct RowStep<Op, Pass::backward, V> {
  static constexpr int inputs = 2, outputs = 1, sums = 1;
  static constexpr bool has_max = false, logarithmic = false, keeps_terms = false;
  ACT_FN static double padding(double) { return 0; }

  RowStep() = default;
  ACT_FN explicit RowStep(double sign) : sign_(sign) {}
  ACT_FN Results<V, 1> terms(V g, V y) const { return {Op<V>::term(g, y)}; }
  ACT_FN void take(Pair<V> sum) { sum_ = sum.hi; }
  ACT_FN Results<V, 1> results(V g, V y) const { return {sign_ * Op<V>::backward(g, y, sum_)}; }

 private:
  V sign_, sum_;
};

template <template <class> class Op, class V>
struct RowStep<Op, Pass::double_backward, V> {
  static constexpr int inputs = 3, outputs = 2, sums = 2;
  static constexpr bool has_max = false, logarithmic = false, keeps_terms = false;
  ACT_FN static double padding(double) { return 0; }

  RowStep() = default;
  ACT_FN explicit RowStep(double sign) : sign_(sign) {}
  ACT_FN Results<V, 2> terms(V h, V g, V y) const { return Op<V>::terms(h, g, y); }
  ACT_FN void take(Pair<V> first, Pair<V> second) { first_ = first.hi, second_ = second.hi; }
  ACT_FN Results<V, 2> results(V h, V g, V y) const {
    const auto both = Op<V>::double_backward(h, g, y, first_, second_);
    return {sign_ * both.value[0], sign_ * both.value[1]};
  }

 private:
  V sign_, first_, second_;
};

}  // namespace act_ext
