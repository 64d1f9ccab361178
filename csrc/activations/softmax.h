// The softmax family: functions of a row, which is the elements along one dimension.
//
// With y the result, g the gradient by y, and h that by the gradient g' which backward gives, a struct has
//   logarithmic             whether y is x - log(sum of e^x) and not e^x / sum,
//   term, backward          g' = backward(g, y, sign times the row's sum of term(g, y), sign),
//   terms, double_backward  the gradients of h g' by g and by y, from the row's sums of terms(h, g, y).
#pragma once

#include "../pass.h"

namespace act_ext {

template <class V>
struct Softmax {
  static constexpr bool logarithmic = false;
  ACT_FN static V term(V g, V y) { return g * y; }
  ACT_FN static V backward(V g, V y, V gy, V sign) { return y * fma(sign, g, -gy); }
  ACT_FN static Results<V, 2> terms(V h, V g, V y) { return {g * y, h * y}; }
  ACT_FN static Results<V, 2> double_backward(V h, V g, V y, V gy, V hy) {
    return {y * (h - hy), fma(h, g - gy, -g * hy)};
  }
};

template <class V>
struct LogSoftmax {
  static constexpr bool logarithmic = true;
  ACT_FN static V term(V g, V) { return g; }
  ACT_FN static V backward(V g, V y, V sum, V) { return fma(-exp_of_log(y), sum, g); }
  ACT_FN static Results<V, 2> terms(V h, V g, V y) { return {g, h * exp_of_log(y)}; }
  ACT_FN static Results<V, 2> double_backward(V h, V, V y, V sum, V he) { return {h - he, -h * exp_of_log(y) * sum}; }

 private:
  // y is at most 0.
  ACT_FN static V exp_of_log(V y) { return RelativeExp<V>(V(0))(y); }
};

using RowKernels = List<Softmax, LogSoftmax>;

// An op on rows: a kernel for the input or for its negative.
struct RowFunction {
  Spec spec;
  int kernel;  // in RowKernels
  bool logarithmic;
  double sign;
};
inline constexpr RowFunction row_functions[] = {
    {{.name = "softmax",
      .params = "",
      .formula = "exp(x - x.logsumexp(dim, True))",
      .derivative = "y * (g - (g * y).sum(dim, True))",
      .paper = "doi:10.1007/978-3-642-76153-9_28",
      .saves = Saves::result,
      .heavy = true},
     0,
     false,
     1},
    {{.name = "softmin",
      .params = "",
      .formula = "exp(-x - (-x).logsumexp(dim, True))",
      .derivative = "-y * (g - (g * y).sum(dim, True))",
      .paper = "doi:10.1007/978-3-642-76153-9_28",
      .saves = Saves::result,
      .heavy = true},
     0,
     false,
     -1},
    {{.name = "log_softmax",
      .params = "",
      .formula = "x - x.logsumexp(dim, True)",
      .derivative = "g - exp(y) * g.sum(dim, True)",
      .paper = "doi:10.1007/978-3-642-76153-9_28",
      .saves = Saves::result,
      .heavy = true},
     1,
     true,
     1},
};

}  // namespace act_ext
