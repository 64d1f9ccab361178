// The passes over a function of rows (activations/softmax.h): what each sums along a row and what it makes of the sums.
#pragma once

#include "math/log.h"
#include "pass.h"

namespace act_ext {

// A row's sums from those of its parts, each in units of e^base 2^n that follow from its largest argument; with two,
// the second counts the terms of that largest argument, which the first leaves out. T: what the terms were computed in.
template <class T, int kCount>
struct Total {
  T largest = static_cast<T>(-inf);
  Results<double, kCount> sums{};

  // In units of an argument at least as large. Between parts whose base is 0, as for all arguments but those far out,
  // the factor is a power of 2 and nothing is rounded.
  ACT_FN void rebase(T to) {
    if (largest == to) return;
    const RelativeExp<T> old(bounded(largest)), other(bounded(to));
    double whole = sums.value[0];
    if constexpr (kCount == 2) whole += sums.value[1] * static_cast<double>(old.magnified(bounded(largest)));
    sums = {whole * factor(old, other)};
    largest = to;
  }
  ACT_FN void add(Total part) {
    if (part.largest > largest) {
      rebase(part.largest);
    } else {
      part.rebase(largest);
    }
    for (int s = 0; s < kCount; ++s) sums.value[s] += part.sums.value[s];
  }

  // Where all elements so far are -inf, none is to be subtracted from itself yet.
  ACT_FN static T bounded(T largest) { return at_least(largest, lowest); }

 private:
  static constexpr T lowest = std::numeric_limits<T>::lowest();
  ACT_FN static double factor(const RelativeExp<T>& from, const RelativeExp<T>& to) {
    const double n = static_cast<double>(from.n) - static_cast<double>(to.n);
    // Below -1074 it is 0.
    if (from.base == to.base) return scale(1.0, Power<double>(at_least(n, -2000.0)));
    return std::exp((static_cast<double>(from.base) - static_cast<double>(to.base)) + n * ln2_hi);
  }
};

// Each has `inputs`, `outputs`, `sums`, of which the first `rounded` are no counts of elements; terms(inputs...), which
// are summed along the row; take(sum...); and then results(inputs...). `padding`: what fills an input up without
// changing a sum. `sign` is -1 where the function is of the input's negative.
template <template <class> class Op, Pass pass, class V>
struct RowStep;

template <template <class> class Op, class V>
struct RowStep<Op, Pass::forward, V> {
  // Of a logarithm the sum goes without the largest terms, which would round the others off where they are small, and
  // which are counted.
  static constexpr bool logarithmic = Op<V>::logarithmic;
  static constexpr int inputs = 1, outputs = 1, sums = logarithmic ? 2 : 1, rounded = 1;
  static constexpr bool has_max = true;
  // Whether the result follows from the term, so that the exponential is computed once where a row's terms can be kept.
  static constexpr bool keeps_terms = !logarithmic;
  // Whether one term may outweigh all others: then each addition to it rounds the whole sum.
  static constexpr bool uneven = !logarithmic;
  ACT_FN static double padding(double sign) { return -sign * inf; }

  RowStep() = default;
  ACT_FN explicit RowStep(double sign) : sign_(sign) {}
  // What one row has, for vectors of its elements.
  template <class W>
  ACT_FN explicit RowStep(const RowStep<Op, Pass::forward, W>& row)
      : sign_(row.sign_), largest_(row.largest_), exp_(row.exp_), divisor_{V(row.divisor_.hi), V(row.divisor_.lo)} {}
  ACT_FN V argument(V x) const {
    if constexpr (logarithmic) return x;  // there is none of the negative
    return sign_ * x;
  }
  // Of the arguments.
  ACT_FN void take_largest(V largest) {
    largest_ = largest;
    exp_ = RelativeExp<V>(largest);
  }

