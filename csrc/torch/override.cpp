#include "override.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/_log_softmax_backward_data_ops.h>
#include <ATen/ops/_log_softmax_ops.h>
#include <ATen/ops/_softmax_backward_data_ops.h>
#include <ATen/ops/_softmax_ops.h>
#include <ATen/ops/elu_backward_ops.h>
#include <ATen/ops/elu_ops.h>
#include <ATen/ops/gelu_backward_ops.h>
#include <ATen/ops/gelu_ops.h>
#include <ATen/ops/glu_backward_ops.h>
#include <ATen/ops/glu_ops.h>
#include <ATen/ops/hardshrink_backward_ops.h>
#include <ATen/ops/hardshrink_ops.h>
#include <ATen/ops/hardsigmoid_backward_ops.h>
#include <ATen/ops/hardsigmoid_ops.h>
#include <ATen/ops/hardswish_backward_ops.h>
#include <ATen/ops/hardswish_ops.h>
#include <ATen/ops/hardtanh_backward_ops.h>
#include <ATen/ops/hardtanh_ops.h>
#include <ATen/ops/leaky_relu_backward_ops.h>
#include <ATen/ops/leaky_relu_ops.h>
#include <ATen/ops/mish_backward_ops.h>
#include <ATen/ops/mish_ops.h>
#include <ATen/ops/relu_ops.h>
#include <ATen/ops/sigmoid_backward_ops.h>
#include <ATen/ops/sigmoid_ops.h>
#include <ATen/ops/silu_backward_ops.h>
#include <ATen/ops/silu_ops.h>
#include <ATen/ops/softplus_backward_ops.h>
#include <ATen/ops/softplus_ops.h>
#include <ATen/ops/softshrink_backward_ops.h>
#include <ATen/ops/softshrink_ops.h>
#include <ATen/ops/tanh_backward_ops.h>
#include <ATen/ops/tanh_ops.h>
#include <ATen/ops/threshold_backward_ops.h>
#include <ATen/ops/threshold_ops.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <mutex>

#include "elementwise.h"
#include "gated_units.h"
#include "row_functions.h"

namespace act_ext {
namespace {

using at::Tensor;
using c10::DispatchKey;

// torch 2.13 no longer has tensors with named dimensions; before, the native kernels pass the names on.
template <class AnyTensor>
bool is_named(const AnyTensor& tensor) {
  if constexpr (requires { tensor.has_names(); }) return tensor.has_names();
  return false;
}

// The arguments of a native op, by type and in order.
struct Arguments {
  c10::SmallVector<const Tensor*, 3> tensors;
  Tensor* written = nullptr;  // what an in-place or out= form writes to
  c10::SmallVector<double, 3> scalars;
  c10::string_view approximate;
  int64_t dim = 0;
  bool flag = false;
  std::optional<at::ScalarType> dtype;
  bool finite = true;  // and real, all numbers among them

  void add(const Tensor& tensor) { tensors.push_back(&tensor); }
  void add(Tensor& tensor) { written = &tensor; }
  void add(const at::Scalar& scalar) {
    finite = finite && !scalar.isComplex() && std::isfinite(scalar.toDouble());
    scalars.push_back(finite ? scalar.toDouble() : 0);
  }
  void add(c10::string_view text) { approximate = text; }
  void add(int64_t index) { dim = index; }
  void add(bool value) { flag = value; }
  void add(at::ScalarType type) { dtype = type; }

