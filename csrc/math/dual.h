// A value with its derivative. Run through an activation's slope it gives the second derivative, so nobody writes
// that by hand. The overloads below are the chain rule, and the derivatives of the functions that are approximations.
#pragma once

#include "log.h"
#include "normal.h"
#include "sin.h"

namespace act_ext {

template <class V>
struct Dual {
  V v, d;
  Dual() = default;
  ACT_FN Dual(V value, V derivative) : v(value), d(derivative) {}
  ACT_FN explicit Dual(double constant) : v(constant), d(0) {}
};

template <class V>
struct ScalarOf<Dual<V>> {
  using type = Scalar<V>;
};

template <class V>
inline constexpr bool has_pieces<Dual<V>> = false;

template <class V>
ACT_FN Dual<V> operator+(Dual<V> a, Dual<V> b) {
  return {a.v + b.v, a.d + b.d};
}
template <class V>
ACT_FN Dual<V> operator-(Dual<V> a, Dual<V> b) {
  return {a.v - b.v, a.d - b.d};
}
template <class V>
ACT_FN Dual<V> operator-(Dual<V> a) {
  return {-a.v, -a.d};
}
template <class V>
ACT_FN Dual<V> operator*(Dual<V> a, Dual<V> b) {
  return {a.v * b.v, fma(a.d, b.v, a.v * b.d)};
}
template <class V>
ACT_FN Dual<V> operator/(Dual<V> a, Dual<V> b) {
  const V q = a.v / b.v;
  return {q, fma(-q, b.d, a.d) / b.v};
}
template <class V>
ACT_FN Dual<V> fma(Dual<V> a, Dual<V> b, Dual<V> c) {
  return {fma(a.v, b.v, c.v), fma(a.d, b.v, fma(a.v, b.d, c.d))};
}

template <class V>
ACT_FN auto operator<(Dual<V> a, Dual<V> b) {
  return a.v < b.v;
}
template <class V>
ACT_FN auto operator>(Dual<V> a, Dual<V> b) {
  return a.v > b.v;
}
template <class V>
ACT_FN auto operator<=(Dual<V> a, Dual<V> b) {
  return a.v <= b.v;
}
template <class V>
ACT_FN auto operator>=(Dual<V> a, Dual<V> b) {
  return a.v >= b.v;
}
template <class V>
ACT_FN auto operator==(Dual<V> a, Dual<V> b) {
  return a.v == b.v;
}
template <class M, class V>
ACT_FN Dual<V> select(M mask, Dual<V> a, Dual<V> b) {
  return {select(mask, a.v, b.v), select(mask, a.d, b.d)};
}
template <class V>
ACT_FN Dual<V> at_least(Dual<V> x, Dual<V> low) {
  return select(x < low, low, x);
}
template <class V>
ACT_FN Dual<V> at_most(Dual<V> x, Dual<V> high) {
  return select(x > high, high, x);
}
template <class V>
ACT_FN Dual<V> abs(Dual<V> a) {
  return {abs(a.v), select(a.v < V(0), -a.d, a.d)};
}
template <class V>
ACT_FN Dual<V> minus_abs(Dual<V> a) {
  return -abs(a);
}

// Of two that are equal, the larger and the smaller would be the same one.
template <class V>
ACT_FN Pair<Dual<V>> sum_of_positive(Dual<V> a, Dual<V> b) {
  const auto [hi, lo] = sum_of_positive(a.v, b.v);
  return {{hi, a.d + b.d}, {lo, V(0)}};
}
template <class V>
ACT_FN Dual<V> as_constant(Dual<V> x) {
  return {x.v, V(0)};
}

template <class V>
ACT_FN Dual<V> to_exponent(Dual<V> x) {
  return {to_exponent(x.v), V(0)};
}
template <class V>
ACT_FN Dual<V> nearest(Dual<V> x, double factor) {
  return {nearest(x.v, factor), V(0)};
}
template <class V>
struct Power<Dual<V>> {
  Power<V> base;

