#include "rrelu.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/ops/mul.h>

#include <cmath>

#include "../cpu/dispatch.h"
#include "cuda.h"
#include "elementwise.h"
#include "record.h"

namespace act_ext {
namespace {

using at::Tensor;
using c10::DispatchKeySet;
using torch::autograd::variable_list;
using T = const Tensor&;
using Two = std::tuple<Tensor, Tensor>;
using Generator = std::optional<at::Generator>;

const Op& rrelu_op() {
  static const Op& op = *find_op("rrelu");
  return op;
}

// With the error type of torch.
void check_bounds(double lower, double upper) {
  TORCH_CHECK(std::isfinite(lower), "rrelu: lower must be finite, got ", lower);
  TORCH_CHECK(std::isfinite(upper), "rrelu: upper must be finite, got ", upper);
  TORCH_CHECK(lower <= upper, "rrelu: lower must not be greater than upper, got ", lower, " and ", upper);
}

std::array<uint64_t, 2> new_seed(const Generator& generator) {
  auto* const source =
      at::get_generator_or_default<at::CPUGeneratorImpl>(generator, at::detail::getDefaultCPUGenerator());
  const std::lock_guard<std::mutex> lock(source->mutex_);
  return {source->random64(), source->random64()};
}

// The noise and, where there is a place for them, the values.
Tensor draw(T input, double lower, double upper, const Generator& generator, Tensor* values) {
  const Dtype dtype = check_inputs({&rrelu_op()}, Pass::forward, {&input});
  check_bounds(lower, upper);
  Tensor noise = empty_output(input);
  if (values != nullptr) *values = empty_output(input);
  if (input.numel() == 0) return noise;
  if (!input.is_cpu()) {
    draw_on_cuda({&rrelu_op(), {lower, upper}}, dtype, generator, values, noise, input);
    return noise;
  }
  if (!input.is_contiguous()) {
    // Elements are numbered as they are indexed, not as they lie in memory.
    Tensor ordered;
    noise.copy_(draw(input.contiguous(), lower, upper, generator, values == nullptr ? nullptr : &ordered));
    if (values != nullptr) values->copy_(ordered);
    return noise;
  }
  const cpu::RandomSlopes slopes{lower, upper, new_seed(generator)};
  const cpu::RreluKernel kernel = cpu::rrelu_kernel(dtype);
  char* const to = values == nullptr ? nullptr : static_cast<char*>(values->mutable_data_ptr());
  char* const drawn = static_cast<char*>(noise.mutable_data_ptr());
  const char* const from = static_cast<const char*>(input.const_data_ptr());
  const int64_t count = input.numel(), size = input.element_size();
  constexpr int64_t kTogether = cpu::kDrawnTogether;
  const int64_t blocks = (count + kTogether - 1) / kTogether;
  at::parallel_for(0, blocks, 8192 / kTogether, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * kTogether, offset = first * size;
    kernel(to == nullptr ? nullptr : to + offset, drawn + offset, from + offset, first,
           std::min(count, end * kTogether) - first, slopes);
  });
  return noise;
}

Two with_noise(T input, double lower, double upper, Generator generator) {
  Tensor values, noise = draw(input, lower, upper, generator, &values);
  return {values, noise};
}
Tensor noise_alone(T input, double lower, double upper, Generator generator) {
  return draw(input, lower, upper, generator, nullptr);
}

const auto& with_noise_op() {
  static const auto op = find_in_dispatcher("rrelu_with_noise").typed<Two(T, double, double, Generator)>();
  return op;
}

Tensor rrelu(T input, double lower, double upper, bool training, Generator generator) {
  check_bounds(lower, upper);
  if (training) return std::get<0>(with_noise_op().call(input, lower, upper, std::move(generator)));
  static const auto leaky = find_in_dispatcher("leaky_relu").typed<Tensor(T, double)>();
  return leaky.call(input, (lower + upper) / 2);
}

// In place training is a product like any other, which saves the noise alone.
Tensor& rrelu_(Tensor& input, double lower, double upper, bool training, Generator generator) {
  check_bounds(lower, upper);
  if (training) {
    static const auto noise = find_in_dispatcher("rrelu_noise").typed<Tensor(T, double, double, Generator)>();
    return input.mul_(noise.call(input, lower, upper, std::move(generator)));
  }
  static const auto leaky_ = find_in_dispatcher("leaky_relu_").typed<Tensor&(Tensor&, double)>();
  return leaky_.call(input, (lower + upper) / 2);
}

}  // namespace

// Differentiable in their turn, as the product with a constant.
variable_list rrelu_derivatives(const variable_list& grads, const Saved& saved) {
  return {grads[0].defined() ? at::mul(grads[0], saved[0]) : Tensor()};
}

void register_rrelu_autograd(torch::Library& library) {
  library.impl("rrelu_with_noise", [](DispatchKeySet keys, T input, double lower, double upper, Generator generator) {
    return recorded(
        keys, {{&rrelu_op(), {lower, upper}}, Pass::forward},
        [](const Differentiated&, const Saved&, const variable_list& tangents, const variable_list& outputs) {
          return rrelu_derivatives(tangents, {outputs[1]});
        },
        [&] { return with_noise(input, lower, upper, generator); },
        [&](DispatchKeySet rest) { return with_noise_op().redispatch(rest, input, lower, upper, generator); },
        {&input});
  });
  // A constant.
  library.impl("rrelu_noise", torch::CppFunction::makeFallthrough());
}

TORCH_LIBRARY_FRAGMENT(act_ext, library) {
  library.set_python_module("act_ext._register");
  const std::vector<at::Tag> tags = {at::Tag::pt2_compliant_tag, at::Tag::nondeterministic_seeded};
  const auto def = [&](const std::string& schema) { library.def(torch::schema(schema.c_str()), tags); };
  const std::string params = ", " + std::string(rrelu_op().spec.params) + ", Generator? generator=None) -> Tensor";
  def("rrelu(Tensor input" + params);
  def("rrelu_(Tensor(a!) input" + params + "(a!)");
  def("rrelu_with_noise(Tensor input, float lower, float upper, Generator? generator=None) -> (Tensor, Tensor)");
  def("rrelu_noise(Tensor input, float lower, float upper, Generator? generator=None) -> Tensor");
}
// Under vmap too, whose rules are those of the ops that draw.
#define ACT_EXT_COMPOSE_RRELU    \
  library.impl("rrelu", &rrelu); \
  library.impl("rrelu_", &rrelu_);
#define ACT_EXT_IMPLEMENT_RRELU                  \
  library.impl("rrelu_with_noise", &with_noise); \
  library.impl("rrelu_noise", &noise_alone);
TORCH_LIBRARY_IMPL(act_ext, CompositeImplicitAutograd,
                   library){ACT_EXT_COMPOSE_RRELU} TORCH_LIBRARY_IMPL(act_ext, FuncTorchVmapMode, library){
    ACT_EXT_COMPOSE_RRELU} TORCH_LIBRARY_IMPL(act_ext, CPU, library){
    ACT_EXT_IMPLEMENT_RRELU} TORCH_LIBRARY_IMPL(act_ext, CUDA, library) {
  ACT_EXT_IMPLEMENT_RRELU
}

}  // namespace act_ext