  // Whether act_ext's kernels take what is given. For anything else the native ones have an answer, or an error.
  bool are_common() const {
    const Tensor& model = tensors.empty() ? *written : *tensors.back();
    const auto type = model.scalar_type();
    const bool known = type == at::kFloat || type == at::kDouble || type == at::kBFloat16 || type == at::kHalf;
    const auto alike = [&](const Tensor& tensor) {
      return tensor.scalar_type() == type && tensor.device() == model.device() && tensor.layout() == at::kStrided &&
             !is_named(tensor);
    };
    return known && finite && (written == nullptr || alike(*written)) &&
           std::all_of(tensors.begin(), tensors.end(), [&](const Tensor* tensor) { return alike(*tensor); });
  }
  bool have_one_shape() const {
    return std::all_of(tensors.begin(), tensors.end(),
                       [&](const Tensor* tensor) { return tensor->sizes().equals(tensors.back()->sizes()); });
  }
};

// What stands for a native call: a pass of an op, or nothing.
struct Choice {
  const Op* op = nullptr;
  Params params{};
  Pass pass = Pass::forward;
};
using Choose = Choice (*)(const Arguments&);

bool is_valid(const Choice& choice) {
  const auto invalid = choice.op->spec.invalid;
  return invalid == nullptr || invalid(choice.params.data()) == nullptr;
}

// For shapes that do not fit, and for those that it broadcasts, the native kernel is asked.
bool shapes_fit(const Choice& choice, const Arguments& given) {
  if (choice.op->kind != Kind::gated_unit) return given.have_one_shape();
  const Tensor& packed = *given.tensors.back();
  const int64_t rank = packed.dim(), dim = given.dim < 0 ? given.dim + rank : given.dim;
  if (dim < 0 || dim >= rank || packed.size(dim) % 2 != 0) return false;
  if (choice.pass == Pass::forward) return true;
  auto sizes = packed.sizes().vec();
  sizes[dim] /= 2;
  return given.tensors[0]->sizes().equals(sizes);
}

// An op's name as a template's argument.
template <size_t N>
struct Name {
  constexpr Name(const char (&text)[N]) { std::copy_n(text, N, characters); }
  char characters[N]{};
};

// The op of that name, with the parameters in order; those that its pass does not read are 0.
template <Name name, Pass pass = Pass::forward>
Choice same(const Arguments& given) {
  static const Op* const op = find_op(name.characters);
  Choice choice{op, {}, pass};
  std::copy(given.scalars.begin(), given.scalars.end(), choice.params.begin());
  return choice;
}

template <Pass pass = Pass::forward>
Choice gelu(const Arguments& given) {
  if (given.approximate == "tanh") return same<"gelu_tanh", pass>(given);
  return given.approximate == "none" ? same<"gelu", pass>(given) : Choice{};
}

Choice from_result_or_input(Choice choice, bool from_result) {
  if (choice.op == nullptr || !from_result) return choice;
  choice.pass = Pass::backward_from_result;
  return choice.op->result_suffices(choice.params.data()) ? choice : Choice{};
}
Choice leaky_relu_backward(const Arguments& given) {
  return from_result_or_input(same<"leaky_relu", Pass::backward>(given), given.flag);
}

// torch's elu(alpha, scale, input_scale) is selu and celu as well.
template <Pass pass = Pass::forward>
Choice elu(const Arguments& given) {
  static const Op *const elu = find_op("elu"), *const selu = find_op("selu"), *const celu = find_op("celu");
  constexpr double kSeluAlpha = 1.6732632423543772848170429916717, kSeluScale = 1.0507009873554804934193349852946;
  const double alpha = given.scalars[0], scale = given.scalars[1], input_scale = given.scalars[2];
  Choice choice;
  if (scale == 1 && input_scale == 1) {
    choice = {elu, {alpha}, pass};
  } else if (scale == kSeluScale && alpha == kSeluAlpha && input_scale == 1) {
    choice = {selu, {}, pass};
  } else if (scale == 1 && std::abs(input_scale * alpha - 1) < 1e-6) {  // torch's backward divides in float32
    choice = {celu, {alpha}, pass};
  }
  return from_result_or_input(choice, given.flag);
}

template <Name name, Pass pass = Pass::forward>
Choice unconverted(const Arguments& given) {
  const bool converts = given.flag || (given.dtype && *given.dtype != given.tensors[0]->scalar_type());
  return converts ? Choice{} : same<name, pass>(given);
}

Tensor result_of(const Choice& choice, const Arguments& given) {
  const Call call{choice.op, choice.params};
  switch (choice.op->kind) {
    case Kind::pointwise:
      return pointwise(call, choice.pass, given.tensors);
    case Kind::row_function:
      return row_function(call, choice.pass, given.dim, given.tensors);
    case Kind::gated_unit: {
      const Packing packing{given.dim, /*gate_first=*/false};
      return choice.pass == Pass::forward ? packed_forward(call, packing, *given.tensors[0])
                                          : packed_backward(call, packing, *given.tensors[0], *given.tensors[1]);
    }
    default:
      TORCH_INTERNAL_ASSERT(false);
  }
}

constexpr DispatchKey kDevices[] = {DispatchKey::CPU, DispatchKey::CUDA};

// The native kernels of an op, as they stood when the first of its present overrides began.
template <class NativeOp>
class Native {
 public:
  static void begin() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (overrides_++ > 0) return;
    const auto op = c10::Dispatcher::singleton().findSchemaOrThrow(NativeOp::name, NativeOp::overload_name);
    kernels_.clear();
    for (const DispatchKey key : kDevices) {
      if (op.hasKernelForDispatchKey(key)) kernels_.emplace(key, op.getComputedKernelForDispatchKey(key));
    }
  }
  static void end() {
    const std::lock_guard<std::mutex> lock(mutex_);
    --overrides_;
  }
  // A copy: another override may begin while it runs.
  static c10::SafeKernelFunction kernel(DispatchKey device) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return kernels_.at(device);
  }

