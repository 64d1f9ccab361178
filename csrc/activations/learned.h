// Activations with learned parameters: tensors of one element, or of one for each channel.
//
// `learned` names them, in the order in which the struct declares them, before the constants of `params`.
// derivatives(x) gives the derivatives by x and by each of them.
#pragma once

#include "../math/sin.h"
#include "exponential.h"
#include "gated.h"
#include "rectifiers.h"
#include "sigmoidal.h"

namespace act_ext {

// An infinity as a number whose products with what is 0 there stay 0.
template <class V>
ACT_FN V finite(V x) {
  constexpr double bound = is_single<V> ? 1e18 : 1e150;
  return clamp(x, V(-bound), V(bound));
}

// x slope, 0 where the slope is 0, however large x is.
template <class V>
ACT_FN V sloped(V x, V slope) {
  return select(slope == V(0), slope, x * slope);
}

template <class V>
struct Prelu {
  static constexpr const char* learned = "weight";
  static constexpr Spec spec{.name = "prelu",
                             .params = "",
                             .formula = "where(x > 0, x, weight * x)",
                             .derivative =
                                 "where(x > 0, 1, weight); "
                                 "where(x > 0, 0, x)",
                             .paper = "arXiv:1502.01852",
                             .facts = at("weight=0.25", LeakyRelu<double>::spec.facts.value()),
                             .gates = true};
  V weight;
  ACT_FN V forward(V x) const { return select(x > V(0), x, weight * x); }
  ACT_FN Results<V, 2> derivatives(V x) const {
    return {keep_nan(x, select(x > V(0), V(1), weight)), unless(x > V(0), x)};
  }
};

template <class V>
struct LearnedSwish {
  static constexpr const char* learned = "beta";
  static constexpr Spec spec{.name = "learned_swish",
                             .params = "",
                             .formula = "x * sigmoid(beta * x)",
                             .derivative =
                                 "sigmoid(z := beta * x) * (1 + z * sigmoid(-z)); "
                                 "x * x * sigmoid(z := beta * x) * sigmoid(-z)",
                             .paper = "arXiv:1710.05941",
                             .facts = at("beta=1", Silu<double>::spec.facts.value()),
                             .heavy = true};
  V beta;
  ACT_FN V forward(V x) const { return Swish<V>{beta}.forward(x); }
  ACT_FN Results<V, 2> derivatives(V x) const {
    const V u = finite(x);
    return {Swish<V>{beta}.slope(x), u * sigmoid_slope(product(beta, u)) * u};
  }
};

template <class V>
struct Pelu {
  static constexpr const char* learned = "a, b";
  static constexpr Spec spec{
      .name = "pelu",
      .params = "",
      .formula = "where(x > 0, a / b * x, a * expm1(clamp(x, max=0) / b))",
      .derivative =
          "a / b * exp(clamp(x, max=0) / b); "
          "where(x > 0, x / b, expm1(clamp(x, max=0) / b)); "
          "-a * x / b**2 * exp(clamp(x, max=0) / b)",
      .paper = "arXiv:1605.09332",
      .facts = at("a=1, b=1", Facts{.infimum = -1, .saturates = Saturates::below, .smoothness = 1}),
      .heavy = true};
  V a, b;
  ACT_FN V forward(V x) const {
    const Pair<V> u = below(x);
    return select(abs(u.hi) > V(expm1_is_straight<V>), a * expm1(u), a / b * x);
  }
  ACT_FN Results<V, 3> derivatives(V x) const {
    const V ratio = a / b, z = x / b;
    const Pair<V> u = below(x);
    const V e = scaled_exp(V(1), u);
    return {select(x > V(0), ratio, ratio * e), select(x > V(0), z, expm1(u)), -ratio * select(x > V(0), z, u.hi * e)};
  }

