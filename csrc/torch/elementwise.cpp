#include "elementwise.h"

#include <ATen/EmptyTensor.h>
#include <ATen/MemoryOverlap.h>
#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>
#include <ATen/native/Resize.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/ScalarType.h>

#include <algorithm>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "../cpu/dispatch.h"
#include "cuda.h"

namespace act_ext {
namespace {

const char* const kInputNames[kPasses][3] = {{"input"},
                                             {"grad_output", "input"},
                                             {"grad_grad_input", "grad_output", "input"},
                                             {"grad_output", "result"},
                                             {"grad_grad_input", "grad_output", "result"}};
const char* const kUnitInputNames[3][5] = {
    {"gate", "up"}, {"grad_output", "gate", "up"}, {"grad_grad_gate", "grad_grad_up", "grad_output", "gate", "up"}};

std::string argument_name(const Call& call, Pass pass, int index) {
  if (call.op->kind == Kind::gated_unit) return kUnitInputNames[static_cast<int>(pass)][index];
  const std::string name = kInputNames[static_cast<int>(pass)][index];
  return name == "input" && pass != Pass::forward && call.op->spec.saves == Saves::result ? "result" : name;
}

std::string op_name(const Call& call, Pass pass) { return dispatcher_name(*call.op, pass); }

Dtype dtype_of(const at::Tensor& tensor, const Call& call, Pass pass, int index) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return Dtype::float32;
    case at::kDouble:
      return Dtype::float64;
    case at::kBFloat16:
      return Dtype::bfloat16;
    case at::kHalf:
      return Dtype::float16;
    default:
      TORCH_CHECK_NOT_IMPLEMENTED(false, op_name(call, pass), ": ", argument_name(call, pass, index),
                                  " must be a float32, float64, bfloat16 or float16 tensor, got dtype ",
                                  tensor.scalar_type());
  }
}

}  // namespace

Dtype check_inputs(const Call& call, Pass pass, Tensors inputs) {
  const int last = static_cast<int>(inputs.size()) - 1;
  const at::Tensor& model = *inputs.begin()[last];
  const Dtype dtype = dtype_of(model, call, pass, last);
  TORCH_CHECK(model.layout() == at::kStrided, op_name(call, pass), ": ", argument_name(call, pass, last),
              " must be a dense (strided) tensor, got layout ", model.layout());
  for (int i = 0; i < last; ++i) {
    const at::Tensor& input = *inputs.begin()[i];
    const auto complain = [&](const char* property, const auto& given, const auto& expected) {
      TORCH_CHECK(false, op_name(call, pass), ": ", argument_name(call, pass, i), " must have the ", property, " of ",
                  argument_name(call, pass, last), " (", expected, "), got ", given);
    };
    if (input.scalar_type() != model.scalar_type()) complain("dtype", input.scalar_type(), model.scalar_type());
    if (input.device() != model.device()) complain("device", input.device(), model.device());
    if (!input.sizes().equals(model.sizes())) complain("shape", input.sizes(), model.sizes());
    if (input.layout() != model.layout()) complain("layout", input.layout(), model.layout());
  }
  return dtype;
}

