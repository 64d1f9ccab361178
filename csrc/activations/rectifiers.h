// Piecewise linear activations and their quadratic relatives. Comparisons are turned so that NaN falls through to x
// and -0 stays -0.
#pragma once

#include "../math/basic.h"

namespace act_ext {

// Of what lets its input, or a number more, pass where `open` holds: 1 there, 0 elsewhere.
template <class V>
ACT_FN V slope_of_gate(V x, MaskOf<V> open) {
  return keep_nan(x, where(open, V(1)));
}

template <class V>
struct Identity {
  static constexpr Spec spec{.name = "identity",
                             .params = "",
                             .formula = "x",
                             .derivative = "1",
                             .paper = "",
                             .facts = Facts{},
                             .saves = Saves::nothing,
                             .constant_slope = 1};
  ACT_FN V forward(V x) const { return x; }
};

template <class V>
struct BinaryStep {
  static constexpr Spec spec{
      .name = "binary_step",
      .params = "",
      .formula = "where(x >= 0, 1, 0)",
      .derivative = "0",
      .paper = "doi:10.1007/BF02478259",
      .facts =
          Facts{.infimum = 0, .supremum = 1, .zero_centred = false, .saturates = Saturates::both, .smoothness = -1},
      .saves = Saves::nothing,
      .constant_slope = 0};
  ACT_FN V forward(V x) const { return keep_nan(x, where(x >= V(0), V(1))); }
};

template <class V>
struct Relu {
  static constexpr Spec spec{
      .name = "relu",
      .params = "",
      .formula = "where(x > 0, x, 0)",
      .derivative = "where(x > 0, 1, 0)",
      .paper = "doi:10.5555/3104322.3104425",
      .facts = Facts{.infimum = 0, .zero_centred = false, .saturates = Saturates::below, .smoothness = 0},
      .saves = Saves::result,
      .gates = true};
  ACT_FN V forward(V x) const { return unless(x < V(0), x); }
  ACT_FN MaskOf<V> open(V y) const { return y > V(0); }
  ACT_FN V slope(V y) const { return slope_of_gate(y, open(y)); }
};

template <class V>
struct Hardtanh {
  static constexpr Spec spec{
      .name = "hardtanh",
      .params = "float min_val=-1.0, float max_val=1.0",
      .formula = "where(x < min_val, min_val, where(x > max_val, max_val, x))",
      .derivative = "where((x > min_val) & (x < max_val), 1, 0)",
      .paper = "doi:10.5555/1953048.2078186",
      .facts = Facts{.infimum = -1, .supremum = 1, .saturates = Saturates::both, .smoothness = 0},
      .gates = true,
      .invalid = [](const double* p) -> const char* {
        return p[0] > p[1] ? "min_val must not be greater than max_val" : nullptr;
      }};
  V min_val, max_val;
  ACT_FN V forward(V x) const { return clamp(x, min_val, max_val); }
  ACT_FN MaskOf<V> open(V x) const { return (x > min_val) & (x < max_val); }
  ACT_FN V slope(V x) const { return slope_of_gate(x, open(x)); }
};

template <class V>
struct Relu6 {
  static constexpr Spec spec{
      .name = "relu6",
      .params = "",
      .formula = "where(x < 0, 0, where(x > 6, 6, x))",
      .derivative = "where((x > 0) & (x < 6), 1, 0)",
      .paper = "arXiv:1704.04861",
      .facts = Facts{.infimum = 0, .supremum = 6, .zero_centred = false, .saturates = Saturates::both, .smoothness = 0},
      .gates = true};
  ACT_FN V forward(V x) const { return Hardtanh<V>{V(0), V(6)}.forward(x); }
  ACT_FN MaskOf<V> open(V x) const { return Hardtanh<V>{V(0), V(6)}.open(x); }
  ACT_FN V slope(V x) const { return slope_of_gate(x, open(x)); }
};

template <class V>
struct LeakyRelu {
  static constexpr Spec spec{.name = "leaky_relu",
                             .params = "float negative_slope=0.01",
                             .formula = "where(x > 0, x, negative_slope * x)",
                             .derivative = "where(x > 0, 1, negative_slope)",
                             .paper = "https://ai.stanford.edu/~amaas/papers/relu_hybrid_icml2013_final.pdf",
                             .facts = Facts{.smoothness = 0}};
  V negative_slope;
  ACT_FN V forward(V x) const { return select(x > V(0), x, negative_slope * x); }
  ACT_FN V slope(V x) const { return keep_nan(x, select(x > V(0), V(1), negative_slope)); }
  // The result has the input's sign only where negative_slope is not negative.
  static bool result_suffices(const double* params) { return params[0] >= 0; }
  ACT_FN V slope_from_result(V y) const { return slope(y); }
};

template <class V>
struct Threshold {
  static constexpr Spec spec{.name = "threshold",
                             .params = "float threshold, float value",
                             .formula = "where(x > threshold, x, value)",
                             .derivative = "where(x > threshold, 1, 0)",
                             .paper = "",
                             .facts = Facts{.infimum = 0,
                                            .zero_centred = false,
                                            .saturates = Saturates::below,
                                            .smoothness = -1,
                                            .at = "threshold=0.1, value=0.0"},
                             .gates = true};
  V threshold, value;
  ACT_FN V forward(V x) const { return select(x <= threshold, value, x); }
  ACT_FN MaskOf<V> open(V x) const { return x > threshold; }
  ACT_FN V slope(V x) const { return slope_of_gate(x, open(x)); }
};

template <class V>
struct Softshrink {
  static constexpr Spec spec{.name = "softshrink",
                             .params = "float lambd=0.5",
                             .formula = "where(x > lambd, x - lambd, where(x < -lambd, x + lambd, 0))",
                             .derivative = "where(abs(x) > lambd, 1, 0)",
                             .paper = "doi:10.1109/18.382009",
                             .facts = Facts{.smoothness = 0},
                             .gates = true,
                             .invalid = [](const double* p) -> const char* {
                               return p[0] >= 0 ? nullptr : "lambd must be greater than or equal to 0";
                             }};
  V lambd;
  ACT_FN V forward(V x) const { return select(abs(x) <= lambd, copysign(V(0), x), x - copysign(lambd, x)); }
  ACT_FN MaskOf<V> open(V x) const { return abs(x) > lambd; }
  ACT_FN V slope(V x) const { return slope_of_gate(x, open(x)); }
};

template <class V>
struct Hardshrink {
  static constexpr Spec spec{.name = "hardshrink",
                             .params = "float lambd=0.5",
                             .formula = "where((x > lambd) | (x < -lambd), x, 0)",
                             .derivative = "where(abs(x) > lambd, 1, 0)",
                             .paper = "doi:10.1093/biomet/81.3.425",
                             .facts = Facts{.smoothness = -1},
                             .gates = true};
  V lambd;
  // As in torch a negative lambd shrinks nothing.
  ACT_FN V forward(V x) const { return select(abs(x) <= lambd, copysign(V(0), x), x); }
  ACT_FN MaskOf<V> open(V x) const { return abs(x) > lambd; }
  ACT_FN V slope(V x) const { return slope_of_gate(x, open(x)); }
};

template <class V>
struct Hardsigmoid {
  static constexpr Spec spec{
      .name = "hardsigmoid",
      .params = "",
      .formula = "where(x <= -3, 0, where(x >= 3, 1, (x + 3) / 6))",
      .derivative = "where(abs(x) < 3, 1 / 6, 0)",
      .paper = "arXiv:1511.00363",
      .facts = Facts{.infimum = 0, .supremum = 1, .zero_centred = false, .saturates = Saturates::both, .smoothness = 0},
      .gates = true};
  ACT_FN V forward(V x) const {
    // What x + 3 rounds off, and the second word of 1 / 6.
    const V bounded = clamp(x, V(-3), V(3));
    const auto sum = sum_of_ordered(V(3), bounded);
    const auto sixth = constant_pair<V>(1.0 / 6, 0x1.5555555555555p-57);
    return fma(sum.hi, sixth.hi, fma(sum.hi, sixth.lo, sum.lo * sixth.hi));
  }
  ACT_FN V slope(V x) const { return keep_nan(x, where(abs(x) < V(3), V(1.0 / 6))); }
};

template <class V>
struct Hardswish {
  static constexpr Spec spec{.name = "hardswish",
                             .params = "",
                             .formula = "where(x <= -3, 0, where(x >= 3, x, x * (x + 3) / 6))",
                             .derivative = "where(x <= -3, 0, where(x >= 3, 1, x / 3 + 0.5))",
                             .paper = "arXiv:1905.02244",
                             .facts = Facts{.infimum = -0.375,
                                            .minimum_at = -1.5,
                                            .monotonic = false,
                                            .saturates = Saturates::below,
                                            .smoothness = 0},
                             .gates = true,
                             .heavy = true,
                             .light_slope = true};
  ACT_FN V forward(V x) const {
    // What x + 3 and the product round off, and the second word of 1 / 6. At -3 it is -0.
    const V bounded = at_least(x, V(-3));
    const auto square = product(sum_of_ordered(V(3), bounded), bounded);
    const auto sixth = constant_pair<V>(1.0 / 6, 0x1.5555555555555p-57);
    const V inner = fma(square.hi, sixth.hi, fma(square.hi, sixth.lo, square.lo * sixth.hi));
    return select(x >= V(3), x, copysign(inner, x));
  }
  ACT_FN V slope(V x) const {
    const V inner = fma(x, V(1.0 / 3), V(0.5));
    return unless(x <= V(-3), select(x >= V(3), V(1), inner));
  }
};

template <class V>
struct HardswishIn16Bits : Hardswish<V> {
  // A little less than a sixth takes half of float16's smallest number away from the middle between two.
  ACT_FN V forward(V x) const {
    const V a = at_most(abs(x), V(3)), less = (V(3) - a) * V(1.0 / 6 - 0x1.8p-26);
    return copysign(fma(-a, less, at_least(x, V(0))), x);
  }
  ACT_FN V slope(V x) const {
    // Exact where it is 0.
    return unless(x <= V(-3), select(x >= V(3), V(1), (x + V(1.5)) * V(1.0 / 3)));
  }
};
template <>
struct In16Bits<Hardswish> : ByAnother<HardswishIn16Bits> {};

template <class V>
struct ReluSquared {
  static constexpr Spec spec{
      .name = "relu_squared",
      .params = "",
      .formula = "where(x > 0, x * x, 0)",
      .derivative = "where(x > 0, 2 * x, 0)",
      .paper = "arXiv:2109.08668",
      .facts = Facts{.infimum = 0, .zero_centred = false, .saturates = Saturates::below, .smoothness = 1},
      .gates = true};
  ACT_FN V forward(V x) const { return unless(x < V(0), x * abs(x)); }
  ACT_FN V slope(V x) const { return unless(x < V(0), x + x); }
};

using Rectifiers = List<Identity, BinaryStep, Relu, Relu6, LeakyRelu, Threshold, Hardtanh, Softshrink, Hardshrink,
                        Hardsigmoid, Hardswish, ReluSquared>;

}  // namespace act_ext
