// Derivatives beyond the second, from the same definitions: a slope computed with values nested in Dual. They are
// seldom wanted, so each is computed one element at a time, in double.
#pragma once

#include <array>

#include "math/scalar.h"
#include "pass.h"

namespace act_ext {

// How often a slope is differentiated: its first derivative is a pass of its own (Pass::double_backward).
inline constexpr int kLeastOrder = 2, kMostOrder = 4, kOrders = kMostOrder - kLeastOrder + 1;

// kOrder Duals in one another.
template <int kOrder>
struct Nested {
  using type = Dual<typename Nested<kOrder - 1>::type>;
};
template <>
struct Nested<0> {
  using type = double;
};

// x as the variable that each of them differentiates by.
template <int kOrder>
ACT_FN typename Nested<kOrder>::type as_variable(double x) {
  if constexpr (kOrder == 0) {
    return x;
  } else {
    return {as_variable<kOrder - 1>(x), typename Nested<kOrder - 1>::type(1.0)};
  }
}
template <int kOrder>
ACT_FN double highest_derivative(typename Nested<kOrder>::type x) {
  if constexpr (kOrder == 0) {
    return x;
  } else {
    return highest_derivative<kOrder - 1>(x.d);
  }
}

// The derivative of that order of a pointwise op's slope, as a function of what the op saves or, where the struct has
// slope_from_result, of the result.
template <template <class> class Op, int kOrder, bool kFromResult>
struct SlopeDerivative {
  static constexpr int inputs = 1, outputs = 1;
  using Value = typename Nested<kOrder>::type;

  Op<Value> op;

  ACT_FN explicit SlopeDerivative(const double* params) : op(with_params<Op, Value>(params)) {}
  ACT_FN double operator()(double s) const {
    const Value variable = as_variable<kOrder>(s);
    Value slope;
    if constexpr (kFromResult) {
      slope = op.slope_from_result(variable);
    } else {
      slope = op.slope(variable);
    }
    return keep_nan(s, highest_derivative<kOrder>(slope));
  }
};

// An op's functions by what they take, its saved tensor or its result, and by order; null where there is none.
template <class Function>
using HigherTable = std::array<std::array<Function, kOrders>, 2>;

// Made of get(SlopeDerivative), called with a null pointer to it, for each op of a family.
template <class Function, bool kFromResult, template <class> class Op, class Get>
constexpr std::array<Function, kOrders> higher_by_order(Get get) {
  if constexpr (kind<Op> != Kind::pointwise || !has_pass<Op>(Pass::double_backward) ||
                (kFromResult && !has_slope_from_result<Op>)) {
    return {};
  } else {
    static_assert(kOrders == 3);
    return {get(static_cast<SlopeDerivative<Op, kLeastOrder, kFromResult>*>(nullptr)),
            get(static_cast<SlopeDerivative<Op, kLeastOrder + 1, kFromResult>*>(nullptr)),
            get(static_cast<SlopeDerivative<Op, kLeastOrder + 2, kFromResult>*>(nullptr))};
  }
}
template <class Function, class Get, template <class> class... Ops>
constexpr std::array<HigherTable<Function>, sizeof...(Ops)> higher_tables(List<Ops...>, Get get) {
  return {
      HigherTable<Function>{higher_by_order<Function, false, Ops>(get), higher_by_order<Function, true, Ops>(get)}...};
}

}  // namespace act_ext
