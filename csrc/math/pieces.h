// Functions in sixteen pieces, each a polynomial around a point of its own, whose coefficients a vector's elements take
// from registers: whatever the function, it costs some ten multiplications. For floats only.
#pragma once

#include "basic.h"

namespace act_ext {

template <class V>
inline constexpr bool has_pieces = is_single<V>;

// In columns: a register holds what all pieces have of one kind.
template <int kDegree>
struct Pieces {
  alignas(64) float point[16], coefficient[kDegree + 1][16];
};

template <class V>
ACT_FN V difference(V x, V y) {
  return x - y;
}
template <class V>
ACT_FN V difference(Pair<V> x, V y) {
  return (x.hi - y) + x.lo;
}
// The polynomial that `piece`, in its last four bits, tells; x a V or a Pair. The points are such that the function and
// its slope are nearly floats there, so that the first coefficients hardly round.
template <bool kExact = false, class V, class X, int kDegree>
ACT_FN Pair<V> piecewise(const Pieces<kDegree>& pieces, V piece, X x) {
  const V h = difference(x, entry(pieces.point, piece));
  V y = entry(pieces.coefficient[kDegree], piece);
  for (int k = kDegree - 1; k > 1; --k) y = fma(y, h, entry(pieces.coefficient[k], piece));
  const V first = entry(pieces.coefficient[1], piece), slope = fma(y, h, first), lost = fma(y, h, first - slope);
  const auto value = step(h, slope, entry(pieces.coefficient[0], piece));
  return kExact ? Pair<V>{value.hi, fma(h, lost, value.lo)} : value;
}

// The same for results of 16 bits.
template <class V, class X, int kDegree>
ACT_FN V polynomial(const Pieces<kDegree>& pieces, V piece, X x) {
  const V h = difference(x, entry(pieces.point, piece));
  V y = entry(pieces.coefficient[kDegree], piece);
  for (int k = kDegree - 1; k >= 0; --k) y = fma(y, h, entry(pieces.coefficient[k], piece));
  return y;
}

// What pieces give of a function, and where they reach.
template <class V, class T = V>
struct Near {
  MaskOf<V> holds;
  T value;
};

// Whether x is a finite number from Table::low to Table::high, or where the table is level above it.
template <class Table, class V>
ACT_FN MaskOf<V> reached(V x) {
  return (x > V(Table::low)) & (x < V(Table::level ? inf : Table::high));
}
// There: Table's function, and x times that.
template <class Table, class V>
ACT_FN Near<V> in_pieces(V x) {
  return {reached<Table>(x), head(Table::at(x))};
}
template <class Table, class V>
ACT_FN Near<V> times_pieces(V x) {
  if constexpr (Table::quick) {
    return {reached<Table>(x), x * Table::at(x)};
  } else {
    return {reached<Table>(x), copysign(rounded_product(x, Table::at(x)), x)};
  }
}

// For In16Bits: Op by other pieces of its value over x and of its slope. Where they do not reach, so many units more or
// less of float32 make the numbers that lie next to a middle round right.
template <template <class> class Op, class Gate, class Slope, int kValueUnits = 0, int kSlopeUnits = 0>
struct ByOtherPieces {
  template <class V>
  struct Less : Op<V> {
    ACT_FN V forward(V x) const { return Op<V>::forward(x) * V(1 + kValueUnits * 0x1p-23); }
    ACT_FN V slope(V x) const { return Op<V>::slope(x) * V(1 + kSlopeUnits * 0x1p-23); }
    ACT_FN Near<V> near_forward(V x) const { return times_pieces<Gate>(x); }
    ACT_FN Near<V> near_slope(V x) const { return in_pieces<Slope>(x); }
  };
  static constexpr bool differs = true;
  template <class V, int kBits>
  using type = Less<V>;
};

// Of a function whose values at x and -x have the sum 1, given below 0: the same. x a V or a Pair.
template <class Table, class X>
ACT_FN auto in_pieces_below(X x) {
  using V = decltype(head(x));
  const V below = head(Table::at(minus_abs(x)));
  return Near<V>{abs(head(x)) < V(-Table::low), select(head(x) < V(0), below, V(1) - below)};
}
// max(x, 0). Where it is a result of float16, a little more: half of its smallest number lies in the middle between
// two, and that a gate is larger than a half there shows in no float.
inline constexpr double beyond_half = 0x1p-46;
template <int kBits, class V>
ACT_FN V positive_part(V x) {
  return at_least(kBits == float16_bits ? x + V(beyond_half) : x, V(0));
}
// x times a function whose values at x and -x have the sum 1, given below 0: max(x, 0) less |x| times it there.
template <class Table, int kBits = float32_bits, class V>
ACT_FN Near<V> times_pieces_below(V x) {
  const V a = minus_abs(x);
  const auto factor = Table::at(a);
  const V above = positive_part<kBits>(x);
  if constexpr (Table::quick) {
    return {a > V(Table::low), copysign(fma(a, factor, above), x)};
  } else {
    return {a > V(Table::low), copysign(sum_with_product(above, a, factor), x)};
  }
}
// max(x, 0) less |x| times a function of |x|, which from Table::high on is lost in x; for an x above -reach.
template <class Table, int kBits = float32_bits, class V>
ACT_FN Near<V> less_pieces(V x, double reach = Table::high) {
  const V a = at_most(abs(x), V(Table::high));
  const auto factor = Table::at(a);
  const V above = positive_part<kBits>(x);
  if constexpr (Table::quick) {
    return {x > V(-reach), copysign(fma(-a, factor, above), x)};
  } else if constexpr (Table::exact) {
    const MaskOf<V> holds = (x > V(-reach)) & (x < V(inf));
    return {holds, copysign(sum_with_product(above, -a, factor), x)};
  } else {
    return {x > V(-reach), copysign(fma(-a, factor.hi, fma(-a, factor.lo, above)), x)};
  }
}

template <class V, class F>
ACT_RARE auto apart(const F& f, V x) {
  return f(x);
}
// What is done where pieces do not reach: the exact formula is computed at once. It is seldom wanted, so it stands
// outside of the loop. Which of them an element gets does not depend on its neighbours.
struct AtOnce {
  template <class V, class T, class F>
  ACT_FN T operator()(Near<V, T> near, V x, const F& exact) const {
    if constexpr (std::is_same_v<V, Scalar<V>>) {
      return near.holds ? near.value : exact(x);
    } else {
      if (all(near.holds)) return near.value;
      return select(near.holds, near.value, apart(exact, x));
    }
  }
};

// op.forward(x), op.slope(x) and both, by pieces where the op has them, and then `rest` decides.
template <class Op, class V>
inline constexpr bool value_in_pieces = has_pieces<V> && requires(Op op, V x) { op.near_forward(x); };
template <class Op, class V>
inline constexpr bool slope_in_pieces = has_pieces<V> && requires(Op op, V x) { op.near_slope(x); };
template <class Op, class V, class Rest = AtOnce>
ACT_FN V value_of(const Op& op, V x, Rest&& rest = {}) {
  if constexpr (value_in_pieces<Op, V>) {
    return rest(op.near_forward(x), x, [op](V x) { return op.forward(x); });
  } else {
    return op.forward(x);
  }
}
template <class Op, class V, class Rest = AtOnce>
ACT_FN V slope_of(const Op& op, V x, Rest&& rest = {}) {
  if constexpr (slope_in_pieces<Op, V>) {
    return rest(op.near_slope(x), x, [op](V x) { return op.slope(x); });
  } else {
    return op.slope(x);
  }
}
template <class Op, class V>
inline constexpr bool both_in_pieces = has_pieces<V> && requires(Op op, V x) {
  op.near_value_and_slope(x);
  op.value_and_slope(x);
};
template <class Op, class V, class Rest = AtOnce>
ACT_FN ValueAndSlope<V> value_and_slope_of(const Op& op, V x, Rest&& rest = {}) {
  if constexpr (both_in_pieces<Op, V>) {
    return rest(op.near_value_and_slope(x), x, [op](V x) { return op.value_and_slope(x); });
  } else {
    return op.value_and_slope(x);
  }
}

}  // namespace act_ext