  ACT_FN Results<V, sums> terms(V x) const {
    if constexpr (logarithmic) {
      const auto is_largest = argument(x) == largest_;
      return {unless(is_largest, exp_.magnified(argument(x))), where(is_largest, V(1))};
    } else {
      return {exp_(sign_, x)};
    }
  }
  // e^x / sum is e^x times the inverse in two words. log(e^x / sum) is (x - largest) less the logarithm of the sum in
  // units of its largest term: both at most 0, so that nothing cancels.
  ACT_FN void take(const Results<Pair<V>, sums>& sum) {
    if constexpr (logarithmic) {
      const V excess = sum.value[0].hi / exp_.magnified(largest_) + (sum.value[1].hi - V(1));
      divisor_.hi = select(excess > V(1), log_of_normal(V(1) + excess), log1p(at_most(excess, V(1))));
    } else {
      const V inverse = V(1) / sum.value[0].hi;
      divisor_ = {inverse, inverse * (fma(-inverse, sum.value[0].hi, V(1)) - inverse * sum.value[0].lo)};
    }
  }
  ACT_FN V from_term(V term) const { return fma(term, divisor_.hi, term * divisor_.lo); }
  ACT_FN Results<V, 1> results(V x) const {
    if constexpr (logarithmic) {
      return {(argument(x) - largest_) - divisor_.hi};
    } else {
      return {from_term(exp_(sign_, x))};
    }
  }

 private:
  template <template <class> class, Pass, class>
  friend struct RowStep;

  V sign_, largest_;
  RelativeExp<V> exp_;
  Pair<V> divisor_;  // the inverse of the sum, or its logarithm in units of the largest term
};

template <template <class> class Op, class V>
struct RowStep<Op, Pass::backward, V> {
  static constexpr int inputs = 2, outputs = 1, sums = 1, rounded = 1;
  static constexpr bool has_max = false, keeps_terms = false, uneven = false;
  ACT_FN static double padding(double) { return 0; }

  RowStep() = default;
  ACT_FN explicit RowStep(double sign) : sign_(sign) {}
  template <class W>
  ACT_FN explicit RowStep(const RowStep<Op, Pass::backward, W>& row) : sign_(row.sign_), sum_(row.sum_) {}
  ACT_FN Results<V, 1> terms(V g, V y) const { return {Op<V>::term(g, y)}; }
  ACT_FN void take(const Results<Pair<V>, 1>& sum) { sum_ = sign_ * sum.value[0].hi; }
  ACT_FN Results<V, 1> results(V g, V y) const { return {Op<V>::backward(g, y, sum_, sign_)}; }

 private:
  template <template <class> class, Pass, class>
  friend struct RowStep;

  V sign_, sum_;  // the sum times the sign
};

template <template <class> class Op, class V>
struct RowStep<Op, Pass::double_backward, V> {
  static constexpr int inputs = 3, outputs = 2, sums = 2, rounded = 2;
  static constexpr bool has_max = false, keeps_terms = false, uneven = false;
  ACT_FN static double padding(double) { return 0; }

  RowStep() = default;
  ACT_FN explicit RowStep(double sign) : sign_(sign) {}
  template <class W>
  ACT_FN explicit RowStep(const RowStep<Op, Pass::double_backward, W>& row)
      : sign_(row.sign_), first_(row.first_), second_(row.second_) {}
  ACT_FN Results<V, 2> terms(V h, V g, V y) const { return Op<V>::terms(h, g, y); }
  ACT_FN void take(const Results<Pair<V>, 2>& sum) { first_ = sum.value[0].hi, second_ = sum.value[1].hi; }
  ACT_FN Results<V, 2> results(V h, V g, V y) const {
    const auto both = Op<V>::double_backward(h, g, y, first_, second_);
    return {sign_ * both.value[0], sign_ * both.value[1]};
  }

 private:
  template <template <class> class, Pass, class>
  friend struct RowStep;

  V sign_, first_, second_;
};

}  // namespace act_ext