 private:
  static inline std::mutex mutex_;
  static inline int overrides_ = 0;
  static inline std::map<DispatchKey, c10::SafeKernelFunction> kernels_;
};

// Stands in the dispatcher before the native kernels of one op. It holds no data, so that a call which is under way
// when it is taken back ends well.
template <class NativeOp, Choose choose, class Signature = typename NativeOp::schema>
struct Override;
template <class NativeOp, Choose choose, class R, class... A>
struct Override<NativeOp, choose, R(A...)> {
  static R kernel(A... arguments) {
    Arguments given;
    (given.add(arguments), ...);
    const Choice choice = given.are_common() ? choose(given) : Choice{};
    const bool valid = choice.op != nullptr && is_valid(choice) && shapes_fit(choice, given);
    if constexpr (std::is_reference_v<R>) {
      if (!valid) {
        run_native(given, arguments...);
        return *given.written;
      }
      const Call call{choice.op, choice.params};
      return given.tensors.empty() ? pointwise_(call, *given.written)
                                   : pointwise_out(call, *given.tensors[0], *given.written);
    } else {
      if (!valid) return run_native(given, arguments...)[0].template to<R>();
      return result_of(choice, given);
    }
  }

  static void begin() { Native<NativeOp>::begin(); }
  static void end() { Native<NativeOp>::end(); }
  static void into(torch::Library& library) {
    const std::string overload = NativeOp::overload_name;
    library.impl((NativeOp::name + (overload.empty() ? "" : "." + overload)).c_str(), TORCH_FN(kernel));
  }

 private:
  static torch::jit::Stack run_native(const Arguments& given, A... arguments) {
    const Tensor& tensor = given.tensors.empty() ? *given.written : *given.tensors[0];
    const auto native = Native<NativeOp>::kernel(tensor.is_cuda() ? DispatchKey::CUDA : DispatchKey::CPU);
    auto stack = c10::impl::boxArgs<A...>(arguments...);
    native.callBoxed(native.opHandle(), tensor.key_set(), &stack);
    return stack;
  }
};

namespace native = at::_ops;

// What is done for an activation: before its kernels are registered, to register them, and when they are gone.
struct Steps {
  void (*begin)();
  void (*into)(torch::Library&);
  void (*end)();
};
template <class... Overrides>
constexpr Steps all = {[] { (Overrides::begin(), ...); },
                       [](torch::Library& library) { (Overrides::into(library), ...); },
                       [] { (Overrides::end(), ...); }};
template <class NativeOp, class InPlace, class Out, Choose choose, class Backward, Choose choose_backward>
constexpr auto family = all<Override<NativeOp, choose>, Override<InPlace, choose>, Override<Out, choose>,
                            Override<Backward, choose_backward>>;
template <class NativeOp, class Out, Choose choose, class Backward, Choose choose_backward>
constexpr auto family_without_in_place =
    all<Override<NativeOp, choose>, Override<Out, choose>, Override<Backward, choose_backward>>;

constexpr Pass kBackward = Pass::backward;

