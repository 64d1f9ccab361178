// The kernel of derivatives of slopes, in float64, over contiguous memory: seldom wanted, so one for each is enough.
#pragma once

#include "../higher.h"
#include "kernel.cuh"

namespace act_ext::cuda {

// Long arithmetic that keeps many numbers: few threads in a block leave each all the registers there are.
constexpr int kFewThreads = 128;

template <class F>
__global__ void __launch_bounds__(kFewThreads, 1) higher_kernel(double* out, const double* in, int64_t n, F f) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kFewThreads + threadIdx.x;
  if (i < n) out[i] = f(in[i]);
}

template <class F>
const char* launch_higher(const Operands& operands, const double* params, void* stream) {
  const auto cuda_stream = static_cast<cudaStream_t>(stream);
  const auto blocks = static_cast<unsigned>(divided_up(operands.numel, kFewThreads));
  auto* const out = static_cast<double*>(operands.data[0]);
  const auto* const in = static_cast<const double*>(operands.data[1]);
  higher_kernel<F><<<blocks, kFewThreads, 0, cuda_stream>>>(out, in, operands.numel, F(params));
  return last_error();
}

}  // namespace act_ext::cuda