  Power() = default;
  ACT_FN explicit Power(Dual<V> n) : base(n.v) {}
  ACT_FN Dual<V> scale(Dual<V> y) const { return {base.scale(y.v), base.scale(y.d)}; }
};
template <class M, class V>
ACT_FN Power<Dual<V>> power_where(M mask, Power<Dual<V>> power) {
  power.base = power_where(mask, power.base);
  return power;
}

// d(e^x) = e^x dx, so dq = (1 + q) dx.
template <class V>
ACT_FN Exp<Dual<V>> with_derivative(Exp<V> e, V d) {
  return {{e.q, fma(e.q, d, d)}, {e.n, V(0)}, {e.rest, V(0)}};
}
template <class V>
ACT_FN Exp<Dual<V>> exp_parts(Dual<V> x) {
  return with_derivative(exp_parts(x.v), x.d);
}
template <class V>
ACT_FN Exp<Dual<V>> exp_parts(Pair<Dual<V>> x) {
  return with_derivative(exp_parts(Pair<V>{x.hi.v, x.lo.v}), x.hi.d + x.lo.d);
}
template <class V>
ACT_FN Dual<V> sigmoid(Dual<V> z) {
  const V s = sigmoid(z.v);
  return {s, s * sigmoid(-z.v) * z.d};
}
template <class V>
ACT_FN Dual<V> sigmoid_of_minus(Dual<V> z) {
  return sigmoid(-z);
}
// |z| falls by as much as the share of the smaller grows.
template <class V>
ACT_FN Shares<Dual<V>> with_derivative(Shares<V> of, V z, V d) {
  const V change = of.small * of.large * select(z < V(0), d, -d);
  return {{of.small, change}, {of.large, -change}};
}
template <class V>
ACT_FN Shares<Dual<V>> shares(Dual<V> z) {
  return with_derivative(shares(z.v), z.v, z.d);
}
template <class V>
ACT_FN Shares<Dual<V>> shares(Pair<Dual<V>> z) {
  return with_derivative(shares(Pair<V>{z.hi.v, z.lo.v}), z.hi.v, z.hi.d + z.lo.d);
}
template <class V>
ACT_FN Dual<V> sigmoid(Pair<Dual<V>> z) {
  const V s = sigmoid(Pair<V>{z.hi.v, z.lo.v});
  const V slope = s * sigmoid(Pair<V>{-z.hi.v, -z.lo.v});
  // At an infinity the product that z comes from has no derivative.
  return {s, select(abs(z.hi.v) < V(exp_limit<V>), slope * (z.hi.d + z.lo.d), keep_nan(s, V(0)))};
}
template <class V>
ACT_FN ValueAndSlope<Dual<V>> tanh_and_slope(Dual<V> a) {
  const auto [t, slope] = tanh_and_slope(a.v);
  return {{t, slope * a.d}, {slope, V(-2) * t * slope * a.d}};
}
template <class V>
ACT_FN Dual<V> tanh_squared(Dual<V> x) {
  const auto [t, slope] = tanh_and_slope(abs(x.v));
  return {tanh_squared(x.v), copysign(t + t, x.v) * slope * x.d};
}
template <class V>
ACT_FN Dual<V> expm1(Dual<V> x) {
  const V m = expm1(x.v);
  return {m, fma(m, x.d, x.d)};
}
template <class V>
ACT_FN Dual<V> expm1(Pair<Dual<V>> x) {
  const V m = expm1(Pair<V>{x.hi.v, x.lo.v}), d = x.hi.d + x.lo.d;
  return {m, fma(m, d, d)};
}
template <class V>
ACT_FN Dual<V> log1p(Dual<V> u) {
  return {log1p(u.v), u.d / (V(1) + u.v)};
}
template <class V>
ACT_FN Dual<V> times_atanh_series(Dual<V> factor, Dual<V> w) {
  // The series is 2 atanh(w / 2) / w, whose derivative is (1 / (1 - w^2 / 4) - series) / w.
  const V series = times_atanh_series(V(1), w.v);
  const V slope = select(w.v < V(0x1p-12), w.v * V(1.0 / 6), (V(1) / fma(V(-0.25) * w.v, w.v, V(1)) - series) / w.v);
  return {times_atanh_series(factor.v, w.v), fma(series, factor.d, factor.v * slope * w.d)};
}
template <class V>
ACT_FN Dual<V> scaled_exp(Dual<V> factor, Dual<V> x) {
  const V e = scaled_exp(factor.v, x.v);
  return {e, fma(e, x.d, scaled_exp(factor.d, x.v))};
}
template <class V>
ACT_FN Dual<V> exp_of_product(Dual<V> a, Dual<V> x) {
  const V e = exp_of_product(a.v, x.v);
  return {e, e * (a.v * x.d)};
}
template <class V>
ACT_FN SinCos<Dual<V>> sin_cos_of_product(Dual<V> a, Dual<V> x) {
  const auto [s, c] = sin_cos_of_product(a.v, x.v);
  const V angle = fma(a.d, x.v, a.v * x.d);
  return {{s, c * angle}, {c, -s * angle}};
}
template <class V>
ACT_FN Dual<V> sin_of_product(Dual<V> a, Dual<V> x) {
  return sin_cos_of_product(a, x).sin;
}
template <class V>
ACT_FN Dual<V> cos_of_product(Dual<V> a, Dual<V> x) {
  return sin_cos_of_product(a, x).cos;
}
template <class V>
ACT_FN Dual<V> log1p_of_any(Dual<V> u) {
  return {log1p_of_any(u.v), u.d / (V(1) + u.v)};
}
template <class V>
ACT_FN Dual<V> mills_ratio(Dual<V> a) {
  const V ratio = mills_ratio(a.v);
  return {ratio, fma(a.v, ratio, V(-inverse_sqrt_2pi)) * a.d};
}
template <class V>
ACT_FN Pair<Dual<V>> a_times_mills_ratio(Dual<V> a) {
  const auto [hi, lo] = a_times_mills_ratio(a.v);
  return {{hi, (a * mills_ratio(a)).d}, {lo, V(0)}};
}
template <class V>
ACT_FN ErfAndDecay<Dual<V>> erf_and_decay(Dual<V> s) {
  const auto [value, decay, loss] = erf_and_decay(s.v);
  const V rise = V(two_over_sqrt_pi) * decay * s.d, fall = V(-2) * s.v * decay * s.d;
  return {{{value.hi, rise}, {value.lo, V(0)}}, {decay, fall}, {loss, fall}};
}
template <class V>
ACT_FN Dual<V> sqrt(Dual<V> x) {
  const V r = sqrt(x.v);
  return {r, V(0.5) * x.d / r};
}
template <class V>
ACT_FN Dual<V> copysign(Dual<V> magnitude, Dual<V> sign) {
  const auto negative = copysign(V(1), sign.v) < V(0);
  const auto flips = copysign(V(1), magnitude.v) < V(0);
  const V same = select(flips, -magnitude.d, magnitude.d);
  return {copysign(magnitude.v, sign.v), select(negative, -same, same)};
}
template <class V>
ACT_FN Dual<V> tanh_defect(Dual<V> x) {
  const V t = tanh(x.v);
  return {tanh_defect(x.v), t * t * x.d};
}

}  // namespace act_ext
