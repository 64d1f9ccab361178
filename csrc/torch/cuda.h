// The way to the CUDA kernels from tensors. In a build without CUDA it raises.
#pragma once

#include "../activations/maxout.h"
#include "elementwise.h"

namespace act_ext {

// same_layout: all tensors are dense with the same strides.
void run_cuda(const Call& call, Pass pass, Dtype dtype, Tensors outputs, Tensors inputs, bool same_layout);

// A pass of a row function along a dimension.
void run_rows_on_cuda(const Call& call, Pass pass, Dtype dtype, int64_t dim, Tensors outputs, Tensors inputs);

// A backward pass of an activation with learned parameters, which are the last inputs: fills the outputs and gives the
// parameters' gradients, of these sizes.
std::vector<at::Tensor> reduce_on_cuda(const Call& call, Pass pass, Dtype dtype, Tensors outputs, Tensors inputs,
                                       const std::vector<int64_t>& sizes);

// `output` and `input` are the units and all pieces, or the other way round; all contiguous and not empty.
void run_maxout_on_cuda(MaxoutPass pass, Dtype dtype, const at::Tensor& output, const at::Tensor& indices,
                        const at::Tensor& input, int64_t pieces, int64_t inner);

// A derivative of a slope (csrc/higher.h), float64 and contiguous.
void run_higher_on_cuda(const Call& call, int order, bool from_result, const at::Tensor& output,
                        const at::Tensor& input);

// Rrelu's noise, and the values where there is a place for them.
void draw_on_cuda(const Call& call, Dtype dtype, const std::optional<at::Generator>& generator,
                  const at::Tensor* values, const at::Tensor& noise, const at::Tensor& input);

ACT_EXT_API bool built_with_cuda();

}  // namespace act_ext
