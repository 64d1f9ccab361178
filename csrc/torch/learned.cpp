#include "learned.h"

#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>
#include <ATen/TensorOperators.h>
#include <ATen/WrapDimUtils.h>
#include <ATen/core/boxing/BoxedKernel.h>
#include <ATen/ops/add.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros_like.h>

#include "../cpu/dispatch.h"
#include "cuda.h"
#include "elementwise.h"
#include "record.h"

namespace act_ext {
namespace {

using at::Tensor;
using c10::DispatchKeySet;
using torch::autograd::variable_list;
using torch::jit::Stack;

// One call, whose number of tensors depends on the op: the kernels are boxed.
struct LearnedCall {
  Call call;
  Pass pass;
  int64_t dim;
  variable_list tensors;  // in the order of Pass

  int arity() const { return call.op->arity; }
  int parameters() const { return arity() - 1; }
  // The input, which the parameters follow.
  int input() const { return static_cast<int>(tensors.size()) - arity(); }
};

// Taken off the stack.
LearnedCall unboxed(const Op& op, Pass pass, Stack& stack) {
  const size_t count = count_inputs(pass, op.arity);
  const auto arguments = torch::jit::last(stack, count + 1 + op.num_params);
  LearnedCall given{{&op}, pass, arguments[count].toInt(), {}};
  for (size_t i = 0; i < count; ++i) given.tensors.push_back(arguments[i].toTensor());
  for (int p = 0; p < op.num_params; ++p) given.call.params[p] = canonical(arguments[count + 1 + p].toDouble());
  torch::jit::drop(stack, arguments.size());
  return given;
}
Stack boxed(const LearnedCall& given) {
  Stack stack(given.tensors.begin(), given.tensors.end());
  stack.emplace_back(given.dim);
  for (int p = 0; p < given.call.op->num_params; ++p) stack.emplace_back(given.call.params[p]);
  return stack;
}
variable_list results_of(Stack& stack) {
  variable_list results;
  for (c10::IValue& value : stack) results.push_back(std::move(value).toTensor());
  return results;
}

std::string parameter_name(const Op& op, int index) {
  std::string_view names = op.learned;
  for (; index > 0; --index) names.remove_prefix(names.find(", ") + 2);
  return std::string(names.substr(0, names.find(", ")));
}

// The dimension of the channels, or -1 where the input has none: torch takes the second one, where there is one.
int64_t channel_dim(const LearnedCall& given) {
  const Tensor& input = given.tensors[given.input()];
  if (input.dim() == 0 || (input.dim() == 1 && given.dim == 1)) return -1;
  return at::maybe_wrap_dim(given.dim, input.dim());
}

// The parameters have one element or one for each of the channels, which lie along dim; dim is -1 where there are none.
struct Channels {
  int64_t dim, count;
};

Dtype check(const LearnedCall& given, Channels& channels) {
  const Op& op = *given.call.op;
  const std::string name = dispatcher_name(op, given.pass);
  const auto& t = given.tensors;
  const int input = given.input();
  const Tensor& x = t[input];
  const Dtype dtype = given.pass == Pass::forward    ? check_inputs(given.call, given.pass, {&x})
                      : given.pass == Pass::backward ? check_inputs(given.call, given.pass, {&t[0], &x})
                                                     : check_inputs(given.call, given.pass, {&t[0], &t[input - 1], &x});
  channels.dim = channel_dim(given);
  channels.count = channels.dim < 0 ? 1 : x.size(channels.dim);
  for (int p = 1; p <= given.parameters(); ++p) {
    const Tensor& parameter = t[input + p];
    const auto what = [&] { return name + ": " + parameter_name(op, p - 1); };
    TORCH_CHECK(parameter.scalar_type() == x.scalar_type(), what(), " must have the dtype of input (", x.scalar_type(),
                "), got ", parameter.scalar_type());
    TORCH_CHECK(parameter.device() == x.device(), what(), " must be on the device of input (", x.device(), "), got ",
                parameter.device());
    TORCH_CHECK(parameter.dim() <= 1 && (parameter.numel() == 1 || parameter.numel() == channels.count), what(),
                " must have one element or one for each of the ", channels.count, " channels in dimension ", given.dim,
                ", got shape ", parameter.sizes());
    TORCH_CHECK(given.pass != Pass::double_backward || t[p].sizes().equals(parameter.sizes()), name, ": grad_grad_",
                parameter_name(op, p - 1), " must have the shape of ", parameter_name(op, p - 1), " (",
                parameter.sizes(), "), got ", t[p].sizes());
  }
  return dtype;
}

// With the parameters, and what belongs to them, brought to the input's shape; contiguous below that.
LearnedCall with_parameters_expanded(LearnedCall given, const Channels& channels) {
  const int input = given.input();
  const Tensor& x = given.tensors[input];
  const auto expand = [&](Tensor& tensor) {
    std::vector<int64_t> shape(x.dim(), 1);
    if (tensor.numel() != 1) shape[channels.dim] = channels.count;
    tensor = tensor.contiguous().view(shape).expand(x.sizes());
  };
  for (int p = 1; p <= given.parameters(); ++p) {
    expand(given.tensors[input + p]);
    if (given.pass == Pass::double_backward) expand(given.tensors[p]);
  }
  return given;
}

// f with the type of the elements: a few numbers are read and written without the way of an op.
template <class F>
void with_element_type(at::ScalarType type, F f) {
  switch (type) {
    case at::kFloat:
      return f.template operator()<float>();
    case at::kDouble:
      return f.template operator()<double>();
    case at::kBFloat16:
      return f.template operator()<at::BFloat16>();
    default:
      return f.template operator()<at::Half>();
  }
}

// A parameter's element for each channel to every `step`th of `numbers`.
void read_numbers(const Tensor& parameter, int64_t channels, int step, double* numbers) {
  const int64_t stride = parameter.numel() == 1 ? 0 : parameter.stride(0);
  with_element_type(parameter.scalar_type(), [&]<class T>() {
    const T* const from = parameter.const_data_ptr<T>();
    for (int64_t c = 0; c < channels; ++c) numbers[c * step] = canonical(static_cast<double>(from[c * stride]));
  });
}

// The parameters of each channel and, behind them, the constants, for kernels along stretches of memory. Two more
// numbers may be read.
c10::SmallVector<double, 128> numbers_of(const LearnedCall& given, int64_t channels) {
  const int parameters = given.parameters(), per_channel = parameters + given.call.op->num_params;
  c10::SmallVector<double, 128> numbers(channels * per_channel + kMaxParams);
  for (int p = 0; p < parameters; ++p) {
    read_numbers(given.tensors[given.input() + 1 + p], channels, per_channel, numbers.data() + p);
  }
  for (int64_t c = 0; c < channels; ++c) {
    for (int k = parameters; k < per_channel; ++k) numbers[c * per_channel + k] = given.call.params[k - parameters];
  }
  return numbers;
}
// Shorter stretches fill no vectors.
constexpr int64_t kShortestStretch = 16;

// Forward on the CPU where a parameter is one number along whole stretches of memory. False where it is not.
bool run_along_stretches(const LearnedCall& given, Dtype dtype, const Channels& channels, const Tensor& out) {
  const Tensor& x = given.tensors[0];
  const bool single = std::all_of(given.tensors.begin() + 1, given.tensors.end(),
                                  [](const Tensor& parameter) { return parameter.numel() == 1; });
  if (!x.is_non_overlapping_and_dense() || !out.strides().equals(x.strides())) return false;
  if (!single && (!x.is_contiguous() || x.stride(channels.dim) < kShortestStretch)) return false;

  const int64_t numel = x.numel(), count = single ? 1 : channels.count;
  const auto numbers = numbers_of(given, count);
  const cpu::Stretches along{single ? numel : x.stride(channels.dim), count,
                             given.parameters() + given.call.op->num_params, numbers.data()};
  const auto kernel = cpu::stretches_kernel(given.call.op->kernel, dtype);
  char* const to = static_cast<char*>(out.mutable_data_ptr());
  const char* const from = static_cast<const char*>(x.const_data_ptr());
  const int64_t grain = is_heavy(given.call.op->spec, Pass::forward) ? 8192 : at::internal::GRAIN_SIZE;
  at::parallel_for(0, numel, grain, [&](int64_t begin, int64_t end) { kernel(to, from, begin, end, along); });
  return true;
}

c10::SmallVector<const Tensor*, kMaxInputs> pointers(const variable_list& tensors) {
  c10::SmallVector<const Tensor*, kMaxInputs> list;
  for (const Tensor& tensor : tensors) list.push_back(&tensor);
  return list;
}

// The parameters' gradients, of these sizes. The elements go in portions that depend on shapes alone, whose sums are
// added in order: the same bits for any number of threads. run(begin, end, sums) does a portion, with a place in sums
// for each parameter.
template <class Run>
variable_list reduced_in_portions(int64_t numel, const std::vector<int64_t>& sizes, at::TensorOptions options,
                                  Run run) {
  int64_t sums_in_all = 0, channels = 1;
  for (const int64_t size : sizes) {
    sums_in_all += size;
    channels = std::max(channels, size);
  }
  // The sums of all portions stay well below the size of the input.
  const int64_t portion = std::max<int64_t>(65536, 64 * channels);
  const int64_t portions = (numel + portion - 1) / portion;
  std::vector<double> sums(portions * sums_in_all);
  at::parallel_for(0, portions, 1, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      double* of_parameter[kMaxArity - 1];
      double* next = sums.data() + k * sums_in_all;
      for (size_t p = 0; p < sizes.size(); next += sizes[p++]) of_parameter[p] = next;
      run(k * portion, std::min((k + 1) * portion, numel), of_parameter);
    }
  });
  variable_list gradients;
  int64_t first = 0;
  for (const int64_t size : sizes) {
    const Tensor gradient = at::empty({size}, options);
    with_element_type(gradient.scalar_type(), [&]<class T>() {
      T* const to = gradient.mutable_data_ptr<T>();
      for (int64_t i = 0; i < size; ++i) {
        double total = 0;
        for (int64_t k = 0; k < portions; ++k) total += sums[k * sums_in_all + first + i];
        to[i] = static_cast<T>(total);
      }
    });
    first += size;
    gradients.push_back(gradient);
  }
  return gradients;
}