 private:
  // x / b where x is below 0
  ACT_FN Pair<V> below(V x) const {
    return clamped(quotient(at_most(x, V(0)), b), V(-exp_limit<V>), V(exp_overflow<V>));
  }
};

template <class V>
struct AconC {
  static constexpr const char* learned = "p1, p2, beta";
  static constexpr Spec spec{.name = "acon_c",
                             .params = "",
                             .formula = "(p1 - p2) * x * sigmoid(beta * (p1 - p2) * x) + p2 * x",
                             .derivative =
                                 "(p1 - p2) * sigmoid(z := beta * (p1 - p2) * x) * (1 + z * sigmoid(-z)) + p2; "
                                 "x * sigmoid(z := beta * (p1 - p2) * x) * (1 + z * sigmoid(-z)); "
                                 "x * sigmoid(-(z := beta * (p1 - p2) * x)) * (1 - z * sigmoid(z)); "
                                 "((p1 - p2) * x)**2 * sigmoid(z := beta * (p1 - p2) * x) * sigmoid(-z)",
                             .paper = "arXiv:2009.04759",
                             .facts = at("p1=1, p2=0, beta=1", Silu<double>::spec.facts.value()),
                             .heavy = true};
  V p1, p2, beta;
  ACT_FN V forward(V x) const {
    const Pair<V> z = product(difference(x), beta);
    const ExpRatio<V> e = exp_ratio(-folded(z, bottom_zero<V>));
    const V inverse = act_ext::inverse(e.quick_denominator()), small = e.bottom * inverse;
    const auto negative = z.hi < V(0);
    const V minor = select(negative, p1, p2), major = select(negative, p2, p1);
    // A small share may be subnormal: its factors meet after x. Where it is 0, x must not outweigh it.
    const V far = fma(unless(small == V(0), x * inverse) * minor, e.bottom, sloped(x, major));
    const V near = x * fma(minor, small, major * (V(1) - small));
    return select(small < V(is_single<V> ? 0x1p-25 : 0x1p-55), far, near);
  }
  ACT_FN Results<V, 4> derivatives(V x) const {
    const Pair<V> u = difference(x), z = product(u, beta);
    const auto [small, large] = shares(z);
    // The slope of x sigmoid(x) at |z| and at -|z|, whose sum is 1.
    const V a = at_most(abs(z.hi), V(exp_limit<V>)), bounded = finite(u.hi);
    const V rising = large * fma(a, small, V(1)), falling = small * fma(-a, large, V(1));
    const auto negative = z.hi < V(0);
    const V first = select(negative, falling, rising), second = select(negative, rising, falling);
    return {fma(p1, first, p2 * second), sloped(x, first), sloped(x, second), bounded * (small * large) * bounded};
  }

