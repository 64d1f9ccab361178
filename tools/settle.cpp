// Settles the tables for results of 16 bits: looks, piece by piece, for coefficients next to those that were fitted
// with which every number of 16 bits gives the result that the exact value would be rounded to. Few lie so near to the
// middle between two numbers that it depends on the last bits, some ten of an op, and a search of seconds finds
// bits that suit them all. Driven by tools/settle.py, which makes csrc's tables variables first.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "activation.h"

namespace act_ext {

// A table's points and coefficients, in the order of Pieces.
struct Stored {
  std::string name;
  float* points;
  int degree;
  bool quick;
  double error;  // as it was fitted
};
std::deque<Stored> all_tables;  // pointers to them stay
// Which pieces of which tables the calls since it was emptied have evaluated, and where.
using Piece = std::pair<const Stored*, int>;
std::vector<std::pair<Piece, float>> evaluated;
bool recording = false;

// What stands in for `static constexpr Pieces<...> pieces` in a Table, which tells them apart.
template <class Table, class P>
P& variable(const char* name, double error_bits, P initial) {
  static P* const pieces = [&] {
    P* const kept = new P(initial);
    constexpr int rows = sizeof(kept->coefficient) / sizeof(kept->point);
    all_tables.push_back({name, kept->point, rows - 1, Table::quick, std::exp2(error_bits)});
    return kept;
  }();
  return *pieces;
}
inline void note(const float* points, float piece, float x) {
  if (!recording) return;
  for (const Stored& table : all_tables) {
    if (table.points == points) evaluated.push_back({{&table, std::bit_cast<unsigned>(piece) & 15}, x});
  }
}

}  // namespace act_ext

#include "activations/all.h"
#include "pass.h"

namespace act_ext {

struct Format {
  const char* name;
  int digits, lowest;  // the exponent of the smallest subnormal
  double largest;

  double unit_at(double x) const {
    int exponent = 0;
    std::frexp(std::min(std::fabs(x), largest), &exponent);
    return std::ldexp(1.0, std::max(exponent - digits, lowest));
  }
  double rounded(double x) const {
    const double y = std::fabs(x) > 2 * largest ? inf : std::nearbyint(std::fabs(x) / unit_at(x)) * unit_at(x);
    return std::copysign(y > largest ? inf : y, x);
  }
  double number(unsigned bits) const {
    const int mantissa_bits = digits - 1, field = bits >> mantissa_bits & ((1 << (15 - mantissa_bits)) - 1);
    const int mantissa = bits & ((1 << mantissa_bits) - 1);
    const double magnitude =
        field > 0 ? std::ldexp((1 << mantissa_bits) + mantissa, lowest + field - 1) : std::ldexp(mantissa, lowest);
    return bits >> 15 ? -magnitude : magnitude;
  }
};
constexpr Format bfloat16{"bfloat16", 8, -133, 0x1.fep127}, float16{"float16", 11, -24, 65504};

// A value or slope, stored in a format, and what the kernels of float64 give.
struct Function {
  std::string name;
  const Format* format;
  std::function<double(float)> of;
  std::function<double(double)> exact;
};
struct Case {
  const Function* function;
  float x;
  double exact;

