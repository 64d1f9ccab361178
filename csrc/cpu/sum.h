// Sums in one order, whatever the width of a register: element k belongs to lane k % kLanes, the lanes of a block are
// added by halves, and the blocks' sums in double.
#pragma once

#include <algorithm>

#include "loop.h"

namespace act_ext::CPU_CAPABILITY {

template <class S>
using Wide = Scalar<typename Memory<S>::V>;  // what S is computed in
// Fewer where there are no vectors.
template <class S>
inline constexpr int kLanes = (Memory<S>::size == 1 ? 16 : 128) / sizeof(Wide<S>);
template <class S>
inline constexpr int64_t kBlock = 16 * kLanes<S>;
// One register's lanes combined by halves.
template <class T, class F>
ACT_FN T across(const T* lanes, int count, F combine) {
  T a[kLanes<T>];
  for (int i = 0; i < count; ++i) a[i] = lanes[i];
  for (int half = count / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) a[i] = combine(a[i], a[i + half]);
  }
  return a[0];
}
#if defined(CPU_CAPABILITY_AVX512)
template <class F>
ACT_FN float across(__m512 x, F combine) {
  x = combine(x, _mm512_shuffle_f32x4(x, x, 0x4E));
  x = combine(x, _mm512_shuffle_f32x4(x, x, 0xB1));
  x = combine(x, _mm512_permute_ps(x, 0x4E));
  return _mm512_cvtss_f32(combine(x, _mm512_permute_ps(x, 0xB1)));
}
template <class F>
ACT_FN double across(__m512d x, F combine) {
  x = combine(x, _mm512_shuffle_f64x2(x, x, 0x4E));
  x = combine(x, _mm512_shuffle_f64x2(x, x, 0xB1));
  return _mm512_cvtsd_f64(combine(x, _mm512_permute_pd(x, 0x55)));
}
#elif defined(CPU_CAPABILITY_AVX2)
template <class F>
ACT_FN float across(__m256 x, F combine) {
  x = combine(x, _mm256_permute2f128_ps(x, x, 1));
  x = combine(x, _mm256_permute_ps(x, 0x4E));
  return _mm256_cvtss_f32(combine(x, _mm256_permute_ps(x, 0xB1)));
}
template <class F>
ACT_FN double across(__m256d x, F combine) {
  x = combine(x, _mm256_permute2f128_pd(x, x, 1));
  return _mm256_cvtsd_f64(combine(x, _mm256_permute_pd(x, 0x5)));
}
#endif

struct Add {
  template <class T>
  ACT_FN T operator()(T a, T b) const {
    return a + b;
  }
};
struct Larger {
  ACT_FN float operator()(float a, float b) const { return a > b ? a : b; }
  ACT_FN double operator()(double a, double b) const { return a > b ? a : b; }
#if defined(CPU_CAPABILITY_AVX512)
  ACT_FN __m512 operator()(__m512 a, __m512 b) const { return _mm512_max_ps(a, b); }
  ACT_FN __m512d operator()(__m512d a, __m512d b) const { return _mm512_max_pd(a, b); }
#elif defined(CPU_CAPABILITY_AVX2)
  ACT_FN __m256 operator()(__m256 a, __m256 b) const { return _mm256_max_ps(a, b); }
  ACT_FN __m256d operator()(__m256d a, __m256d b) const { return _mm256_max_pd(a, b); }
#endif
};

// Whether the first halving pairs neighbours: a register of bfloat16 is loaded as its even and its odd elements.
template <class S>
inline constexpr bool kNeighbours =
#if defined(CPU_CAPABILITY_AVX512) || defined(CPU_CAPABILITY_AVX2)
    std::is_same_v<S, c10::BFloat16>;
#else
    false;
#endif

// kLanes elements of a row, in the registers that hold them.
template <class S>
struct Group {
  using V = typename Memory<S>::V;
  static constexpr int size = kLanes<S> / Memory<S>::size;
  V part[size];

  ACT_FN explicit Group(double constant = 0) {
    for (V& v : part) v = V(constant);
  }

  template <class F>
  ACT_FN Wide<S> combined(F combine) const {
#if defined(CPU_CAPABILITY_AVX512)
    return across(combine(part[0].low, part[0].high), combine);
#elif defined(CPU_CAPABILITY_AVX2)
    const V &a = part[0], &b = part[1];
    if constexpr (kNeighbours<S>) return across(combine(combine(a.low, a.high), combine(b.low, b.high)), combine);
    return across(combine(combine(a.low, b.low), combine(a.high, b.high)), combine);
#else
    Wide<S> lanes[kLanes<S>];
    for (int i = 0; i < size; ++i) Memory<Wide<S> >::store(part[i], lanes + i * Memory<S>::size);
    return across(lanes, kLanes<S>, combine);
#endif
  }
};

}  // namespace act_ext::CPU_CAPABILITY
