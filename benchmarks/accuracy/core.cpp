// The comparison of results with exact values, fast enough for all 2^32 inputs: it takes what a kernel gave for a chunk
// of inputs and adds it to the statistics of the run.
#include <torch/extension.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace {

// How many errors fall below each of these bounds (in ULP) and not below the one before; the last bin is open.
constexpr double kBounds[] = {0.5, 0.5001, 0.51, 0.55, 0.6, 0.75, 1, 1.5, 2, 3, 4, 8, 16, 64, 1024, 1e6};
constexpr int kBins = std::size(kBounds) + 1;

template <class T>
struct Format;
template <>
struct Format<float> {
  static constexpr int digits = 24, lowest = -149;  // the exponent of the smallest subnormal
  static constexpr double largest = 0x1.fffffep127;
};
template <>
struct Format<at::BFloat16> {
  static constexpr int digits = 8, lowest = -133;
  static constexpr double largest = 0x1.fep127;
};
template <>
struct Format<at::Half> {
  static constexpr int digits = 11, lowest = -24;
  static constexpr double largest = 65504;
};

// 2^n for an n in the range of normal doubles.
double power(int64_t n) { return std::bit_cast<double>((n + 1023) << 52); }
int64_t exponent(double x) { return (std::bit_cast<int64_t>(x) >> 52 & 0x7FF) - 1023; }

// The spacing of T's numbers at a magnitude.
template <class T>
double unit_at(double magnitude) {
  const int64_t e = exponent(magnitude < Format<T>::largest ? magnitude : Format<T>::largest) - Format<T>::digits + 1;
  return power(e > Format<T>::lowest ? e : Format<T>::lowest);
}

// exact rounded to T, nearest even: a whole number of units, which adding and subtracting 1.5 2^52 leaves of it.
template <class T>
double rounded(double exact) {
  const double unit = unit_at<T>(std::abs(exact)), shift = 0x1.8p52 * unit;
  const double whole = std::abs(exact) > Format<T>::largest * 2 ? exact : (exact + shift) - shift;
  return std::abs(whole) > Format<T>::largest ? std::copysign(INFINITY, exact) : whole;
}

// Where a result is judged, and by which unit: not at infinities, NaN and the kinks; near a point (where a slope
// changes its sign) by that of a magnitude, if the exact value's own is smaller.
struct Rule {
  std::vector<double> kinks;
  double point = 0, near = 0, magnitude = 0;

  bool judges(double x) const { return std::isfinite(x) && std::find(kinks.begin(), kinks.end(), x) == kinks.end(); }
  double magnitude_at(double x) const { return std::abs(x - point) < near ? magnitude : 0; }
};

struct Stats {
  int64_t count = 0, misrounded = 0, wrong = 0;  // wrong: NaN or infinite where the exact value is not, or the reverse
  double worst = -1, worst_input = 0, worst_result = 0, worst_exact = 0, first_wrong = 0;
  std::array<int64_t, kBins> histogram{};

  void add(double error, double input, double result, double exact) {
    ++count;
    int bin = 0;
    while (bin < kBins - 1 && error > kBounds[bin]) ++bin;
    ++histogram[bin];
    if (error > worst) worst = error, worst_input = input, worst_result = result, worst_exact = exact;
  }
  // For n of them at once, which a vector's comparisons count.
  void add(const double* errors, const double* inputs, const double* results, const double* exacts, int64_t n) {
    count += n;
    int64_t above = n;
    for (int bin = 0; bin < kBins; ++bin) {
      int64_t next = 0;
      if (bin < kBins - 1 && above > 0) {
        for (int64_t i = 0; i < n; ++i) next += errors[i] > kBounds[bin];
      }
      histogram[bin] += above - next;
      above = next;
    }
    double largest = -1;
    for (int64_t i = 0; i < n; ++i) largest = errors[i] > largest ? errors[i] : largest;
    if (largest <= worst) return;
    const int64_t i = std::find(errors, errors + n, largest) - errors;
    worst = largest, worst_input = inputs[i], worst_result = results[i], worst_exact = exacts[i];
  }
  void add_wrong(double input) {
    ++count;
    if (wrong++ == 0) first_wrong = input;
  }
};