// Fills the elementwise outputs and gives, for each parameter, its gradient.
variable_list reduce_on_cpu(const LearnedCall& given, Dtype dtype, const variable_list& outputs,
                            const std::vector<int64_t>& sizes) {
  const int parameters = given.parameters(), kept = static_cast<int>(outputs.size());
  const int inputs = static_cast<int>(given.tensors.size());
  const auto kernel = cpu::reducing_kernel(given.call.op->kernel, given.pass, dtype);
  const at::TensorIterator iterator = walk(pointers(outputs), pointers(given.tensors));
  return reduced_in_portions(iterator.numel(), sizes, outputs[0].options(),
                             [&](int64_t begin, int64_t end, double* const* sums) {
                               cpu::Reduced reduced[kMaxArity];
                               for (int p = 0; p < parameters; ++p) {
                                 const Tensor& parameter = given.tensors[inputs - parameters + p];
                                 reduced[p] = {static_cast<const char*>(parameter.const_data_ptr()), sums[p]};
                               }
                               iterator.serial_for_each(
                                   [&](char** data, const int64_t* strides, int64_t size0, int64_t size1) {
                                     cpu::run_reducing(kernel, dtype, kept, inputs, parameters, data, strides, size0,
                                                       size1, given.call.params.data(), reduced);
                                   },
                                   {begin, end});
                             });
}

