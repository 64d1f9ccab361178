// The interface of cuda/ to the rest. No header of torch or of the CUDA toolkit is needed to use it.
#pragma once

#include <array>
#include <cstdint>

#include "../activations/maxout.h"
#include "../higher.h"
#include "../pass.h"

namespace act_ext::cuda {

inline constexpr int kMaxDims = 32;

// The outputs first, then the inputs in the order of Pass.
struct Operands {
  int outputs, inputs;
  int64_t numel;
  void* data[kMaxOperands];
  // 0 where all operands share one dense layout; else the dimensions from the innermost outwards, strides in bytes.
  int dims = 0;
  int64_t sizes[kMaxDims];
  int64_t strides[kMaxOperands][kMaxDims];
};

// Launches on the cudaStream_t `stream` of the current device. Returns null, or what CUDA says went wrong.
using Launcher = const char* (*)(const Operands& operands, const double* params, void* stream);

// Null where the op has no such pass.
using Table = std::array<std::array<Launcher, kDtypes>, kPasses>;

Launcher launcher(int op, Pass pass, Dtype dtype);

// A derivative of a slope, in float64; order: of the slope.
Launcher higher_launcher(int op, int order, bool from_result);

// Of rrelu, whose noise is the last output and, as slopes for all elements, the last input.
Launcher rrelu_launcher(Dtype dtype, bool with_values);

// Operands as rows along one dimension.
struct RowOperands {
  Operands firsts;  // the rows' first elements; numel: how many rows; never of the one dense layout
  int64_t length;
  int64_t steps[kMaxOperands];  // from a row's element to its next, in bytes
};

// sign: of the argument. workspace: device memory of row_workspace bytes.
using RowsLauncher = const char* (*)(const RowOperands& operands, double sign, void* workspace, void* stream);
using RowsTable = std::array<std::array<RowsLauncher, kDtypes>, kRowPasses>;

int64_t row_workspace(const RowOperands& operands, Dtype dtype);

// Operands of a backward pass of an activation with learned parameters: the outputs that go to memory, and all inputs,
// the parameters the last. Those, and their gradients' gradients, have strides of 0 except in at most one dimension,
// the channels', of which the gradients have as many elements, or one.
struct Reduced {
  Operands operands;
  int parameters;
  void* gradients[kMaxArity - 1];
};

// workspace: device memory of reducing_workspace bytes.
using ReducingLauncher = const char* (*)(const Reduced& reduced, const double* params, void* workspace, void* stream);
// Backward and double backward.
using ReducingTable = std::array<std::array<ReducingLauncher, kDtypes>, 2>;

int64_t reducing_workspace(const Reduced& reduced, Dtype dtype);

// index: in LearnedActivations.
ReducingLauncher reducing_launcher(int index, Pass pass, Dtype dtype);

// Operands of maxout, contiguous: `count` units whose `num_pieces` pieces lie `inner` elements apart.
struct MaxoutOperands {
  void *units, *indices, *pieces;
  int64_t count, inner, num_pieces;
};

// index_size: in bytes, of uint8, int16 or int32.
const char* run_maxout(MaxoutPass pass, Dtype dtype, int64_t index_size, const MaxoutOperands& operands, void* stream);

// kernel: in RowKernels.
RowsLauncher rows_launcher(int kernel, Pass pass, Dtype dtype);

}  // namespace act_ext::cuda