  // As far as float64 tells: where it finds the middle between two numbers, either is right, and next to 0 it has
  // errors of its own.
  bool right() const {
    const double y = function->format->rounded(function->of(x)), distance = std::fabs(y - exact);
    return y == function->format->rounded(exact) || distance * 2 == function->format->unit_at(exact) ||
           distance < 0x1p-52 * std::fabs(x);
  }
};
int count_wrong(const std::vector<Case>& cases) {
  return static_cast<int>(std::count_if(cases.begin(), cases.end(), [](const Case& c) { return !c.right(); }));
}

// The parameters' defaults, as the schema has them.
std::vector<double> defaults(std::string params) {
  std::vector<double> values;
  for (std::size_t at = params.find("float "); at != std::string::npos; at = params.find("float ", at + 1)) {
    values.push_back(std::atof(params.c_str() + params.find('=', at) + 1));
  }
  values.resize(std::max<std::size_t>(values.size(), 2));
  return values;
}

template <template <class> class Op, int kBits>
void add(std::vector<Function>& functions, const Format& format) {
  if constexpr (kind<Op> == Kind::pointwise) {
    const auto params = defaults(Op<float>::spec.params);
    const std::string name = Op<float>::spec.name;
    functions.push_back({name + " value", &format,
                         typename RoundedStep<Op, Pass::forward, float, kBits>::type(params.data()),
                         Step<Op, Pass::forward, double>(params.data())});
    if constexpr (Op<float>::spec.saves == Saves::input) {
      const typename RoundedStep<Op, Pass::backward, float, kBits>::type slope(params.data());
      const Step<Op, Pass::backward, double> exact(params.data());
      functions.push_back(
          {name + " slope", &format, [=](float x) { return slope(1.0f, x); }, [=](double x) { return exact(1.0, x); }});
    }
  }
}
template <template <class> class... Op>
void add(std::vector<Function>& functions, List<Op...>) {
  ((add<Op, bfloat16_bits>(functions, bfloat16), add<Op, float16_bits>(functions, float16)), ...);
}

// The cases that depend on a piece, those of them that lie next to a middle, and between which x.
struct Dependent {
  std::vector<Case> all, near_middle;
  double low = inf, high = -inf;
};

// The cases of all numbers, sorted by the pieces they depend on.
std::map<Piece, Dependent> sorted(const std::vector<Function>& functions, std::vector<Case>& cases) {
  for (const Function& function : functions) {
    for (unsigned bits = 0; bits < 65536; ++bits) {
      const double x = function.format->number(bits), exact = std::fabs(x) < 1e39 ? function.exact(x) : none;
      if (std::fabs(x) <= function.format->largest && std::isfinite(exact)) {
        cases.push_back({&function, static_cast<float>(x), exact});
      }
    }
  }
  std::map<Piece, Dependent> found;
  for (const Case& c : cases) c.right();  // so that all tables are listed
  for (const Case& c : cases) {
    const Format& format = *c.function->format;
    const double from_middle = std::fabs(std::fabs(c.exact - format.rounded(c.exact)) - format.unit_at(c.exact) / 2);
    // Next to where a slope changes its sign it has no more digits than elsewhere.
    const bool small = -3 < c.x && c.x < -0.5 && c.function->name.ends_with("slope");
    const double last_place = std::max(std::fabs(c.exact) * 0x1p-23, small ? 0x1p-25 : 0x1p-149);
    evaluated.clear();
    recording = true;
    const double y = c.function->of(c.x);
    recording = false;
    for (const auto& [piece, x] : std::vector(evaluated)) {
      // It may be evaluated and then not taken, where the table does not reach.
      float& constant = piece.first->points[16 + piece.second];
      const float before = constant;
      constant = before + 1;
      const bool depends = c.x == 0 || c.function->of(c.x) != y;
      constant = before;
      if (!depends) continue;
      Dependent& dependent = found[piece];
      dependent.all.push_back(c);
      if (from_middle < 40 * last_place) dependent.near_middle.push_back(c);
      dependent.low = std::min<double>(dependent.low, x);
      dependent.high = std::max<double>(dependent.high, x);
    }
  }
  return found;
}

float moved(float x, int units) { return std::bit_cast<float>(std::bit_cast<int>(x) + units); }

class Search {
 public:
  Search(Piece piece, const Dependent& cases)
      : points_(piece.first->points + piece.second),
        degree_(piece.first->degree),
        farthest_(std::max(0x1p-22, 2 * piece.first->error)),
        cases_(cases),
        near_middle_(cases.near_middle) {
    // Where a slope changes its sign its errors count beside those next to it.
    const bool crosses = piece.first->name.find("Slope") != std::string::npos && std::fabs(cases.low) < 3;
    for (const double value : sampled()) least_magnitude_ = std::max(least_magnitude_, 0.3 * std::fabs(value));
    if (crosses) least_magnitude_ = 1;
  }