// The same for backward along stretches that are short. Nothing where there are none.
variable_list reduce_along_stretches(const LearnedCall& given, Dtype dtype, const Channels& channels,
                                     const Tensor& output, const std::vector<int64_t>& sizes) {
  const Tensor &g = given.tensors[0], &x = given.tensors[1];
  const bool single = std::all_of(sizes.begin(), sizes.end(), [](int64_t size) { return size == 1; });
  if (given.pass != Pass::backward || single || x.numel() == 0) return {};
  if (!x.is_contiguous() || !g.is_contiguous() || !output.is_contiguous()) return {};
  const int64_t length = x.stride(channels.dim);
  const auto kernel = cpu::reducing_stretches_kernel(given.call.op->kernel, dtype);
  if (kernel == nullptr || length < kShortestStretch || length > cpu::kLongestSummed) return {};

  const auto numbers = numbers_of(given, channels.count);
  const cpu::Stretches along{length, channels.count, given.parameters() + given.call.op->num_params, numbers.data()};
  char* const to = static_cast<char*>(output.mutable_data_ptr());
  const char* const gradients = static_cast<const char*>(g.const_data_ptr());
  const char* const from = static_cast<const char*>(x.const_data_ptr());
  return reduced_in_portions(x.numel(), sizes, output.options(), [&](int64_t begin, int64_t end, double* const* sums) {
    cpu::SumsOfChannels of_channels;
    for (size_t p = 0; p < sizes.size(); ++p) {
      of_channels.first[p] = sums[p];
      of_channels.step[p] = sizes[p] == 1 ? 0 : 1;
    }
    kernel(to, gradients, from, begin, end, along, of_channels);
  });
}

