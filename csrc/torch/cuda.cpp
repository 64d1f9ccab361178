#include "cuda.h"

#ifdef ACT_EXT_WITH_CUDA

#include <ATen/TensorIterator.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/max.h>
#include <ATen/ops/scatter.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/uniform.h>
#include <ATen/ops/zero.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "../cuda/launch.h"

namespace act_ext {
namespace {

// c10's own core knows the current stream, so that this file needs no header of the CUDA toolkit.
void* current_stream(at::Device device) {
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device).native_handle();
}

void check(const Call& call, Pass pass, const char* error) {
  TORCH_CHECK(error == nullptr, dispatcher_name(*call.op, pass), ": CUDA error: ", error);
}

void take_layout(const Call& call, Pass pass, const at::TensorIterator& iterator, cuda::Operands& operands) {
  TORCH_CHECK(iterator.ndim() <= cuda::kMaxDims, dispatcher_name(*call.op, pass), ": input must have at most ",
              cuda::kMaxDims, " dimensions that do not merge in memory, got ", iterator.ndim());
  operands.numel = iterator.numel();
  operands.dims = iterator.ndim();
  for (int d = 0; d < operands.dims; ++d) operands.sizes[d] = iterator.shape()[d];
  for (int k = 0; k < operands.outputs + operands.inputs; ++k) {
    operands.data[k] = iterator.data_ptr(k);
    for (int d = 0; d < operands.dims; ++d) operands.strides[k][d] = iterator.strides(k)[d];
  }
}

void take_data(Tensors outputs, Tensors inputs, cuda::Operands& operands) {
  int k = 0;
  for (const at::Tensor* output : outputs) operands.data[k++] = output->mutable_data_ptr();
  for (const at::Tensor* input : inputs) operands.data[k++] = const_cast<void*>(input->const_data_ptr());
}

void launch(const Call& call, Pass pass, cuda::Launcher launcher, Tensors outputs, Tensors inputs, bool same_layout) {
  const at::Tensor& out = **outputs.begin();
  const c10::DeviceGuard guard(out.device());
  cuda::Operands operands;
  operands.outputs = static_cast<int>(outputs.size());
  operands.inputs = static_cast<int>(inputs.size());
  if (same_layout) {
    operands.numel = out.numel();
    take_data(outputs, inputs, operands);
  } else {
    take_layout(call, pass, walk(outputs, inputs), operands);
  }
  check(call, pass, launcher(operands, call.params.data(), current_stream(out.device())));
}

}  // namespace

void run_cuda(const Call& call, Pass pass, Dtype dtype, Tensors outputs, Tensors inputs, bool same_layout) {
  launch(call, pass, cuda::launcher(call.op->index, pass, dtype), outputs, inputs, same_layout);
}

void run_rows_on_cuda(const Call& call, Pass pass, Dtype dtype, int64_t dim, Tensors outputs, Tensors inputs) {
  const at::Tensor& out = **outputs.begin();
  const c10::DeviceGuard guard(out.device());
  const int64_t size = out.element_size();
  cuda::RowOperands rows;
  rows.firsts.outputs = static_cast<int>(outputs.size());
  rows.firsts.inputs = static_cast<int>(inputs.size());
  rows.length = out.dim() == 0 ? 1 : out.size(dim);
  const auto for_operands = [&](auto f) {
    int k = 0;
    for (const at::Tensor* output : outputs) f(k++, *output);
    for (const at::Tensor* input : inputs) f(k++, *input);
  };
  bool contiguous = dim == std::max<int64_t>(out.dim(), 1) - 1;
  for_operands([&](int, const at::Tensor& operand) { contiguous = contiguous && operand.is_contiguous(); });
  if (contiguous) {
    rows.firsts.numel = out.numel() / rows.length;
    take_data(outputs, inputs, rows.firsts);
    rows.firsts.dims = 1;
    rows.firsts.sizes[0] = rows.firsts.numel;
  } else {
    take_layout(call, pass, walk_rows(outputs, inputs, dim), rows.firsts);
  }
  for_operands([&](int k, const at::Tensor& operand) {
    if (contiguous) rows.firsts.strides[k][0] = rows.length * size;
    rows.steps[k] = rows.length == 1 ? size : operand.stride(dim) * size;
  });

  at::Tensor workspace;
  if (const int64_t bytes = cuda::row_workspace(rows, dtype)) {
    workspace = at::empty({bytes}, out.options().dtype(at::kByte));
  }
  const cuda::RowsLauncher launch = cuda::rows_launcher(call.op->kernel, pass, dtype);
  check(call, pass,
        launch(rows, call.op->sign, workspace.defined() ? workspace.mutable_data_ptr() : nullptr,
               current_stream(out.device())));
}

