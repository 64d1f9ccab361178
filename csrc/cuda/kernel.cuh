// The kernels over contiguous and strided memory and their launchers, for every op, pass and dtype. They know no op.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <utility>

#include "launch.h"

namespace act_ext::cuda {

// Sixteen bytes: what one memory instruction moves at most, and what memory is fastest with.
template <class S>
struct alignas(16) Pack {
  static constexpr int size = 16 / sizeof(S);
  S element[size];
};
template <class S>
struct alignas(sizeof(S)) Single {
  static constexpr int size = 1;
  S element[1];
};
template <class S, bool kPacked>
using AccessOf = std::conditional_t<kPacked, Pack<S>, Single<S>>;

template <class S, class F>
struct Pointers {
  S* out[F::outputs];
  const S* in[F::inputs];
};

constexpr int kThreads = 256;
// Blocks on a multiprocessor at the least. Left to itself the compiler aims for more and spills for it.
// With more than two inputs for each of a few parameters the registers of one block are needed.
template <class F>
constexpr int kBlocks = F::inputs > 6 ? 1 : 2;
// For each thread and operand. Two loads in flight hide more of the latency than one; but unrolled twice, arithmetic in
// double takes more registers than there are.
template <class S>
constexpr int kPacks = sizeof(S) == 8 ? 1 : 2;
template <class S>
constexpr int kTile = kThreads * kPacks<S> * Pack<S>::size;

// Low precision is computed in float and rounded once, at the store.
template <class S>
using Compute = std::conditional_t<std::is_same_v<S, double>, double, float>;

template <class S>
inline constexpr int kSignificantBits = std::is_same_v<S, __nv_bfloat16> ? 8
                                        : std::is_same_v<S, __half>      ? 11
                                                                         : std::numeric_limits<S>::digits;
template <template <class> class Op, Pass pass, class S>
using StepFor = typename RoundedStep<Op, pass, Compute<S>, kSignificantBits<S>>::type;

// By the toolkit's functions: torch's build flags disable its conversion operators.
__device__ __forceinline__ float widen(float x) { return x; }
__device__ __forceinline__ double widen(double x) { return x; }
__device__ __forceinline__ float widen(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ __forceinline__ float widen(__half x) { return __half2float(x); }
template <class S>
__device__ __forceinline__ S narrow(Compute<S> x) {
  if constexpr (std::is_same_v<S, __nv_bfloat16>) {
    return __float2bfloat16_rn(x);
  } else if constexpr (std::is_same_v<S, __half>) {
    return __float2half_rn(x);
  } else {
    return x;
  }
}

// What f gives for one element of each input, as an array that holds the one or several results.
template <class S>
__device__ __forceinline__ Results<Compute<S>, 1> results(Compute<S> x) {
  return {x};
}
template <class S, int kCount>
__device__ __forceinline__ Results<Compute<S>, kCount> results(const Results<Compute<S>, kCount>& all) {
  return all;
}
template <class S, class F, class... In>
__device__ __forceinline__ auto apply(const F& f, In... in) {
  return results<S>(f(widen(in)...));
}

// One tile a block. Offsets inside a tile fit 32 bits whatever the tensor's size. `packed`: all pointers are aligned.
template <class S, class F, std::size_t... I>
__global__ void __launch_bounds__(kThreads, kBlocks<F>)
    contiguous_kernel(Pointers<S, F> p, int64_t n, bool packed, F f, std::index_sequence<I...>) {
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * kTile<S>;
  S* out[F::outputs];
#pragma unroll
  for (int o = 0; o < F::outputs; ++o) out[o] = p.out[o] + begin;
  const S* const in[] = {p.in[I] + begin...};
  if (packed && n - begin >= kTile<S>) {
    Pack<S> pack[kPacks<S>][sizeof...(I)];
#pragma unroll
    for (int k = 0; k < kPacks<S>; ++k) {
      ((pack[k][I] = reinterpret_cast<const Pack<S>*>(in[I])[k * kThreads + threadIdx.x]), ...);
    }
#pragma unroll
    for (int k = 0; k < kPacks<S>; ++k) {
      Pack<S> result[F::outputs];
#pragma unroll
      for (int e = 0; e < Pack<S>::size; ++e) {
        const auto all = apply<S>(f, pack[k][I].element[e]...);
#pragma unroll
        for (int o = 0; o < F::outputs; ++o) result[o].element[e] = narrow<S>(all.value[o]);
      }
#pragma unroll
      for (int o = 0; o < F::outputs; ++o) {
        reinterpret_cast<Pack<S>*>(out[o])[k * kThreads + threadIdx.x] = result[o];
      }
    }
    return;
  }
  // The last tile, or memory that is not aligned.
  const int count = static_cast<int>(n - begin < kTile<S> ? n - begin : kTile<S>);
  for (int i = threadIdx.x; i < count; i += kThreads) {
    const auto all = apply<S>(f, in[I][i]...);
#pragma unroll
    for (int o = 0; o < F::outputs; ++o) out[o][i] = narrow<S>(all.value[o]);
  }
}

template <int kOperands>
struct Layout {
  int dims;
  int64_t sizes[kMaxDims];
  int64_t strides[kOperands][kMaxDims];
};

// Where 32 bits suffice they are several times cheaper.
__device__ __forceinline__ uint64_t quotient(uint64_t a, uint64_t b) {
  return (a | b) >> 32 == 0 ? static_cast<uint32_t>(a) / static_cast<uint32_t>(b) : a / b;
}

// Adds what leads to the place of that number, in each operand.
template <int kOperands>
__device__ __forceinline__ void add_offsets(const Layout<kOperands>& layout, uint64_t number,
                                            int64_t (&offset)[kOperands]) {
  uint64_t rest = number;
#pragma unroll 1
  for (int d = 0; d < layout.dims; ++d) {
    // What is left belongs to the outermost dimension.
    const uint64_t size = layout.sizes[d], next = d + 1 < layout.dims ? quotient(rest, size) : 0;
    const int64_t position = static_cast<int64_t>(rest - next * size);
    rest = next;
#pragma unroll
    for (int k = 0; k < kOperands; ++k) offset[k] += position * layout.strides[k][d];
  }
}

// One access a thread, of n: a pack where the innermost dimension is one of packs, else an element.
template <class S, bool kPacked, class F, std::size_t... I>
__global__ void __launch_bounds__(kThreads, kBlocks<F>)
    strided_kernel(Pointers<S, F> p, const __grid_constant__ Layout<F::outputs + F::inputs> layout, int64_t n, F f,
                   std::index_sequence<I...>) {
  using Access = AccessOf<S, kPacked>;
  const int64_t number = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (number >= n) return;
  int64_t offset[F::outputs + F::inputs] = {};
  add_offsets(layout, number, offset);
  const Access in[] = {
      *reinterpret_cast<const Access*>(reinterpret_cast<const char*>(p.in[I]) + offset[F::outputs + I])...};
  Access result[F::outputs];
#pragma unroll
  for (int e = 0; e < Access::size; ++e) {
    const auto all = apply<S>(f, in[I].element[e]...);
#pragma unroll
    for (int o = 0; o < F::outputs; ++o) result[o].element[e] = narrow<S>(all.value[o]);
  }
#pragma unroll
  for (int o = 0; o < F::outputs; ++o) {
    *reinterpret_cast<Access*>(reinterpret_cast<char*>(p.out[o]) + offset[o]) = result[o];
  }
}

inline int64_t divided_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t power_of_2_from(int64_t n) {
  int64_t power = 1;
  while (power < n) power *= 2;
  return power;
}
inline int64_t processors() {
  int device = 0, count = 1;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
  return count;
}

inline const char* last_error() {
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

template <class S, class F>
const char* launch(const F& f, const Operands& operands, void* stream) {
  using Indices = std::make_index_sequence<F::inputs>;
  const auto cuda_stream = static_cast<cudaStream_t>(stream);
  const int64_t n = operands.numel;

  Pointers<S, F> pointers;
  for (int k = 0; k < F::outputs; ++k) pointers.out[k] = static_cast<S*>(operands.data[k]);
  for (int k = 0; k < F::inputs; ++k) pointers.in[k] = static_cast<const S*>(operands.data[F::outputs + k]);
  bool packed = true;
  for (int k = 0; k < F::outputs + F::inputs; ++k) {
    packed = packed && reinterpret_cast<uintptr_t>(operands.data[k]) % 16 == 0;
  }
  if (operands.dims == 0) {
    const auto blocks = static_cast<unsigned>(divided_up(n, kTile<S>));
    contiguous_kernel<S><<<blocks, kThreads, 0, cuda_stream>>>(pointers, n, packed, f, Indices());
    return last_error();
  }
  Layout<F::outputs + F::inputs> layout{operands.dims, {}, {}};
  for (int d = 0; d < operands.dims; ++d) {
    layout.sizes[d] = operands.sizes[d];
    for (int k = 0; k < F::outputs + F::inputs; ++k) layout.strides[k][d] = operands.strides[k][d];
  }
  // Rows of whole packs, in all operands: halves of a tensor, slices.
  constexpr int size = Pack<S>::size;
  packed = packed && layout.sizes[0] % size == 0;
  for (int k = 0; k < F::outputs + F::inputs; ++k) {
    packed = packed && layout.strides[k][0] == sizeof(S);
    for (int d = 1; d < layout.dims; ++d) packed = packed && layout.strides[k][d] % 16 == 0;
  }
  const int64_t accesses = packed ? n / size : n;
  const auto blocks = static_cast<unsigned>(divided_up(accesses, kThreads));
  if (packed) {
    layout.sizes[0] /= size;
    for (int k = 0; k < F::outputs + F::inputs; ++k) layout.strides[k][0] = sizeof(Pack<S>);
    strided_kernel<S, true><<<blocks, kThreads, 0, cuda_stream>>>(pointers, layout, accesses, f, Indices());
  } else {
    strided_kernel<S, false><<<blocks, kThreads, 0, cuda_stream>>>(pointers, layout, accesses, f, Indices());
  }
  return last_error();
}

template <template <class> class Op, Pass pass, class S>
const char* launch_op(const Operands& operands, const double* params, void* stream) {
  return launch<S>(StepFor<Op, pass, S>(params), operands, stream);
}

template <template <class> class Op, Pass pass>
constexpr std::array<Launcher, kDtypes> by_dtype() {
  if constexpr (has_pass<Op>(pass)) {
    return {launch_op<Op, pass, float>, launch_op<Op, pass, double>, launch_op<Op, pass, __nv_bfloat16>,
            launch_op<Op, pass, __half>};
  } else {
    return {};
  }
}

template <template <class> class... Ops>
std::array<Table, sizeof...(Ops)> forward_tables(List<Ops...>) {
  return {Table{by_dtype<Ops, Pass::forward>()}...};
}

template <template <class> class... Ops>
std::array<Table, sizeof...(Ops)> tables(List<Ops...>) {
  return {Table{by_dtype<Ops, Pass::forward>(), by_dtype<Ops, Pass::backward>(), by_dtype<Ops, Pass::double_backward>(),
                by_dtype<Ops, Pass::backward_from_result>(), by_dtype<Ops, Pass::double_backward_from_result>()}...};
}

}  // namespace act_ext::cuda