const std::map<std::string, Steps> kOverrides = {
    {"relu", all<Override<native::relu, same<"relu">>, Override<native::relu_, same<"relu">>,
                 Override<native::threshold_backward, same<"threshold", kBackward>>>},
    {"leaky_relu", family<native::leaky_relu, native::leaky_relu_, native::leaky_relu_out, same<"leaky_relu">,
                          native::leaky_relu_backward, leaky_relu_backward>},
    {"threshold", family<native::threshold, native::threshold_, native::threshold_out, same<"threshold">,
                         native::threshold_backward, same<"threshold", kBackward>>},
    {"hardtanh", family<native::hardtanh, native::hardtanh_, native::hardtanh_out, same<"hardtanh">,
                        native::hardtanh_backward, same<"hardtanh", kBackward>>},
    {"softshrink", family_without_in_place<native::softshrink, native::softshrink_out, same<"softshrink">,
                                           native::softshrink_backward, same<"softshrink", kBackward>>},
    {"hardshrink", family_without_in_place<native::hardshrink, native::hardshrink_out, same<"hardshrink">,
                                           native::hardshrink_backward, same<"hardshrink", kBackward>>},
    {"hardsigmoid", family<native::hardsigmoid, native::hardsigmoid_, native::hardsigmoid_out, same<"hardsigmoid">,
                           native::hardsigmoid_backward, same<"hardsigmoid", kBackward>>},
    {"hardswish", family<native::hardswish, native::hardswish_, native::hardswish_out, same<"hardswish">,
                         native::hardswish_backward, same<"hardswish", kBackward>>},
    {"elu", family<native::elu, native::elu_, native::elu_out, elu<>, native::elu_backward, elu<kBackward>>},
    {"sigmoid", family<native::sigmoid, native::sigmoid_, native::sigmoid_out, same<"sigmoid">,
                       native::sigmoid_backward, same<"sigmoid", kBackward>>},
    {"tanh", family<native::tanh, native::tanh_, native::tanh_out, same<"tanh">, native::tanh_backward,
                    same<"tanh", kBackward>>},
    {"softplus", family_without_in_place<native::softplus, native::softplus_out, same<"softplus">,
                                         native::softplus_backward, same<"softplus", kBackward>>},
    {"silu", family<native::silu, native::silu_, native::silu_out, same<"silu">, native::silu_backward,
                    same<"silu", kBackward>>},
    {"gelu", family<native::gelu, native::gelu_, native::gelu_out, gelu<>, native::gelu_backward, gelu<kBackward>>},
    {"mish", family<native::mish, native::mish_, native::mish_out, same<"mish">, native::mish_backward,
                    same<"mish", kBackward>>},
    {"glu", all<Override<native::glu, same<"siglu">>, Override<native::glu_backward, same<"siglu", kBackward>>>},
    {"softmax", all<Override<native::_softmax, unconverted<"softmax">>,
                    Override<native::_softmax_backward_data, unconverted<"softmax", kBackward>>>},
    {"log_softmax", all<Override<native::_log_softmax, unconverted<"log_softmax">>,
                        Override<native::_log_softmax_backward_data, unconverted<"log_softmax", kBackward>>>},
};

// The dispatcher warns of every kernel that takes another's place. Here that is what was asked for.
class Silence : public c10::WarningHandler {
  void process(const c10::Warning&) override {}
};

}  // namespace

std::vector<std::string> overridable() {
  std::vector<std::string> names;
  for (const auto& [name, steps] : kOverrides) names.push_back(name);
  return names;
}

void override_native(const std::string& name, bool enabled) {
  static std::mutex mutex;
  static auto& libraries = *new std::map<std::string, std::vector<std::unique_ptr<torch::Library>>>;
  const std::lock_guard<std::mutex> lock(mutex);
  const Steps& steps = kOverrides.at(name);
  if (!enabled) {
    if (libraries.erase(name) > 0) steps.end();
    return;
  }
  auto& held = libraries[name];
  if (!held.empty()) return;
  steps.begin();
  Silence silence;
  const c10::WarningUtils::WarningHandlerGuard guard(&silence);
  for (const DispatchKey device : kDevices) {
    if (device == DispatchKey::CUDA && !at::hasCUDA()) continue;
    held.push_back(std::make_unique<torch::Library>(torch::Library::IMPL, "aten", device, __FILE__, __LINE__));
    steps.into(*held.back());
  }
}

}  // namespace act_ext