// Whether y is one of two numbers between which x is the middle. The function's value may lie on either side of that,
// next to x in float64.
template <class T>
bool is_as_near(double y, double x) {
  return std::abs(y - x) * 2 == unit_at<T>(std::abs(x));
}

// One by one, with what can be infinite or NaN.
template <class T>
void compare_any(Stats& stats, const T* result, const double* exact, const T* input, const Rule& rule, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const double at = static_cast<double>(static_cast<float>(input[i]));
    if (!rule.judges(at)) continue;
    const double x = exact[i], y = static_cast<double>(static_cast<float>(result[i]));
    if (std::isnan(x) || std::isnan(y)) {
      if (std::isnan(x) && std::isnan(y)) {
        ++stats.count;
        ++stats.histogram[0];
      } else {
        stats.add_wrong(at);
      }
      continue;
    }
    const double nearest = rounded<T>(x);
    if (y == nearest || is_as_near<T>(y, x)) {
      // An infinity that is right has no distance.
      stats.add(std::isinf(y) ? 0 : std::abs(y - x) / unit_at<T>(std::abs(x)), at, y, x);
      continue;
    }
    ++stats.misrounded;
    // Next to an infinity that the exact value rounds to stands the largest number.
    const double here = std::isinf(nearest) ? std::copysign(Format<T>::largest, x) : x;
    if (std::isinf(x) || std::isinf(y)) {
      const bool close =
          !std::isinf(x) && std::abs(x) > Format<T>::largest * (1 - 0x1p-6) && std::signbit(x) == std::signbit(y);
      if (!close) {
        stats.add_wrong(at);
        continue;
      }
    }
    const double finite = std::isinf(y) ? std::copysign(Format<T>::largest + unit_at<T>(Format<T>::largest), y) : y;
    const double magnitude = std::max(std::abs(x), rule.magnitude_at(at));
    stats.add(std::abs(finite - here) / unit_at<T>(magnitude), at, y, x);
  }
}

template <class T>
void compare(Stats& stats, const T* result, const double* exact, const T* input, const Rule& rule, int64_t n) {
  constexpr int64_t kBlock = 512;
  double error[kBlock], at[kBlock], y[kBlock];
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t size = std::min(kBlock, n - begin);
    const double* const x = exact + begin;
    int64_t misrounded = 0, unusual = 0;
    for (int64_t i = 0; i < size; ++i) {
      at[i] = static_cast<double>(static_cast<float>(input[begin + i]));
      y[i] = static_cast<double>(static_cast<float>(result[begin + i]));
    }
    for (const double kink : rule.kinks) {
      for (int64_t i = 0; i < size; ++i) unusual += at[i] == kink;
    }
    for (int64_t i = 0; i < size; ++i) {
      const double size_of_x = std::abs(x[i]), shift = 0x1.8p52 * unit_at<T>(size_of_x);
      const double nearest = (x[i] + shift) - shift;
      const bool right = y[i] == nearest, near = std::abs(at[i] - rule.point) < rule.near;
      const bool raised = near & !right & (size_of_x < rule.magnitude);
      error[i] = std::abs(y[i] - x[i]) / unit_at<T>(raised ? rule.magnitude : size_of_x);
      misrounded += !right & !is_as_near<T>(y[i], x[i]);
      const bool usual = (std::abs(at[i]) <= Format<T>::largest) & (std::abs(nearest) <= Format<T>::largest) &
                         (std::abs(y[i]) <= Format<T>::largest);
      unusual += !usual;
    }
    if (unusual > 0) {
      compare_any(stats, result + begin, x, input + begin, rule, size);
    } else {
      stats.misrounded += misrounded;
      stats.add(error, at, y, x, size);
    }
  }
}

void add(Stats& stats, const at::Tensor& result, const at::Tensor& exact, const at::Tensor& input, const Rule& rule) {
  const int64_t n = result.numel();
  TORCH_CHECK(exact.scalar_type() == at::kDouble && input.scalar_type() == result.scalar_type(),
              "exact must be of float64 and input of result's dtype");
  for (const at::Tensor* each : {&result, &exact, &input}) {
    TORCH_CHECK(each->is_contiguous() && each->numel() == n, "the tensors must be contiguous and of one size");
  }
  const auto run = [&](auto zero) {
    using T = decltype(zero);
    compare<T>(stats, result.const_data_ptr<T>(), exact.const_data_ptr<double>(), input.const_data_ptr<T>(), rule, n);
  };
  switch (result.scalar_type()) {
    case at::kFloat:
      return run(0.0f);
    case at::kBFloat16:
      return run(at::BFloat16());
    case at::kHalf:
      return run(at::Half());
    default:
      TORCH_CHECK(false, "result must be of float32, bfloat16 or float16, got ", result.scalar_type());
  }
}