namespace {

// Fresh pages cost more than any of this arithmetic. Where the system leaves the choice to the program, huge ones
// cost half; memory that is in use already, or not whole pages, is not affected.
void prefer_huge_pages(const at::TensorBase& out) {
#ifdef __linux__
  constexpr size_t kHugePage = size_t{2} << 20;
  if (out.nbytes() < 8 * kHugePage) return;
  const auto begin = reinterpret_cast<uintptr_t>(out.mutable_data_ptr());
  const auto first = (begin + kHugePage - 1) / kHugePage * kHugePage;
  const auto last = (begin + out.nbytes()) / kHugePage * kHugePage;
  madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

}  // namespace

at::Tensor empty_output(const at::Tensor& model) {
  if (!model.is_cpu() || !model.is_non_overlapping_and_dense()) {
    return at::empty_like(model, model.is_contiguous() ? at::MemoryFormat::Contiguous : at::MemoryFormat::Preserve);
  }
  auto out = model.is_contiguous() ? at::detail::empty_cpu(model.sizes(), model.scalar_type())
                                   : at::detail::empty_strided_cpu(model.sizes(), model.strides(), model.scalar_type());
  prefer_huge_pages(out);
  return out;
}

at::TensorIterator walk(Tensors outputs, Tensors inputs) {
  at::TensorIteratorConfig config;
  config.set_check_mem_overlap(true).resize_outputs(false).check_all_same_dtype(true);
  for (const at::Tensor* output : outputs) config.add_output(*output);
  for (const at::Tensor* input : inputs) config.add_const_input(*input);
  return config.build();
}

at::TensorIterator walk_rows(Tensors outputs, Tensors inputs, int64_t dim) {
  at::TensorIteratorConfig config;
  config.set_check_mem_overlap(false).resize_outputs(false).check_all_same_dtype(true);
  for (const at::Tensor* output : outputs) config.add_owned_output(output->select(dim, 0));
  for (const at::Tensor* input : inputs) config.add_owned_const_input(input->select(dim, 0));
  return config.build();
}

namespace {

// No gaps and one order: the elements correspond by their place in memory.
bool share_layout(Tensors outputs, Tensors inputs) {
  const at::Tensor& first = **outputs.begin();
  if (!first.is_non_overlapping_and_dense()) return false;
  const bool contiguous = first.is_contiguous();
  const auto matches = [&](const at::Tensor* tensor) {
    return (contiguous && tensor->is_contiguous()) || tensor->strides().equals(first.strides());
  };
  return std::all_of(outputs.begin() + 1, outputs.end(), matches) && std::all_of(inputs.begin(), inputs.end(), matches);
}

void run_cpu(const Call& call, Pass pass, Dtype dtype, Tensors outputs, Tensors inputs) {
  const cpu::Kernel kernel = cpu::kernel(call.op->index, pass, dtype);
  const double* params = call.params.data();
  const int64_t grain = is_heavy(call.op->spec, pass) ? 8192 : at::internal::GRAIN_SIZE;
  if (share_layout(outputs, inputs)) {
    char* data[kMaxOperands];
    int operands = 0;
    for (const at::Tensor* output : outputs) data[operands++] = static_cast<char*>(output->mutable_data_ptr());
    for (const at::Tensor* input : inputs)
      data[operands++] = static_cast<char*>(const_cast<void*>(input->const_data_ptr()));
    const int64_t n = (*outputs.begin())->numel(), size = (*outputs.begin())->element_size();
    if (n <= grain) {
      kernel(data, n, params);
      return;
    }
    at::parallel_for(0, n, grain, [&](int64_t begin, int64_t end) {
      char* chunk[kMaxOperands];
      for (int k = 0; k < operands; ++k) chunk[k] = data[k] + begin * size;
      kernel(chunk, end - begin, params);
    });
    return;
  }
  at::TensorIterator iterator = walk(outputs, inputs);
  const int count = static_cast<int>(outputs.size()), others = static_cast<int>(inputs.size());
  iterator.for_each(
      [&](char** data, const int64_t* strides, int64_t size0, int64_t size1) {
        cpu::run_strided(kernel, dtype, count, others, data, strides, size0, size1, params);
      },
      grain);
}

}  // namespace

void run(const Call& call, Pass pass, Dtype dtype, Tensors outputs, Tensors inputs) {
  const at::Tensor& first = **outputs.begin();
  if (first.numel() == 0) return;
  if (first.is_cpu()) {
    run_cpu(call, pass, dtype, outputs, inputs);
  } else {
    run_cuda(call, pass, dtype, outputs, inputs, share_layout(outputs, inputs));
  }
}

at::Tensor pointwise(const Call& call, Pass pass, Tensors inputs) {
  const Dtype dtype = check_inputs(call, pass, inputs);
  at::Tensor out = empty_output(*inputs.begin()[inputs.size() - 1]);
  run(call, pass, dtype, {&out}, inputs);
  return out;
}

at::Tensor& pointwise_(const Call& call, at::Tensor& self) {
  run(call, Pass::forward, check_inputs(call, Pass::forward, {&self}), {&self}, {&self});
  return self;
}

at::Tensor& pointwise_out(const Call& call, const at::Tensor& input, at::Tensor& out) {
  const Dtype dtype = check_inputs(call, Pass::forward, {&input});
  TORCH_CHECK(out.device() == input.device(), call.op->spec.name, ": out must be on the device of input (",
              input.device(), "), got ", out.device());
  TORCH_CHECK(c10::canCast(input.scalar_type(), out.scalar_type()), call.op->spec.name, ": result type ",
              input.scalar_type(), " can't be cast to the desired output type ", out.scalar_type());
  at::native::resize_output(out, input.sizes());
  if (out.scalar_type() != input.scalar_type()) return out.copy_(pointwise(call, Pass::forward, {&input}));
  at::assert_no_internal_overlap(out);
  at::assert_no_partial_overlap(out, input);
  run(call, Pass::forward, dtype, {&out}, {&input});
  return out;
}

at::Tensor constant_backward(const Op& op, const at::Tensor& grad_output) {
  check_inputs({&op}, Pass::backward, {&grad_output});
  return op.spec.constant_slope == 0 ? at::zeros_like(grad_output) : grad_output.clone();
}

}  // namespace act_ext