Tensor compute_forward(const LearnedCall& given) {
  Channels channels;
  const Dtype dtype = check(given, channels);
  const Tensor& x = given.tensors[0];
  Tensor out = empty_output(x);
  if (x.numel() == 0 || (x.is_cpu() && run_along_stretches(given, dtype, channels, out))) return out;
  run(given.call, given.pass, dtype, {&out}, pointers(with_parameters_expanded(given, channels).tensors));
  return out;
}

variable_list compute(const LearnedCall& given) {
  if (given.pass == Pass::forward) return variable_list(1, compute_forward(given));
  const int input = given.input();
  std::vector<int64_t> sizes;
  for (int p = 1; p <= given.parameters(); ++p) sizes.push_back(given.tensors[input + p].numel());
  Channels channels;
  const Dtype dtype = check(given, channels);
  const Tensor& x = given.tensors[input];
  variable_list results = {empty_output(x)};
  if (given.pass == Pass::double_backward) results.insert(results.begin(), empty_output(given.tensors[input - 1]));
  variable_list gradients;
  if (x.is_cpu()) gradients = reduce_along_stretches(given, dtype, channels, results[0], sizes);
  if (gradients.empty()) {
    const LearnedCall expanded = with_parameters_expanded(given, channels);
    gradients = x.is_cpu() ? reduce_on_cpu(expanded, dtype, results, sizes)
                           : reduce_on_cuda(given.call, given.pass, dtype, pointers(results),
                                            pointers(expanded.tensors), sizes);
  }
  for (size_t p = 0; p < gradients.size(); ++p) results.push_back(gradients[p].view_as(given.tensors[input + 1 + p]));
  return results;
}

variable_list through_dispatcher(const LearnedCall& given) {
  Stack stack = boxed(given);
  find_in_dispatcher(dispatcher_name(*given.call.op, given.pass)).callBoxed(&stack);
  return results_of(stack);
}

// Through the dispatcher, where the call concerns anyone else.
variable_list dispatched(const LearnedCall& given) {
  return concern_the_kernel_alone(pointers(given.tensors)) ? compute(given) : through_dispatcher(given);
}

// Double backward for the gradients h of the backward pass's results, or their tangents; g and what it belongs to.
variable_list double_backward(const Differentiated& what, variable_list h, const Tensor& g,
                              const variable_list& saved) {
  for (size_t i = 0; i < h.size(); ++i) {
    if (!h[i].defined()) h[i] = at::zeros_like(saved[i]);
  }
  h.push_back(g);
  h.insert(h.end(), saved.begin(), saved.end());
  return dispatched({what.call, Pass::double_backward, what.packing->dim, std::move(h)});
}

variable_list pushed_forward(const Differentiated& what, const Saved& inputs, const variable_list& tangents,
                             const variable_list&) {
  const int arity = what.call.op->arity;
  if (what.pass == Pass::forward) {
    const variable_list saved(inputs.begin(), inputs.begin() + arity);
    return {double_backward(what, tangents, at::zeros_like(saved[0]), saved)[0]};
  }
  TORCH_CHECK_NOT_IMPLEMENTED(what.pass == Pass::backward, what.call.op->spec.name,
                              ": the third derivative is not implemented");
  const variable_list saved(inputs.begin() + 1, inputs.begin() + 1 + arity), rest(tangents.begin() + 1, tangents.end());
  variable_list results(arity);
  if (tangents[0].defined()) {
    variable_list tensors = {tangents[0]};
    tensors.insert(tensors.end(), saved.begin(), saved.end());
    results = dispatched({what.call, Pass::backward, what.packing->dim, std::move(tensors)});
  }
  if (any_defined(rest)) {
    const auto second = double_backward(what, rest, inputs[0], saved);
    for (int i = 0; i < arity; ++i) results[i] = results[i].defined() ? results[i] + second[i + 1] : second[i + 1];
  }
  return results;
}

// The kernels of the dispatcher.
struct Kernel : c10::OperatorKernel {
  const Op& op;
  Pass pass;
  Kernel(const Op& which, Pass of) : op(which), pass(of) {}
};

struct DeviceKernel : Kernel {
  using Kernel::Kernel;
  void operator()(const c10::OperatorHandle&, DispatchKeySet, Stack* stack) const {
    for (Tensor& result : compute(unboxed(op, pass, *stack))) stack->emplace_back(std::move(result));
  }
};

