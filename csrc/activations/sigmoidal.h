// The S-shaped activations and the integrals and complements that share their arithmetic.
#pragma once

#include "../math/logistic.h"

namespace act_ext {

template <class V>
struct Sigmoid {
  static constexpr Spec spec{.name = "sigmoid",
                             .params = "",
                             .formula = "1 / (1 + exp(-x))",
                             .paper = "doi:10.1038/323533a0",
                             .saves = Saves::result,
                             .heavy = true};
  ACT_FN V forward(V x) const { return sigmoid(x); }
  ACT_FN V slope(V y) const { return y * (V(1) - y); }
};

template <class V>
struct Logsigmoid {
  static constexpr Spec spec{.name = "logsigmoid",
                             .params = "",
                             .formula = "-logaddexp(zeros_like(x), -x)",
                             .paper = "",
                             .heavy = true};
  ACT_FN V forward(V x) const { return at_most(x, V(0)) - log1p_power(logistic(x)); }
  ACT_FN V slope(V x) const { return sigmoid(-x); }
};

template <class V>
struct Tanh {
  static constexpr Spec spec{.name = "tanh",
                             .params = "",
                             .formula = "tanh(x)",
                             .paper = "doi:10.1007/978-3-642-35289-8_3",
                             .saves = Saves::result,
                             .heavy = true};
  ACT_FN V forward(V x) const { return tanh(x); }
  ACT_FN V slope(V y) const { return fma(-y, y, V(1)); }
};

template <class V>
struct Tanhshrink {
  static constexpr Spec spec{
      .name = "tanhshrink", .params = "", .formula = "x - tanh(x)", .paper = "", .heavy = true};
  ACT_FN V forward(V x) const {
    const V a = abs(x);
    // Above 1: ((a - 1) + e (a + 1)) / (1 + e), e = e^(-2 a), a sum of positive terms.
    const V e = scaled_exp(V(1), V(-2) * at_most(a, V(20)));
    const V above = fma(e, a + V(1), a - V(1)) / (V(1) + e);
    // (x - tanh x) / x^3 in x^2 on |x| <= 1: relative error 2^-27.5, 2^-55.9. Coefficients: tools/fit.py.
    const V z = x * x;
    V below(0);
    if constexpr (is_single<V>) {
      below = horner(z, 0.33333333157048663413, -0.13333310692466405015, 0.053963420711941955206,
                     -0.021829584500990974945, 0.0086979490653334309459, -0.0032069516341587118415,
                     0.0009236082934409633741, -0.00014282379797202679644);
    } else {
      below = horner(z, 0.33333333333333332859, -0.13333333333333090541, 0.053968253968046730005,
                     -0.021869488529139511613, 0.0088632354047382598597, -0.0035921266808440911512,
                     0.0014558247010056161026, -0.00058997933146207774272, 0.00023895715987211653089,
                     -0.000096463003000234319571, 0.000038389948649753480637, -0.000014606499335274342113,
                     4.9880366244724569328e-6, -1.3793188283644258507e-6, 2.6334833182077939618e-7,
                     -2.5160426530315309189e-8);
    }
    return select(a > V(1), copysign(above, x), x * (z * below));
  }
  ACT_FN V slope(V x) const {
    const V t = tanh(x);
    return t * t;
  }
};

template <class V>
struct Softsign {
  static constexpr Spec spec{.name = "softsign",
                             .params = "",
                             .formula = "x / (1 + abs(x))",
                             .paper = "https://proceedings.mlr.press/v9/glorot10a.html"};
  ACT_FN V forward(V x) const {
    // At this bound the quotient is 1 already, and inf / inf does not arise.
    const V a = at_most(abs(x), V(1e30));
    return copysign(a / (V(1) + a), x);
  }
  ACT_FN V slope(V x) const {
    // Squared after the division: the square of 1 + |x| would overflow.
    const V s = V(1) / (V(1) + abs(x));
    return s * s;
  }
};

template <class V>
struct Softplus {
  static constexpr Spec spec{
      .name = "softplus",
      .params = "float beta=1.0, float threshold=20.0",
      .formula = "where(beta * x > threshold, x, logaddexp(zeros_like(x), beta * x) / beta)",
      .paper = "https://proceedings.neurips.cc/paper/2000/hash/44968aece94f667e4095002d140b5896-Abstract.html",
      .heavy = true};
  V beta, threshold;
  ACT_FN V forward(V x) const {
    const auto z = product(beta, x);
    const V inverse = V(1) / beta;
    const V curve = fma(log1p_power(logistic(z)), inverse, select(z.hi > V(0), x, V(0)));
    return select(z.hi > threshold, x, curve);
  }
  ACT_FN V slope(V x) const {
    const auto z = product(beta, x);
    return select(z.hi > threshold, V(1), sigmoid(z));
  }
};

using Sigmoidal = List<Sigmoid, Logsigmoid, Tanh, Tanhshrink, Softsign, Softplus>;

}  // namespace act_ext