// The terms of the parameters' gradients are written, in float32 at the least, and summed by torch.
std::vector<at::Tensor> reduce_on_cuda(const Call& call, Pass pass, Dtype dtype, Tensors outputs, Tensors inputs,
                                       const std::vector<int64_t>& sizes) {
  const at::Tensor& first = **outputs.begin();
  const bool low = dtype == Dtype::bfloat16 || dtype == Dtype::float16;
  const auto wide = [&](const at::Tensor& tensor) { return low ? tensor.to(at::kFloat) : tensor; };
  std::vector<at::Tensor> given, results;
  std::vector<const at::Tensor*> given_pointers, result_pointers;
  for (const at::Tensor* input : inputs) given.push_back(wide(*input));
  for (size_t k = 0; k < outputs.size() + sizes.size(); ++k) {
    results.push_back(k < outputs.size() && !low ? *outputs[k] : at::empty(first.sizes(), given[0].options()));
  }
  for (const at::Tensor& tensor : given) given_pointers.push_back(&tensor);
  for (const at::Tensor& tensor : results) result_pointers.push_back(&tensor);
  if (first.numel() > 0) {
    run_cuda(call, pass, low ? Dtype::float32 : dtype, result_pointers, given_pointers, /*same_layout=*/false);
  }
  for (size_t k = 0; low && k < outputs.size(); ++k) outputs[k]->copy_(results[k]);
  std::vector<at::Tensor> gradients;
  for (size_t p = 0; p < sizes.size(); ++p) {
    const at::Tensor &terms = results[outputs.size() + p], &parameter = *inputs[inputs.size() - sizes.size() + p];
    // The parameter was expanded to the input's shape from its channels.
    std::vector<int64_t> reduced;
    for (int64_t d = 0; d < terms.dim(); ++d) {
      if (sizes[p] == 1 || parameter.stride(d) == 0 || parameter.size(d) != sizes[p]) reduced.push_back(d);
    }
    const at::Tensor sum = reduced.empty() ? terms : terms.sum(reduced);
    gradients.push_back(sum.to(first.scalar_type()).reshape({sizes[p]}));
  }
  return gradients;
}

// By torch's own operators: kernels of its own are not written yet.
void run_maxout_on_cuda(MaxoutPass pass, const at::Tensor& output, const at::Tensor& indices, const at::Tensor& input,
                        int64_t pieces, int64_t inner) {
  const auto of_units = [&](const at::Tensor& tensor) { return tensor.view({-1, 1, inner}); };
  const auto of_pieces = [&](const at::Tensor& tensor) { return tensor.view({-1, pieces, inner}); };
  switch (pass) {
    case MaxoutPass::largest: {
      const auto [values, where] = of_pieces(input).max(1, /*keepdim=*/true);
      of_units(output).copy_(values);
      of_units(indices).copy_(where);
      return;
    }
    case MaxoutPass::scatter:
      of_pieces(output).zero_().scatter_(1, of_units(indices).to(at::kLong), of_units(input));
      return;
    case MaxoutPass::pick:
      of_units(output).copy_(of_pieces(input).gather(1, of_units(indices).to(at::kLong)));
      return;
  }
}

// By torch's own generator, whose state CUDA graphs know how to advance.
void draw_on_cuda(const Call& call, Dtype dtype, const std::optional<at::Generator>& generator,
                  const at::Tensor* values, const at::Tensor& noise, const at::Tensor& input) {
  noise.uniform_(call.params[0], call.params[1], generator);
  const bool same_layout = input.is_non_overlapping_and_dense();
  const auto launcher = cuda::rrelu_launcher(dtype, /*with_values=*/values != nullptr);
  if (values == nullptr) return launch(call, Pass::forward, launcher, {&noise}, {&input, &noise}, same_layout);
  launch(call, Pass::forward, launcher, {values, &noise}, {&input, &noise}, same_layout);
}

bool built_with_cuda() { return true; }

}  // namespace act_ext

#else

namespace act_ext {

namespace {

[[noreturn]] void complain(const Call& call, Pass pass, const at::Tensor& tensor) {
  TORCH_CHECK_NOT_IMPLEMENTED(false, dispatcher_name(*call.op, pass), ": got a tensor on ", tensor.device(),
                              ", but act_ext was built without CUDA kernels; rebuild it with a CUDA build of torch "
                              "and nvcc: FORCE_CUDA=1 pip install --no-build-isolation .");
}

}  // namespace

void run_cuda(const Call& call, Pass pass, Dtype, Tensors outputs, Tensors, bool) {
  complain(call, pass, **outputs.begin());
}

void run_rows_on_cuda(const Call& call, Pass pass, Dtype, int64_t, Tensors outputs, Tensors) {
  complain(call, pass, **outputs.begin());
}

std::vector<at::Tensor> reduce_on_cuda(const Call& call, Pass pass, Dtype, Tensors outputs, Tensors,
                                       const std::vector<int64_t>&) {
  complain(call, pass, **outputs.begin());
}

void run_maxout_on_cuda(MaxoutPass, const at::Tensor& output, const at::Tensor&, const at::Tensor&, int64_t, int64_t) {
  complain({find_op("maxout")}, Pass::forward, output);
}

void draw_on_cuda(const Call& call, Dtype, const std::optional<at::Generator>&, const at::Tensor*, const at::Tensor&,
                  const at::Tensor& input) {
  complain(call, Pass::forward, input);
}

bool built_with_cuda() { return false; }

}  // namespace act_ext

#endif
