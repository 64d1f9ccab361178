// Sums in one order, whatever the width of a register: element k belongs to lane k % kLanes, and what the lanes of a
// block hold is added by halves, from eight lanes on or all the way in double, and to the sums of other blocks with
// what rounding takes from these.
#pragma once

#include <algorithm>

#include "loop.h"

namespace act_ext::CPU_CAPABILITY {

template <class S>
using Wide = Scalar<typename Memory<S>::V>;  // what S is computed in
// Fewer where there are no vectors, but not in float64, whose sums nothing wider holds.
template <class S>
inline constexpr int kLanes = (Memory<S>::size == 1 && sizeof(Wide<S>) == 4 ? 16 : 128) / sizeof(Wide<S>);
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

// The results of a vector in the order of the elements.
template <class S, class V>
ACT_FN void store_in_order(V v, Wide<S>* to) {
  using T = Wide<S>;
  if constexpr (kNeighbours<S>) {
    constexpr int64_t half = Memory<S>::size / 2;
    T apart[2 * half];
    Memory<T>::store(v, apart);
    for (int64_t i = 0; i < half; ++i) {
      to[2 * i] = apart[i];
      to[2 * i + 1] = apart[half + i];
    }
    return;
  }
  Memory<T>::store(v, to);
}

// Registers added down to eight lanes (four of AVX2's double), which go on in double: first those that belong together.
// kWide: in double from the first addition on.
#if defined(CPU_CAPABILITY_AVX512)
ACT_FN __m512d wide_low(__m512 x) { return _mm512_cvtps_pd(_mm512_castps512_ps256(x)); }
ACT_FN __m512d wide_high(__m512 x) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1)); }
template <bool kWide>
ACT_FN __m512d eighths(__m512 a, __m512 b) {
  if constexpr (kWide) return (wide_low(a) + wide_low(b)) + (wide_high(a) + wide_high(b));
  const __m512 sum = a + b;
  return _mm512_cvtps_pd(_mm512_castps512_ps256(sum) + _mm512_extractf32x8_ps(sum, 1));
}
template <bool kWide>
ACT_FN __m512d eighths(__m512d a, __m512d b) {
  return a + b;
}
#elif defined(CPU_CAPABILITY_AVX2)
ACT_FN __m256d wide_low(__m256 x) { return _mm256_cvtps_pd(_mm256_castps256_ps128(x)); }
ACT_FN __m256d wide_high(__m256 x) { return _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)); }
template <bool kWide>
ACT_FN __m256d eighths(__m256 a, __m256 b, __m256 c, __m256 d) {
  if constexpr (kWide) {
    return ((wide_low(a) + wide_low(b)) + (wide_low(c) + wide_low(d))) +
           ((wide_high(a) + wide_high(b)) + (wide_high(c) + wide_high(d)));
  }
  const __m256 sum = (a + b) + (c + d);
  return wide_low(sum) + wide_high(sum);
}
template <bool kWide>
ACT_FN __m256d eighths(__m256d a, __m256d b, __m256d c, __m256d d) {
  return (a + b) + (c + d);
}
#endif

// Adds x to a sum in double that is kept with what rounding took from it.
ACT_FN void accumulate(double& value, double& rest, double x) {
  const double sum = value + x, part = sum - value;
  rest += (value - (sum - part)) + (x - part);
  value = sum;
}
template <class T>
ACT_FN Pair<T> words_of(double value, double rest) {
  const T high = static_cast<T>(value);
  return {high, static_cast<T>((value - static_cast<double>(high)) + rest)};
}

// kLanes elements of a row, in the registers that hold them.
template <class S>
struct Group {
  using V = typename Memory<S>::V;
  using T = Wide<S>;
  static constexpr int size = kLanes<S> / Memory<S>::size;
  V part[size];

  ACT_FN explicit Group(double constant = 0) {
    for (V& v : part) v = V(constant);
  }

  // The first halving adds the first half of the elements to the second, or neighbours.
  template <bool kWide>
  ACT_FN double sum() const {
#if defined(CPU_CAPABILITY_AVX512)
    return across(eighths<kWide>(part[0].low, part[0].high), Add());
#elif defined(CPU_CAPABILITY_AVX2)
    const V &a = part[0], &b = part[1];
    if constexpr (kNeighbours<S>) return across(eighths<kWide>(a.low, a.high, b.low, b.high), Add());
    return across(eighths<kWide>(a.low, b.low, a.high, b.high), Add());
#else
    T lanes[kLanes<S>];
    for (int i = 0; i < size; ++i) Memory<T>::store(part[i], lanes + i * Memory<S>::size);
    int width = kLanes<S>;
    for (; !kWide && width > 8; width /= 2) {
      for (int i = 0; i < width / 2; ++i) lanes[i] += lanes[i + width / 2];
    }
    double sums[kLanes<S>];
    for (int i = 0; i < width; ++i) sums[i] = lanes[i];
    for (width /= 2; width > 0; width /= 2) {
      for (int i = 0; i < width; ++i) sums[i] += sums[i + width];
    }
    return sums[0];
#endif
  }

  ACT_FN T largest() const {
#if defined(CPU_CAPABILITY_AVX512)
    return across(Larger()(part[0].low, part[0].high), Larger());
#elif defined(CPU_CAPABILITY_AVX2)
    const Larger larger;
    return across(larger(larger(part[0].low, part[0].high), larger(part[1].low, part[1].high)), larger);
#else
    T lanes[kLanes<S>];
    for (int i = 0; i < size; ++i) Memory<T>::store(part[i], lanes + i * Memory<S>::size);
    return across(lanes, kLanes<S>, Larger());
#endif
  }
};

}  // namespace act_ext::CPU_CAPABILITY