// handle: the op's in the dispatcher, or nothing for it to be looked up where it is needed.
variable_list run_recorded(const LearnedCall& given, DispatchKeySet keys, const c10::OperatorHandle* handle) {
  const Differentiated what{given.call, given.pass, false, Packing{.dim = given.dim}};
  const auto redispatch = [&](DispatchKeySet rest) {
    Stack arguments = boxed(given);
    const auto found = handle != nullptr ? *handle : find_in_dispatcher(dispatcher_name(*given.call.op, given.pass));
    found.redispatchBoxed(rest, &arguments);
    return results_of(arguments);
  };
  return recorded(keys, what, pushed_forward, [&] { return compute(given); }, redispatch, pointers(given.tensors));
}

struct AutogradKernel : Kernel {
  using Kernel::Kernel;
  void operator()(const c10::OperatorHandle& handle, DispatchKeySet keys, Stack* stack) const {
    for (Tensor& result : run_recorded(unboxed(op, pass, *stack), keys, &handle)) {
      stack->emplace_back(std::move(result));
    }
  }
};

template <class K>
void implement(torch::Library& library, const Op& op) {
  for (const Pass pass : {Pass::forward, Pass::backward, Pass::double_backward}) {
    library.impl(
        dispatcher_name(op, pass).c_str(),
        torch::CppFunction::makeFromBoxedKernel(c10::BoxedKernel::makeFromFunctor(std::make_unique<K>(op, pass))));
  }
}

void define(torch::Library& library, const Op& op) {
  std::string parameters, h = "Tensor grad_grad_input", one = "Tensor";
  for (int p = 0; p + 1 < op.arity; ++p) {
    parameters += ", Tensor " + parameter_name(op, p);
    h += ", Tensor grad_grad_" + parameter_name(op, p);
    one += ", Tensor";
  }
  const std::string constants = std::string(*op.spec.params == '\0' ? "" : ", ") + op.spec.params;
  const std::string saved = "Tensor input" + parameters + ", int dim=1" + constants + ") -> ";
  const std::vector<at::Tag> tags = {at::Tag::pt2_compliant_tag};
  const auto def = [&](Pass pass, const std::string& rest) {
    library.def(torch::schema((dispatcher_name(op, pass) + "(" + rest).c_str()), tags);
  };
  def(Pass::forward, saved + "Tensor");
  def(Pass::backward, "Tensor grad_output, " + saved + "(" + one + ")");
  def(Pass::double_backward, h + ", Tensor grad_output, " + saved + "(Tensor, " + one + ")");
}

}  // namespace

Tensor learned_forward(const Call& call, int64_t dim, variable_list tensors) {
  const LearnedCall given{call, Pass::forward, dim, std::move(tensors)};
  const DispatchKeySet keys = keys_of_call(pointers(given.tensors));
  const auto first = at::hasCallbacks() ? c10::DispatchKey::Undefined : keys.highestPriorityTypeId();
  if (first == c10::DispatchKey::AutogradCPU || first == c10::DispatchKey::AutogradCUDA) {
    return run_recorded(given, keys, nullptr)[0];
  }
  if (first == c10::DispatchKey::CPU || first == c10::DispatchKey::CUDA) return compute_forward(given);
  return through_dispatcher(given)[0];
}

variable_list learned_derivatives(const Differentiated& what, const variable_list& grads, const Saved& saved) {
  const int arity = what.call.op->arity;
  if (!any_defined(grads)) return variable_list(what.count_tensors());
  if (what.pass == Pass::forward) {
    variable_list tensors = {grads[0]};
    tensors.insert(tensors.end(), saved.begin(), saved.begin() + arity);
    return dispatched({what.call, Pass::backward, what.packing->dim, std::move(tensors)});
  }
  TORCH_CHECK_NOT_IMPLEMENTED(what.pass == Pass::backward, what.call.op->spec.name,
                              ": the third derivative is not implemented");
  return double_backward(what, grads, saved[0], {saved.begin() + 1, saved.begin() + 1 + arity});
}

void register_learned_autograd(torch::Library& library, const Op& op) { implement<AutogradKernel>(library, op); }

#define ACT_EXT_FOR_EVERY_LEARNED(function)              \
  for (const Op& op : all_ops()) {                       \
    if (op.kind == Kind::learned) function(library, op); \
  }
TORCH_LIBRARY_FRAGMENT(act_ext, library) {
  library.set_python_module("act_ext._register");
  ACT_EXT_FOR_EVERY_LEARNED(define)
}
TORCH_LIBRARY_IMPL(act_ext, CPU, library){
    ACT_EXT_FOR_EVERY_LEARNED(implement<DeviceKernel>)} TORCH_LIBRARY_IMPL(act_ext, CUDA, library) {
  ACT_EXT_FOR_EVERY_LEARNED(implement<DeviceKernel>)
}

}  // namespace act_ext