 private:
  // (p1 - p2) x
  ACT_FN Pair<V> difference(V x) const { return product(sum(p1, -p2), x); }
};

template <class V>
struct Xielu {
  static constexpr const char* learned = "alpha_p, alpha_n";
  static constexpr Spec spec{
      .name = "xielu",
      .params = "float beta=0.5, float eps=-1e-06",
      .formula = "where(x > 0, alpha_p * x * x, (expm1(clamp(x, max=eps)) - x) * alpha_n) + beta * x",
      .derivative =
          "where(x > 0, 2 * alpha_p * x, alpha_n * (where(x < eps, exp(clamp(x, max=0)), 0) - 1)) + beta; "
          "where(x > 0, x * x, 0); "
          "where(x > 0, 0, expm1(clamp(x, max=eps)) - x)",
      .paper = "arXiv:2411.13010",
      .facts = at(
          "alpha_p=0.8, alpha_n=0.8, eps=0",
          Facts{
              .infimum = -0.205751224096482, .minimum_at = -0.98082925301172624, .monotonic = false, .smoothness = 1}),
      .heavy = true};
  V alpha_p, alpha_n;
  V beta, eps;
  ACT_FN V forward(V x) const {
    // The linear terms stand together where they may be infinite.
    const V below = fma(alpha_n, expm1(at_most(x, eps)), (beta - alpha_n) * x);
    const V near = fma(alpha_n, expm1(at_most(x, eps)) - x, beta * x);
    return select(x > V(0), x * fma(alpha_p, x, beta), select(x < V(-1), below, near));
  }
  ACT_FN Results<V, 3> derivatives(V x) const {
    const V e = where(x < eps, scaled_exp(V(1), at_most(x, V(0))));
    return {keep_nan(x, select(x > V(0), fma(V(2) * alpha_p, x, beta), fma(alpha_n, e - V(1), beta))),
            unless(x <= V(0), x * x), unless(x > V(0), expm1(at_most(x, eps)) - x)};
  }
};

template <class V>
struct StarRelu {
  static constexpr const char* learned = "scale, bias";
  static constexpr Spec spec{.name = "star_relu",
                             .params = "",
                             .formula = "scale * clamp(x, min=0)**2 + bias",
                             .derivative =
                                 "2 * scale * clamp(x, min=0); "
                                 "clamp(x, min=0)**2; "
                                 "ones_like(x)",
                             .paper = "arXiv:2210.13452",
                             .facts = at("scale=1, bias=0", ReluSquared<double>::spec.facts.value())};
  V scale, bias;
  ACT_FN V forward(V x) const {
    const V r = at_least(x, V(0));
    return fma(scale * r, r, bias);
  }
  ACT_FN Results<V, 3> derivatives(V x) const {
    const V r = at_least(x, V(0));
    return {V(2) * scale * r, r * r, V(1)};
  }
};

template <class V>
struct Dyt {
  static constexpr const char* learned = "alpha, weight, bias";
  static constexpr Spec spec{.name = "dyt",
                             .params = "",
                             .formula = "weight * tanh(alpha * x) + bias",
                             .derivative =
                                 "weight * alpha / cosh(alpha * x)**2; "
                                 "weight * x / cosh(alpha * x)**2; "
                                 "tanh(alpha * x); "
                                 "ones_like(x)",
                             .paper = "arXiv:2503.10622",
                             .facts = at("alpha=0.5, weight=1, bias=0", Tanh<double>::spec.facts.value()),
                             .heavy = true};
  V alpha, weight, bias;
  ACT_FN V forward(V x) const { return fma(weight, tanh(alpha * x), bias); }
  ACT_FN Results<V, 4> derivatives(V x) const {
    const Pair<V> z = product(alpha, x);
    const auto [magnitude, slope] = tanh_and_slope(Pair<V>{abs(z.hi), select(z.hi < V(0), -z.lo, z.lo)});
    return {weight * alpha * slope, weight * (finite(x) * slope), copysign(magnitude, z.hi), V(1)};
  }
};

// x + what, but x itself where that is 0, with its sign, or infinite: a sine has no limit, but is bounded.
template <class V>
ACT_FN V with_ripple(V x, V factor, V what) {
  return select((V(0) < abs(x)) & (abs(x) < V(inf)), fma(factor, what, x), x);
}

template <class V>
struct Snake {
  static constexpr const char* learned = "alpha";
  static constexpr Spec spec{
      .name = "snake",
      .params = "",
      .formula = "x + where(alpha == 0, 0, sin(alpha * x)**2 / alpha)",
      .derivative =
          "1 + sin(2 * alpha * x); "
          "where(alpha == 0, x**2, (x * alpha * sin(2 * alpha * x) - sin(alpha * x)**2) / alpha**2)",
      .paper = "arXiv:2006.08195",
      .facts = at("alpha=1", Facts{}),
      .heavy = true};
  V alpha;
  ACT_FN V forward(V x) const {
    const V sine = sin_of_product(alpha, x);
    return with_ripple(x, sine, over_alpha(sine, x));
  }
  ACT_FN Results<V, 2> derivatives(V x) const {
    const auto [sine, cosine] = sin_cos_of_product(alpha, x);
    const V ratio = over_alpha(sine, x);
    return {fma(V(2) * sine, cosine, V(1)), ratio * fma(V(2) * x, cosine, -ratio)};
  }

 private:
  // sin(alpha x) / alpha, which is x after rounding where alpha x is small.
  ACT_FN V over_alpha(V sine, V x) const {
    return select(abs(alpha * x) < V(is_single<V> ? 0x1p-13 : 0x1p-28), x, sine / alpha);
  }
};

template <class V>
struct SnakeBeta {
  static constexpr const char* learned = "alpha, beta";
  static constexpr Spec spec{.name = "snakebeta",
                             .params = "",
                             .formula = "x + sin(alpha * x)**2 / beta",
                             .derivative =
                                 "1 + alpha / beta * sin(2 * alpha * x); "
                                 "x / beta * sin(2 * alpha * x); "
                                 "-(sin(alpha * x) / beta)**2",
                             .paper = "arXiv:2206.04658",
                             .facts = at("alpha=1, beta=1", Facts{}),
                             .heavy = true};
  V alpha, beta;
  ACT_FN V forward(V x) const {
    const V sine = sin_of_product(alpha, x);
    return with_ripple(x, sine, sine / beta);
  }
  ACT_FN Results<V, 3> derivatives(V x) const {
    const auto [sine, cosine] = sin_cos_of_product(alpha, x);
    const V ratio = sine / beta, swing = V(2) * ratio * cosine;
    return {fma(alpha, swing, V(1)), x * swing, -ratio * ratio};
  }
};

using LearnedActivations = List<Prelu, LearnedSwish, Pelu, AconC, Xielu, StarRelu, Dyt, Snake, SnakeBeta>;

}  // namespace act_ext