  // Whether every case is right now.
  bool settle(int rounds) {
    const std::vector<float> start = now();
    std::vector<float> kept = start, best = start;
    const auto fitted = sampled();
    int kept_wrong = count_wrong(), least = kept_wrong;
    set_steps(usual_distance);
    for (int round = 0; round < rounds && least > 0; ++round) {
      if (round % 3000 == 2999) {
        set(start);
        set_steps(usual_distance);
        if (start[0] != 0 && random_() % 3 != 0) expand_around_another_point(round);
        kept = now();
        kept_wrong = count_wrong();
      }
      for (unsigned n = 0; n <= random_() % 3; ++n) change_one();
      // Farther away where nothing is found near.
      if (!is_near(fitted, farthest_ * (round < 500'000 ? 1 : round < 1'500'000 ? 8 : 64))) {
        set(kept);
        continue;
      }
      const int wrong = count_wrong();
      if (wrong > kept_wrong && random_() % 400 != 0) {
        set(kept);
        continue;
      }
      kept = now();
      kept_wrong = wrong;
      if (wrong < least) {
        least = wrong;
        best = kept;
      }
    }
    set(best);
    return least == 0;
  }

  // The point, and the coefficients.
  std::vector<float> now() const {
    std::vector<float> values;
    for (int i = 0; i < degree_ + 2; ++i) values.push_back(points_[16 * i]);
    return values;
  }

 private:
  static constexpr double usual_distance = 0.3;  // of a number from the point of its piece

  // The polynomial across the piece.
  std::vector<double> sampled() {
    std::vector<double> values;
    for (int i = 0; i <= 16; ++i) {
      const double h = cases_.low + (cases_.high - cases_.low) * i / 16 - points_[0];
      double y = 0;
      for (int k = degree_; k >= 0; --k) y = y * h + coefficient(k);
      values.push_back(y);
    }
    return values;
  }
  // It does not leave what was fitted: a parameter brings other x than the cases, and units multiply results.
  bool is_near(const std::vector<double>& fitted, double farthest) {
    const auto values = sampled();
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (std::fabs(values[i] - fitted[i]) > farthest * std::max(std::fabs(fitted[i]), least_magnitude_)) return false;
    }
    return true;
  }

  // Among those that are known to lie near a middle, and if all are right, among the others.
  int count_wrong() {
    if (const int wrong = act_ext::count_wrong(near_middle_)) return wrong;
    const std::size_t known = near_middle_.size();
    std::copy_if(cases_.all.begin(), cases_.all.end(), std::back_inserter(near_middle_),
                 [](const Case& c) { return !c.right(); });
    return static_cast<int>(near_middle_.size() - known);
  }

  void set(const std::vector<float>& values) {
    for (int i = 0; i < degree_ + 2; ++i) points_[16 * i] = values[i];
  }
  float& coefficient(int k) { return points_[16 * (k + 1)]; }

  // How many of its units each coefficient is to be changed by, to change results by about one.
  void set_steps(double distance) {
    const double size = std::fabs(coefficient(0) ? coefficient(0) : coefficient(1) * distance);
    steps_.assign(degree_ + 1, 1);
    for (int k = 1; k <= degree_; ++k) {
      steps_[k] = std::max(1.0, size / std::fabs(coefficient(k) * std::pow(distance, k)));
    }
  }

  void change_one() {
    const int sign = random_() % 2 ? 1 : -1, k = static_cast<int>(random_() % (degree_ + 2)) - 1;
    if (k >= 0) {
      const double units = k == 0 ? 1 : std::exp2(random_() % 1000 / 200.0 - 2) * steps_[k];
      coefficient(k) = moved(coefficient(k), sign * std::max(1, static_cast<int>(units)));
    } else if (points_[0] == 0 || std::fabs(points_[0]) < 0x1p-20f) {
      points_[0] += sign * std::ldexp(1.0f, -25 - static_cast<int>(random_() % 6));
    } else {
      points_[0] = moved(points_[0], sign);
    }
  }

  // The same polynomial in powers of the distance to another point. The farther that is, the more the last bits vary.
  void expand_around_another_point(int round) {
    const double farthest = round < 100'000 ? 0.03 : random_() % 3 == 0 ? 0.4 : random_() % 2 ? 1.2 : 2.5;
    const float point = static_cast<float>(points_[0] + (random_() % 2001 / 1000.0 - 1) * farthest);
    const double by = static_cast<double>(point) - points_[0];
    std::vector<double> c;
    for (int k = 0; k <= degree_; ++k) c.push_back(coefficient(k));
    for (int k = 0; k < degree_; ++k) {
      for (int i = degree_ - 1; i >= k; --i) c[i] += by * c[i + 1];
    }
    for (int k = 0; k <= degree_; ++k) coefficient(k) = static_cast<float>(c[k]);
    points_[0] = point;
    set_steps(usual_distance + std::fabs(by));
  }

  float* const points_;
  const int degree_;
  const double farthest_;
  const Dependent& cases_;
  std::vector<Case> near_middle_;
  double least_magnitude_ = 0;
  std::vector<double> steps_;
  std::mt19937 random_{1};
};

}  // namespace act_ext

// Prints "settled", the table, the piece, its point and coefficients for each that it settles; what it cannot; and what
// is wrong beyond the pieces.
int main(int, char** argv) {
  using namespace act_ext;
  std::vector<Function> functions;
#define ACT_EXT_ADD(Family, name) add(functions, Family{});
  ACT_EXT_FAMILIES(ACT_EXT_ADD)
#undef ACT_EXT_ADD
  std::vector<Case> cases;
  for (const auto& [piece, dependent] : sorted(functions, cases)) {
    const auto& [table, number] = piece;
    if (!table->quick || count_wrong(dependent.all) == 0) continue;
    Search search(piece, dependent);
    const bool all_right = search.settle(std::atoi(argv[1]));
    std::printf("%s %s %d", all_right ? "settled" : "not settled", table->name.c_str(), number);
    for (const float value : search.now()) std::printf(" %.9g", value);
    std::printf("\n");
    std::fflush(stdout);
  }
  std::map<std::string, std::vector<float>> left;
  for (const Case& c : cases) {
    if (!c.right()) left[c.function->name + " in " + c.function->format->name].push_back(c.x);
  }
  for (const auto& [what, where] : left) {
    std::printf("%s: %zu wrong, at", what.c_str(), where.size());
    for (std::size_t i = 0; i < std::min<std::size_t>(where.size(), 8); ++i) std::printf(" %.9g", where[i]);
    std::printf("\n");
  }
}
