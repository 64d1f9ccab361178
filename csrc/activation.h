// What an activation is: a struct template over the value type V (see activations/), the Spec of facts beside its
// mathematics, and the List it stands in. Everything else (kernels, schemas, autograd, tests, tables) follows.
#pragma once

#include <limits>
#include <optional>
#include <string_view>
#include <type_traits>

#ifdef __CUDACC__
#define ACT_FN __host__ __device__ __forceinline__
#define ACT_RARE __host__ __device__ __noinline__
#else
#define ACT_FN inline __attribute__((always_inline))
// What few elements need: a call, so that the loop around it stays short.
#define ACT_RARE __attribute__((noinline))
#endif

namespace act_ext {

// What backward needs, and so the argument that the struct's slope() takes.
enum class Saves {
  input,    // slope(x)
  result,   // slope(y) with y = forward(x)
  nothing,  // no slope(): it is the constant Spec::constant_slope
};

inline constexpr double inf = std::numeric_limits<double>::infinity();
inline constexpr double none = std::numeric_limits<double>::quiet_NaN();

// The sides on which the function has a finite limit.
enum class Saturates { nowhere, below, above, both };

// What there is to know of a function of one variable before choosing it. What a struct leaves out is as for x itself.
struct Facts {
  double infimum = -inf, supremum = inf;  // of its values
  double minimum_at = none;               // the one point where it takes its infimum, or none
  bool monotonic = true;                  // it never decreases
  bool zero_centred = true;               // it is 0 at 0 and has values of both signs
  Saturates saturates = Saturates::nowhere;
  double smoothness = inf;  // how many of its derivatives are continuous, -1 where it jumps itself
  const char* at = "";      // the parameters that this holds for, where those are not the defaults
};

constexpr Facts at(const char* parameters, Facts facts) {
  facts.at = parameters;
  return facts;
}

struct Spec {
  const char* name;
  const char* params;   // in schema syntax, after the tensor: "float alpha=1.0"
  const char* formula;  // plain torch Python over x and the parameters: the tests' reference, printed in the docs
  // Of the formula, in the same terms; by several tensors in turn, separated by "; ". Of a function of rows the
  // gradient of x, with g the gradient of the result y. "" where the op chooses or draws.
  const char* derivative = "";
  const char* paper;  // where it was introduced, "" where it is folklore
  // None for a function of several variables: it has neither a range worth telling nor a side to saturate on.
  std::optional<Facts> facts = std::nullopt;
  Saves saves = Saves::input;
  // True where the slope is exactly 0 on an interval: there the gradient is 0, be grad_output inf or NaN, as in torch.
  // Where it is 1 elsewhere, the struct's `open` tells where, and backward passes the gradient on without a product.
  bool gates = false;
  // True where the arithmetic, not memory, bounds the speed: threads then pay off on shorter tensors. It never does for
  // a slope from a saved result.
  bool heavy = false;
  bool light_slope = false;  // nor for this op's slope
  double constant_slope = 0;
  // What is wrong with the parameters, or null.
  const char* (*invalid)(const double* params) = nullptr;
};

// How many float parameters `params` declares.
constexpr int count_params(std::string_view params) {
  int count = 0;
  for (std::string_view rest = params; rest.starts_with("float ");) {
    ++count;
    const auto comma = rest.find(", ");
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 2);
  }
  return count;
}

inline constexpr int bfloat16_bits = 8, float16_bits = 11, float32_bits = 24;

// What computes Op where its result is rounded to a format of 16 bits: itself, unless another struct serves there, one
// that is less exact, and faster, and with which all numbers of these formats are rounded right.
template <template <class> class Op>
struct ByItself {
  static constexpr bool differs = false;
  template <class V, int kBits>
  using type = Op<V>;
};
template <template <class> class Op>
struct In16Bits : ByItself<Op> {};

template <template <class> class Less>
struct ByAnother {
  static constexpr bool differs = true;
  template <class V, int kBits>
  using type = Less<V>;
};
// By one that is told the bits.
template <template <class, int> class Less>
struct ByAnotherForBits {
  static constexpr bool differs = true;
  template <class V, int kBits>
  using type = Less<V, kBits>;
};
template <template <class> class InBfloat16, template <class> class InFloat16>
struct ByAnotherForEach {
  static constexpr bool differs = true;
  template <class V, int kBits>
  using type = std::conditional_t<kBits == bfloat16_bits, InBfloat16<V>, InFloat16<V>>;
};

// The same for any format, by its significant bits.
template <template <class> class Op, int kBits>
struct Rounded {
  using By = std::conditional_t<(kBits < float32_bits), In16Bits<Op>, ByItself<Op>>;
  static constexpr bool differs = By::differs;
  template <class V>
  using type = typename By::template type<V, kBits>;
};

template <template <class> class... Ops>
struct List {
  static constexpr int size = sizeof...(Ops);
};

// An Op over V with its parameters, in the order in which the struct declares them.
template <template <class> class Op, class V>
ACT_FN Op<V> with_params(const double* params) {
  constexpr int count = count_params(Op<V>::spec.params);
  static_assert(count <= 2, "with_params passes at most two parameters");
  if constexpr (count == 0) {
    return Op<V>{};
  } else if constexpr (count == 1) {
    return Op<V>{V(params[0])};
  } else {
    return Op<V>{V(params[0]), V(params[1])};
  }
}

}  // namespace act_ext
