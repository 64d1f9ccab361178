// Vectors of elements in memory: how they are loaded and stored, whole and in part.
#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "table.h"

#if defined(CPU_CAPABILITY_DEFAULT) && !defined(__aarch64__)
#define ACT_EXT_NO_VECTORS 1
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#else
#define ACT_EXT_NO_VECTORS 0
#include "vec.h"
#endif

namespace act_ext::CPU_CAPABILITY {

#if ACT_EXT_NO_VECTORS
// An x86 processor without AVX2: one element at a time.
template <class S>
struct Memory {
  using V = std::conditional_t<std::is_same_v<S, double>, double, float>;
  static constexpr int64_t size = 1;
  ACT_FN static V load(const S* from) { return static_cast<V>(*from); }
  ACT_FN static void store(V v, S* to) { *to = static_cast<S>(v); }
};
#endif

// Whether the first elements of a vector are loaded and stored by masks.
#if defined(CPU_CAPABILITY_AVX512)
template <class S>
inline constexpr bool has_masks = true;
template <class S>
ACT_FN uint32_t first_lanes(int64_t count) {
  return static_cast<uint32_t>((uint64_t{1} << std::clamp<int64_t>(count, 0, 64 / sizeof(S))) - 1);
}
template <class S>
ACT_FN Bits load_lanes(uint32_t lanes, const S* from, Bits others) {
  if constexpr (sizeof(S) == 8) return _mm512_mask_loadu_epi64(others, static_cast<__mmask8>(lanes), from);
  if constexpr (sizeof(S) == 4) return _mm512_mask_loadu_epi32(others, static_cast<__mmask16>(lanes), from);
  return _mm512_mask_loadu_epi16(others, lanes, from);
}
template <class S>
ACT_FN void store_lanes(uint32_t lanes, Bits bits, S* to) {
  if constexpr (sizeof(S) == 8) return _mm512_mask_storeu_epi64(to, static_cast<__mmask8>(lanes), bits);
  if constexpr (sizeof(S) == 4) return _mm512_mask_storeu_epi32(to, static_cast<__mmask16>(lanes), bits);
  return _mm512_mask_storeu_epi16(to, lanes, bits);
}
#elif defined(CPU_CAPABILITY_AVX2)
template <class S>
inline constexpr bool has_masks = sizeof(S) > 2;
template <class S>
ACT_FN Bits first_lanes(int64_t count) {
  if constexpr (sizeof(S) == 8) return _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3));
  if constexpr (sizeof(S) == 2) {
    return _mm256_cmpgt_epi16(_mm256_set1_epi16(static_cast<short>(count)),
                              _mm256_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  }
  return _mm256_cmpgt_epi32(filled(static_cast<int>(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
template <class S>
ACT_FN Bits load_lanes(Bits lanes, const S* from, Bits others) {
  if constexpr (sizeof(S) == 8) {
    return _mm256_blendv_epi8(others, _mm256_castpd_si256(_mm256_maskload_pd(from, lanes)), lanes);
  } else {
    return _mm256_blendv_epi8(others, bits_of(_mm256_maskload_ps(from, lanes)), lanes);
  }
}
template <class S>
ACT_FN void store_lanes(Bits lanes, Bits bits, S* to) {
  if constexpr (sizeof(S) == 8) {
    _mm256_maskstore_pd(to, lanes, _mm256_castsi256_pd(bits));
  } else {
    _mm256_maskstore_ps(to, lanes, float_of(bits));
  }
}
#endif

// The first `count` elements of a vector, or none. No others are touched in memory. On x86 they are not loaded by way
// of a buffer, for which the processor would wait.
template <class S>
class FirstLanes {
  using V = typename Memory<S>::V;

 public:
  FirstLanes() = default;
  ACT_FN explicit FirstLanes(int64_t count) : count_(std::min(count, Memory<S>::size)) {}
  // `others`: what stands behind them.
  ACT_FN V load(const S* from, S others) const {
#if defined(CPU_CAPABILITY_AVX2)
    // Elements of 16 bits in pairs, with a mask of floats. All other lanes hold the last one, which an odd number
    // lacks.
    if (count_ <= 0) return Memory<S>::widened(filled(others));
    const Bits pairs = first_lanes<float>(count_ / 2);
    const Bits all = load_lanes(pairs, reinterpret_cast<const float*>(from), filled(from[count_ - 1]));
    return Memory<S>::widened(_mm256_blendv_epi8(filled(others), all, first_lanes<S>(count_)));
#else
    S part[Memory<S>::size];
    std::fill_n(part, Memory<S>::size, others);
    for (int64_t i = 0; i < count_; ++i) part[i] = from[i];
    return Memory<S>::load(part);
#endif
  }
  ACT_FN void store(V v, S* to) const {
    S part[Memory<S>::size];
    Memory<S>::store(v, part);
    for (int64_t i = 0; i < count_; ++i) to[i] = part[i];
  }

 private:
  int64_t count_;
};
#if defined(CPU_CAPABILITY_AVX512) || defined(CPU_CAPABILITY_AVX2)
template <class S>
  requires has_masks<S>
class FirstLanes<S> {
  using V = typename Memory<S>::V;
  static constexpr int64_t kRegister = sizeof(Bits) / sizeof(S);

 public:
  FirstLanes() = default;
  ACT_FN explicit FirstLanes(int64_t count) : low_(first_lanes<S>(count)), high_(first_lanes<S>(count - kRegister)) {}
  ACT_FN V load(const S* from, S others) const {
    const Bits rest = filled(others), low = load_lanes(low_, from, rest);
    if constexpr (sizeof(S) > 2) {
      return {(Register<S>)low, (Register<S>)load_lanes(high_, from + kRegister, rest)};
    } else {
      return Memory<S>::widened(low);
    }
  }
  ACT_FN void store(V v, S* to) const {
    if constexpr (sizeof(S) > 2) {
      store_lanes(low_, (Bits)v.low, to);
      store_lanes(high_, (Bits)v.high, to + kRegister);
    } else {
      S part[kRegister];
      Memory<S>::store(v, part);
      store_lanes(low_, load_bits(part), to);
    }
  }

 private:
  decltype(first_lanes<S>(0)) low_, high_;
};
#endif
#if defined(CPU_CAPABILITY_AVX512)
// The same where they are all in the first of a vector's two registers.
template <class S>
class LowLanes {
  using V = typename Memory<S>::V;

 public:
  LowLanes() = default;
  ACT_FN explicit LowLanes(int64_t count) : lanes_(first_lanes<S>(count)) {}
  ACT_FN V load(const S* from, S others) const {
    return {(Register<S>)load_lanes(lanes_, from, filled(others)), (Register<S>)filled(others)};
  }
  ACT_FN void store(V v, S* to) const { store_lanes(lanes_, (Bits)v.low, to); }

 private:
  uint32_t lanes_;
};
#endif
// All elements, in the same way.
template <class S>
struct WholeVector {
  ACT_FN typename Memory<S>::V load(const S* from, S) const { return Memory<S>::load(from); }
  ACT_FN void store(typename Memory<S>::V v, S* to) const { Memory<S>::store(v, to); }
};
// step(i) for vectors that cover the elements up to n, of which there is one vector at least. The last ends where they
// do: a part of it may come twice.
template <class S, class G>
ACT_FN void for_each_overlapping(int64_t n, G step) {
  const int64_t last = n - Memory<S>::size;
  for (int64_t i = 0;; i = std::min(i + Memory<S>::size, last)) {
    step(i);
    if (i == last) break;
  }
}

// A register of bfloat16 is loaded as its even and its odd elements.
template <class S>
inline constexpr bool kNeighbours =
#if defined(CPU_CAPABILITY_AVX512) || defined(CPU_CAPABILITY_AVX2)
    std::is_same_v<S, c10::BFloat16>;
#else
    false;
#endif

template <class S, class V>
ACT_FN void store(V v, S* const* out, int64_t i) {
  Memory<S>::store(v, out[0] + i);
}
template <class S, class V, int kCount>
ACT_FN void store(const Results<V, kCount>& results, S* const* out, int64_t i) {
  for (int k = 0; k < kCount; ++k) Memory<S>::store(results.value[k], out[k] + i);
}

}  // namespace act_ext::CPU_CAPABILITY
