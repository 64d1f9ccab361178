#include "cuda.h"

#ifdef ACT_EXT_WITH_CUDA

#include <ATen/TensorIterator.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "../cuda/launch.h"

namespace act_ext {

void run_cuda(const Call& call, Pass pass, Dtype dtype, Tensors outputs, Tensors inputs, bool same_layout) {
  const at::Tensor& out = **outputs.begin();
  const c10::DeviceGuard guard(out.device());
  // c10's own core knows the current stream, so that this file needs no header of the CUDA toolkit.
  void* stream = c10::impl::VirtualGuardImpl(out.device().type()).getStream(out.device()).native_handle();
  const auto check = [&](const char* error) {
    TORCH_CHECK(error == nullptr, dispatcher_name(*call.op, pass), ": CUDA error: ", error);
  };
  const cuda::Launcher launch = cuda::launcher(call.op->index, pass, dtype);

  cuda::Operands operands;
  operands.outputs = static_cast<int>(outputs.size());
  operands.inputs = static_cast<int>(inputs.size());
  if (same_layout) {
    operands.numel = out.numel();
    int k = 0;
    for (const at::Tensor* output : outputs) operands.data[k++] = output->mutable_data_ptr();
    for (const at::Tensor* input : inputs) operands.data[k++] = const_cast<void*>(input->const_data_ptr());
    check(launch(operands, call.params.data(), stream));
    return;
  }
  const at::TensorIterator iterator = walk(outputs, inputs);
  TORCH_CHECK(iterator.ndim() <= cuda::kMaxDims, dispatcher_name(*call.op, pass), ": input must have at most ",
              cuda::kMaxDims, " dimensions that do not merge in memory, got ", iterator.ndim());
  operands.numel = iterator.numel();
  operands.dims = iterator.ndim();
  for (int d = 0; d < operands.dims; ++d) operands.sizes[d] = iterator.shape()[d];
  for (int k = 0; k < operands.outputs + operands.inputs; ++k) {
    operands.data[k] = iterator.data_ptr(k);
    for (int d = 0; d < operands.dims; ++d) operands.strides[k][d] = iterator.strides(k)[d];
  }
  check(launch(operands, call.params.data(), stream));
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

bool built_with_cuda() { return false; }

}  // namespace act_ext

#endif
