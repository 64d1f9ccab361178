// The interface of cpu/ to the rest: kernels by pass and dtype, an op's table, and the tables in the List's order.
#pragma once

#include <array>
#include <cstdint>

#include "../pass.h"

namespace act_ext::cpu {

// The operands are the outputs, then the inputs, in the order of Pass; each n contiguous elements.
using Kernel = void (*)(char* const* operands, int64_t n, const double* params);

// Null where the op has no such pass or, as in a table of StretchesKernel, where the next best instruction set's kernel
// serves as well.
using Table = std::array<std::array<Kernel, kDtypes>, kPasses>;

// A pass of an activation with learned parameters, on n contiguous elements: the last outputs, one for each parameter,
// do not go to memory but, summed, to `sums`; or, where `terms` has a place for them, as they are, in what they are
// computed in, there.
using ReducingKernel = void (*)(char* const* operands, int64_t n, const double* params, double* sums,
                                char* const* terms);

// Adds rows of those terms to the sums of channels: column_step and row_step lead from sum to sum, and are 0 where all
// go to one. For float and for double.
using AddTerms = void (*)(const void* terms, int64_t columns, int64_t rows, int64_t column_step, int64_t row_step,
                          double* sums);
using AddTermsTable = std::array<AddTerms, 2>;

// Backward and double backward.
using ReducingTable = std::array<std::array<ReducingKernel, kDtypes>, 2>;

// Memory along which each learned parameter is one number for `length` elements; the next belong to the next channel,
// and after the last to the first again. A channel's parameters and, behind them, the constants are `per_channel`
// numbers.
struct Stretches {
  int64_t length, channels, per_channel;
  const double* numbers;
};

// Forward, for the elements `begin` to `end`.
using StretchesKernel = void (*)(char* output, const char* input, int64_t begin, int64_t end, const Stretches& along);

// Where the sums for each learned parameter begin, and how far on the next channel's are, 0 where all go to one.
struct SumsOfChannels {
  double* first[kMaxArity - 1];
  int64_t step[kMaxArity - 1];
};

// Backward likewise, of stretches no longer than kLongestSummed.
inline constexpr int64_t kLongestSummed = 512;
using ReducingStretchesKernel = void (*)(char* output, const char* grad_output, const char* input, int64_t begin,
                                         int64_t end, const Stretches& along, const SumsOfChannels& sums);

// Of one activation, by dtype.
struct StretchesTable {
  std::array<StretchesKernel, kDtypes> forward;
  std::array<ReducingStretchesKernel, kDtypes> backward;
};

// The operands are those of Kernel, each `sets` times `rows` rows of `length` elements. For each operand `steps` leads
// from element to element and `nexts` from row to row, and the second half of `nexts` from set to set, in bytes. sign:
// of the argument.
using RowsKernel = void (*)(char* const* operands, const int64_t* steps, const int64_t* nexts, int64_t length,
                            int64_t rows, int64_t sets, double sign);

using RowsTable = std::array<std::array<RowsKernel, kDtypes>, kRowPasses>;

// Maxout's passes over `count` units: the pieces of a unit lie `stride` elements apart, those of the next follow at 1,
// or, where stride is 1, behind its own.
using LargestKernel = void (*)(char* values, char* indices, const char* input, int64_t pieces, int64_t stride,
                               int64_t count);
using IndexedKernel = void (*)(char* output, const char* indices, const char* input, int64_t pieces, int64_t stride,
                               int64_t count);
struct MaxoutTable {
  std::array<LargestKernel, kDtypes> largest, neighbours;  // neighbours: stride 1
  std::array<IndexedKernel, kDtypes> scatter, pick;
};

// Where rrelu's slopes come from: uniform between the bounds, each a function of its element's number in the tensor and
// of the seed, 128 random bits of which every call has its own.
struct RandomSlopes {
  double lower, upper;
  std::array<uint64_t, 2> seed;
};

// `count` contiguous elements, of which the first has the number `first`, a multiple of kDrawnTogether. Where `values`
// is null, only the noise is wanted.
inline constexpr int64_t kDrawnTogether = 64;
using RreluKernel = void (*)(char* values, char* noise, const char* input, int64_t first, int64_t count,
                             const RandomSlopes& slopes);
using RreluTable = std::array<RreluKernel, kDtypes>;

}  // namespace act_ext::cpu
