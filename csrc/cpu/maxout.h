// The kernels of maxout, for every dtype: over units whose pieces lie `stride` elements apart in the input, `count`
// units side by side, in the same order in all operands.
#pragma once

#include "../activations/maxout.h"
#include "reduce.h"

namespace act_ext::CPU_CAPABILITY {

// Which pieces are largest, in the smallest whole numbers that hold them.
template <class S, class I>
void largest_kernel(char* values, char* indices, const char* input, int64_t pieces, int64_t stride, int64_t count) {
  using V = typename Memory<S>::V;
  constexpr int64_t size = Memory<S>::size;
  S* const out = reinterpret_cast<S*>(values);
  I* const which = reinterpret_cast<I*>(indices);
  const S* const in = reinterpret_cast<const S*>(input);
  for (int64_t i = 0; i < count; i += size) {
    const int64_t width = std::min(size, count - i);
    const auto piece = [&](int64_t k) {
      const S* const from = in + k * stride + i;
      if (width == size) return Memory<S>::load(from);
      S filled[size] = {};
      std::memcpy(filled, from, width * sizeof(S));
      return Memory<S>::load(filled);
    };
    Largest<V> largest{piece(0), V(0)};
    for (int64_t k = 1; k < pieces; ++k) largest.consider(piece(k), V(static_cast<double>(k)));
    S result[size];
    Wide<S> numbers[size];
    Memory<S>::store(largest.value, result);
    std::memcpy(out + i, result, width * sizeof(S));
    store_in_order<S>(largest.piece, numbers);
    for (int64_t j = 0; j < width; ++j) which[i + j] = static_cast<I>(numbers[j]);
  }
}

// Writes the pieces of `units` units, which stand side by side, as rows of kTogether elements. kPieces: how many they
// are, where the compiler is to know it and take vectors apart (which it does for a function of its own), or 0.
template <int kPieces, int64_t kTogether, class S>
__attribute__((noinline)) void take_apart(const S* __restrict in, S* __restrict apart, int64_t pieces, int64_t units) {
  if constexpr (kPieces > 0) {
    for (int64_t j = 0; j < units; ++j) {
      for (int k = 0; k < kPieces; ++k) apart[k * kTogether + j] = in[j * kPieces + k];
    }
  } else {
    for (int64_t k = 0; k < pieces; ++k) {
      for (int64_t j = 0; j < units; ++j) apart[k * kTogether + j] = in[j * pieces + k];
    }
  }
}

// largest_kernel for units of neighbouring pieces, which are taken apart first.
template <class S, class I>
void neighbours_kernel(char* values, char* indices, const char* input, int64_t pieces, int64_t, int64_t count) {
  // Of 16 bits the compiler moves integers only by vectors.
  using Element = std::conditional_t<sizeof(S) == 2, uint16_t, S>;
  constexpr int64_t kTogether = 4 * Memory<S>::size;
  const std::unique_ptr<Element[]> apart(new Element[pieces * kTogether]);
  const auto take = pieces == 2   ? take_apart<2, kTogether, Element>
                    : pieces == 3 ? take_apart<3, kTogether, Element>
                    : pieces == 4 ? take_apart<4, kTogether, Element>
                                  : take_apart<0, kTogether, Element>;
  for (int64_t i = 0; i < count; i += kTogether) {
    const int64_t units = std::min(kTogether, count - i);
    take(reinterpret_cast<const Element*>(input) + i * pieces, apart.get(), pieces, units);
    largest_kernel<S, I>(values + i * sizeof(S), indices + i * sizeof(I), reinterpret_cast<const char*>(apart.get()),
                         pieces, kTogether, units);
  }
}

// S: an unsigned integer of the elements' size. The gradient goes to the largest piece, 0 to the others.
template <class S, class I>
void scatter_kernel(char* output, const char* indices, const char* gradient, int64_t pieces, int64_t stride,
                    int64_t count) {
  S* const out = reinterpret_cast<S*>(output);
  const I* const which = reinterpret_cast<const I*>(indices);
  const S* const from = reinterpret_cast<const S*>(gradient);
  if (stride == 1) {
    std::memset(out, 0, pieces * count * sizeof(S));
    for (int64_t i = 0; i < count; ++i) out[i * pieces + which[i]] = from[i];
    return;
  }
  for (int64_t k = 0; k < pieces; ++k) {
    S* const to = out + k * stride;
    for (int64_t i = 0; i < count; ++i) to[i] = which[i] == k ? from[i] : S(0);
  }
}

// The pieces that the indices name.
template <class S, class I>
void pick_kernel(char* output, const char* indices, const char* input, int64_t pieces, int64_t stride, int64_t count) {
  S* const out = reinterpret_cast<S*>(output);
  const I* const which = reinterpret_cast<const I*>(indices);
  const S* const in = reinterpret_cast<const S*>(input);
  const int64_t next = stride == 1 ? pieces : 1;
  for (int64_t i = 0; i < count; ++i) out[i] = in[i * next + which[i] * stride];
}

template <class I>
constexpr cpu::MaxoutTable maxout_table() {
  return {{largest_kernel<float, I>, largest_kernel<double, I>, largest_kernel<c10::BFloat16, I>,
           largest_kernel<c10::Half, I>},
          {neighbours_kernel<float, I>, neighbours_kernel<double, I>, neighbours_kernel<c10::BFloat16, I>,
           neighbours_kernel<c10::Half, I>},
          {scatter_kernel<uint32_t, I>, scatter_kernel<uint64_t, I>, scatter_kernel<uint16_t, I>,
           scatter_kernel<uint16_t, I>},
          {pick_kernel<uint32_t, I>, pick_kernel<uint64_t, I>, pick_kernel<uint16_t, I>, pick_kernel<uint16_t, I>}};
}

}  // namespace act_ext::CPU_CAPABILITY
