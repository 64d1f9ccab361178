#include "cuda.h"

#ifdef ACT_EXT_WITH_CUDA

#include <ATen/TensorIterator.h>
#include <ATen/ops/empty.h>
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

std::vector<at::Tensor> reduce_on_cuda(const Call& call, Pass pass, Dtype dtype, Tensors outputs, Tensors inputs,
                                       const std::vector<int64_t>& sizes) {
  const at::Tensor& first = **outputs.begin();
  const c10::DeviceGuard guard(first.device());
  std::vector<at::Tensor> gradients;
  for (const int64_t size : sizes) gradients.push_back(at::empty({size}, first.options()));
  if (first.numel() == 0) {
    for (at::Tensor& gradient : gradients) gradient.zero_();
    return gradients;
  }
  cuda::Reduced reduced;
  reduced.operands.outputs = static_cast<int>(outputs.size());
  reduced.operands.inputs = static_cast<int>(inputs.size());
  reduced.parameters = static_cast<int>(sizes.size());
  take_layout(call, pass, walk(outputs, inputs), reduced.operands);
  for (size_t p = 0; p < sizes.size(); ++p) reduced.gradients[p] = gradients[p].mutable_data_ptr();
  const at::Tensor workspace = at::empty({cuda::reducing_workspace(reduced, dtype)}, first.options().dtype(at::kByte));
  const cuda::ReducingLauncher launch = cuda::reducing_launcher(call.op->kernel, pass, dtype);
  check(call, pass, launch(reduced, call.params.data(), workspace.mutable_data_ptr(), current_stream(first.device())));
  return gradients;
}

void run_maxout_on_cuda(MaxoutPass pass, Dtype dtype, const at::Tensor& output, const at::Tensor& indices,
                        const at::Tensor& input, int64_t pieces, int64_t inner) {
  const c10::DeviceGuard guard(output.device());
  const bool scatters = pass == MaxoutPass::scatter;
  void *const to = output.mutable_data_ptr(), *const from = const_cast<void*>(input.const_data_ptr());
  void* const which =
      pass == MaxoutPass::largest ? indices.mutable_data_ptr() : const_cast<void*>(indices.const_data_ptr());
  const cuda::MaxoutOperands operands{scatters ? from : to, which, scatters ? to : from,
                                      indices.numel(),      inner, pieces};
  check({find_op("maxout")}, scatters ? Pass::backward : Pass::forward,
        cuda::run_maxout(pass, dtype, indices.element_size(), operands, current_stream(output.device())));
}

void run_higher_on_cuda(const Call& call, int order, bool from_result, const at::Tensor& output,
                        const at::Tensor& input) {
  if (input.numel() == 0) return;
  const auto launcher = cuda::higher_launcher(call.op->index, order, from_result);
  launch(call, Pass::double_backward, launcher, {&output}, {&input}, /*same_layout=*/true);
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

void run_maxout_on_cuda(MaxoutPass, Dtype, const at::Tensor& output, const at::Tensor&, const at::Tensor&, int64_t,
                        int64_t) {
  complain({find_op("maxout")}, Pass::forward, output);
}

void run_higher_on_cuda(const Call& call, int, bool, const at::Tensor& output, const at::Tensor&) {
  complain(call, Pass::double_backward, output);
}

void draw_on_cuda(const Call& call, Dtype, const std::optional<at::Generator>&, const at::Tensor*, const at::Tensor&,
                  const at::Tensor& input) {
  complain(call, Pass::forward, input);
}

bool built_with_cuda() { return false; }

}  // namespace act_ext

#endif
