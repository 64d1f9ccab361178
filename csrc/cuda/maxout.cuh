// The kernels of maxout (MaxoutPass) and their launchers, for every dtype.
#pragma once

#include <algorithm>
#include <initializer_list>

#include "../activations/maxout.h"
#include "kernel.cuh"

namespace act_ext::cuda {

// Units in accesses, of which `inner` lie side by side between a unit's pieces.
struct Units {
  int64_t count, inner, pieces;

  // Where a unit's first piece is among all pieces.
  __device__ int64_t first(int64_t unit) const { return unit + quotient(unit, inner) * (pieces - 1) * inner; }
};

// As many indices as an access has elements.
template <class I, int kSize>
struct alignas(sizeof(I) * kSize < 16 ? sizeof(I) * kSize : 16) Indices {
  I element[kSize];
};

inline bool are_aligned(std::initializer_list<const void*> pointers) {
  return std::all_of(pointers.begin(), pointers.end(),
                     [](const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; });
}
inline dim3 blocks_for(int64_t threads) { return {static_cast<unsigned>(divided_up(threads, kThreads))}; }
__device__ __forceinline__ int64_t thread_number() { return static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; }

// `lanes` neighbouring threads, a power of 2 within a warp, share a unit, and each takes every lanes'th piece.
template <class S, class I, bool kPacked>
__global__ void __launch_bounds__(kThreads)
    largest_kernel(S* values, I* indices, const S* input, const Units units, int lanes) {
  using V = Compute<S>;
  using Access = AccessOf<S, kPacked>;
  const int64_t wanted = thread_number() / lanes, unit = wanted < units.count ? wanted : units.count - 1;
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  const auto* from = reinterpret_cast<const Access*>(input) + units.first(unit);
  Largest<V> largest[Access::size];
  const Access first = from[lane * units.inner];
#pragma unroll
  for (int e = 0; e < Access::size; ++e) largest[e] = {widen(first.element[e]), static_cast<V>(lane)};
#pragma unroll 4
  for (int64_t k = lane + lanes; k < units.pieces; k += lanes) {
    const Access piece = from[k * units.inner];
#pragma unroll
    for (int e = 0; e < Access::size; ++e) largest[e].consider(widen(piece.element[e]), static_cast<V>(k));
  }
  // Of what two lanes have, the earlier piece is considered first.
  for (int offset = 1; offset < lanes; offset *= 2) {
#pragma unroll
    for (int e = 0; e < Access::size; ++e) {
      const Largest<V> mine = largest[e];
      const Largest<V> other{__shfl_xor_sync(0xffffffff, mine.value, offset),
                             __shfl_xor_sync(0xffffffff, mine.piece, offset)};
      const bool first_is_mine = mine.piece < other.piece;
      const Largest<V>& second = first_is_mine ? other : mine;
      largest[e] = first_is_mine ? mine : other;
      largest[e].consider(second.value, second.piece);
    }
  }
  if (wanted >= units.count || lane > 0) return;
  Access value;
  Indices<I, Access::size> index;
#pragma unroll
  for (int e = 0; e < Access::size; ++e) {
    value.element[e] = narrow<S>(largest[e].value);
    index.element[e] = static_cast<I>(largest[e].piece);
  }
  reinterpret_cast<Access*>(values)[unit] = value;
  reinterpret_cast<Indices<I, Access::size>*>(indices)[unit] = index;
}

// S: an unsigned integer of the elements' size. An access of units a thread, that of all pieces.
template <class S, class I, bool kPacked>
__global__ void __launch_bounds__(kThreads)
    scatter_kernel(S* output, const I* indices, const S* gradients, const Units units) {
  using Access = AccessOf<S, kPacked>;
  const int64_t unit = thread_number();
  if (unit >= units.count) return;
  const auto index = reinterpret_cast<const Indices<I, Access::size>*>(indices)[unit];
  const auto gradient = reinterpret_cast<const Access*>(gradients)[unit];
  auto* const to = reinterpret_cast<Access*>(output) + units.first(unit);
  for (int64_t k = 0; k < units.pieces; ++k) {
    Access piece;
#pragma unroll
    for (int e = 0; e < Access::size; ++e) piece.element[e] = index.element[e] == k ? gradient.element[e] : S(0);
    to[k * units.inner] = piece;
  }
}

// The same where a unit's pieces are neighbours: an access of the output a thread, count of them.
template <class S, class I, bool kPacked>
__global__ void __launch_bounds__(kThreads)
    scatter_neighbours_kernel(S* output, const I* indices, const S* gradients, int64_t count, int64_t pieces) {
  using Access = AccessOf<S, kPacked>;
  const int64_t number = thread_number();
  if (number >= count) return;
  int64_t unit = quotient(number * Access::size, pieces), piece = number * Access::size - unit * pieces;
  Access to;
#pragma unroll
  for (int e = 0; e < Access::size; ++e) {
    to.element[e] = indices[unit] == piece ? gradients[unit] : S(0);
    if (++piece == pieces) ++unit, piece = 0;
  }
  reinterpret_cast<Access*>(output)[number] = to;
}

template <class S, class I>
__global__ void __launch_bounds__(kThreads)
    pick_kernel(S* output, const I* indices, const S* input, const Units units) {
  const int64_t unit = thread_number();
  if (unit < units.count) output[unit] = input[units.first(unit) + indices[unit] * units.inner];
}

// S: an element; Bits: an unsigned integer of its size.
template <class S, class Bits, class I>
const char* launch_maxout(MaxoutPass pass, const MaxoutOperands& all, void* stream) {
  constexpr int64_t size = Pack<S>::size;
  const auto cuda_stream = static_cast<cudaStream_t>(stream);
  I* const indices = static_cast<I*>(all.indices);
  const bool aligned = are_aligned({all.units, all.indices, all.pieces}), packed = aligned && all.inner % size == 0;
  const Units single{all.count, all.inner, all.num_pieces};
  const Units units = packed ? Units{all.count / size, all.inner / size, all.num_pieces} : single;
  if (pass == MaxoutPass::largest) {
    S* const values = static_cast<S*>(all.units);
    const S* const input = static_cast<const S*>(all.pieces);
    // Neighbours are shared once there are several for each lane.
    int lanes = 1;
    while (all.inner == 1 && lanes < 32 && 8 * lanes <= all.num_pieces) lanes *= 2;
    const dim3 blocks = blocks_for(units.count * lanes);
    if (packed) {
      largest_kernel<S, I, true><<<blocks, kThreads, 0, cuda_stream>>>(values, indices, input, units, lanes);
    } else {
      largest_kernel<S, I, false><<<blocks, kThreads, 0, cuda_stream>>>(values, indices, input, units, lanes);
    }
    return last_error();
  }
  Bits* const of_units = static_cast<Bits*>(all.units);
  Bits* const of_pieces = static_cast<Bits*>(all.pieces);
  if (pass == MaxoutPass::pick) {
    const dim3 blocks = blocks_for(single.count);
    pick_kernel<Bits, I><<<blocks, kThreads, 0, cuda_stream>>>(of_units, indices, of_pieces, single);
  } else if (all.inner == 1) {
    const int64_t elements = all.count * all.num_pieces;
    const bool whole = aligned && elements % size == 0;
    const int64_t count = whole ? elements / size : elements;
    const auto kernel = whole ? scatter_neighbours_kernel<Bits, I, true> : scatter_neighbours_kernel<Bits, I, false>;
    const dim3 blocks = blocks_for(count);
    kernel<<<blocks, kThreads, 0, cuda_stream>>>(of_pieces, indices, of_units, count, all.num_pieces);
  } else {
    const auto kernel = packed ? scatter_kernel<Bits, I, true> : scatter_kernel<Bits, I, false>;
    const dim3 blocks = blocks_for(units.count);
    kernel<<<blocks, kThreads, 0, cuda_stream>>>(of_pieces, indices, of_units, units);
  }
  return last_error();
}

template <class I>
const char* launch_maxout(MaxoutPass pass, Dtype dtype, const MaxoutOperands& operands, void* stream) {
  switch (dtype) {
    case Dtype::float32:
      return launch_maxout<float, uint32_t, I>(pass, operands, stream);
    case Dtype::float64:
      return launch_maxout<double, uint64_t, I>(pass, operands, stream);
    case Dtype::bfloat16:
      return launch_maxout<__nv_bfloat16, uint16_t, I>(pass, operands, stream);
    case Dtype::float16:
      return launch_maxout<__half, uint16_t, I>(pass, operands, stream);
  }
  return nullptr;
}

}  // namespace act_ext::cuda