// float64: the exact values are nearest + rest.
void add_float64(Stats& stats, const at::Tensor& result, const at::Tensor& nearest, const at::Tensor& rest,
                 const at::Tensor& input, const Rule& rule) {
  constexpr double largest = std::numeric_limits<double>::max();
  for (const at::Tensor* each : {&result, &nearest, &rest, &input}) {
    TORCH_CHECK(each->is_contiguous() && each->numel() == result.numel() && each->scalar_type() == at::kDouble,
                "the tensors must be contiguous, of float64 and of one size");
  }
  const double *y = result.const_data_ptr<double>(), *x = nearest.const_data_ptr<double>(),
               *lack = rest.const_data_ptr<double>(), *at = input.const_data_ptr<double>();
  for (int64_t i = 0; i < result.numel(); ++i) {
    if (!rule.judges(at[i])) continue;
    if (y[i] != x[i]) ++stats.misrounded;
    if (!std::isfinite(y[i]) || !std::isfinite(x[i])) {
      // An infinity that is right has no distance, the largest number beside it one.
      if (y[i] == x[i] || (y[i] * x[i] > 0 && std::min(std::abs(y[i]), std::abs(x[i])) == largest)) {
        stats.add(y[i] == x[i] ? 0 : 1, at[i], y[i], x[i]);
      } else {
        stats.add_wrong(at[i]);
      }
      continue;
    }
    const double magnitude = std::max(std::abs(x[i]), rule.magnitude_at(at[i]));
    int exponent = -2000;  // of 0
    // Just below a power of 2 the numbers lie closer.
    const bool below =
        magnitude > 0 && std::frexp(magnitude, &exponent) == 0.5 && magnitude == std::abs(x[i]) && x[i] * lack[i] < 0;
    const double unit = std::ldexp(1, std::max(exponent - below - 53, -1074));
    stats.add(std::abs((y[i] - x[i]) - lack[i]) / unit, at[i], y[i], x[i]);
  }
}

// All bit patterns of [begin, end) in steps, as numbers.
at::Tensor float32_inputs(int64_t begin, int64_t end, int64_t step) {
  at::Tensor inputs = at::empty({(end - begin + step - 1) / step}, at::kFloat);
  float* const to = inputs.mutable_data_ptr<float>();
  int64_t i = 0;
  for (int64_t bits = begin; bits < end; bits += step) to[i++] = std::bit_cast<float>(static_cast<uint32_t>(bits));
  return inputs;
}

}  // namespace

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) {
  namespace py = pybind11;
  py::class_<Rule>(module, "Rule")
      .def(py::init<std::vector<double>, double, double, double>(), py::arg("kinks") = std::vector<double>(),
           py::arg("point") = 0.0, py::arg("near") = 0.0, py::arg("magnitude") = 0.0);
  py::class_<Stats>(module, "Stats")
      .def(py::init())
      .def("add", &add, py::call_guard<py::gil_scoped_release>())
      .def("add_float64", &add_float64, py::call_guard<py::gil_scoped_release>())
      .def("as_dict", [](const Stats& s) {
        py::dict dict;
        dict["count"] = s.count;
        dict["misrounded"] = s.misrounded;
        dict["wrong"] = s.wrong;
        dict["first_wrong"] = s.wrong > 0 ? py::cast(s.first_wrong) : py::none();
        dict["worst"] = s.worst;
        dict["input"] = s.worst_input;
        dict["result"] = s.worst_result;
        dict["exact"] = s.worst_exact;
        dict["histogram"] = s.histogram;
        return dict;
      });
  module.def("float32_inputs", &float32_inputs);
  module.attr("BOUNDS") = std::vector<double>(std::begin(kBounds), std::end(kBounds));
}
