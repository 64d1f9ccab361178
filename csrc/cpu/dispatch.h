// Chooses the instruction set, once, and runs kernels over memory of any layout.
#pragma once

#include "../higher.h"
#include "table.h"

namespace act_ext::cpu {

// "default", "avx2" or "avx512": the best that this processor and the build have, or what ACT_EXT_CPU_CAPABILITY
// names. Throws std::invalid_argument if that is unknown or not to be had.
__attribute__((visibility("default"))) const char* capability();

// Null where the op has no such pass.
Kernel kernel(int op, Pass pass, Dtype dtype);

// In float64; null where the op has no slope to differentiate, or none from the result. order: of the slope.
Kernel higher_kernel(int op, int order, bool from_result);

// index: in LearnedActivations.
StretchesKernel stretches_kernel(int index, Dtype dtype);
// Null on an x86 processor without AVX2.
ReducingStretchesKernel reducing_stretches_kernel(int index, Dtype dtype);
ReducingKernel reducing_kernel(int index, Pass pass, Dtype dtype);

// Its indices are uint8 up to 256 pieces, int16 up to 32768, else int32.
const MaxoutTable& maxout_table(int64_t pieces);

RreluKernel rrelu_kernel(Dtype dtype);

// index: in RowKernels.
RowsKernel rows_kernel(int index, Pass pass, Dtype dtype);

// Runs the kernel on strided memory, size1 rows of size0 elements. data and strides (in bytes, size0's for every
// operand and then size1's) are those of TensorIterator, the outputs first. Elements pass through a small buffer, so
// the arithmetic is the contiguous kernel's, bit for bit.
void run_strided(Kernel kernel, Dtype dtype, int outputs, int inputs, char** data, const int64_t* strides,
                 int64_t size0, int64_t size1, const double* params);

// Where the elements of a learned parameter begin, and what is summed for each of them.
struct Reduced {
  const char* parameter;
  double* sums;
};

// As run_strided; the parameters are the last inputs, their strides 0 or from channel to channel.
void run_reducing(ReducingKernel kernel, Dtype dtype, int outputs, int inputs, int parameters, char** data,
                  const int64_t* strides, int64_t size0, int64_t size1, const double* params, const Reduced* reduced);

}  // namespace act_ext::cpu
