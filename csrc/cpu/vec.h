// The vocabulary over vectors: on x86 the compiler's own types and instructions, elsewhere at::vec's.
// A Vec is two registers, whose operations alternate: while one waits for a result the other computes, which the
// processor's own look-ahead is too short to arrange across a long polynomial. It is also what one register of
// sixteen-bit elements widens to.
//
// Everything stands in the namespace of the instruction set, so that templates over Vec get names of their own and
// no function compiled for one set can be linked into another's path.
#pragma once

#include <ATen/cpu/vec/functional.h>
#include <ATen/cpu/vec/vec.h>

#include <algorithm>

#include "../math/basic.h"

namespace act_ext::CPU_CAPABILITY {

using at::vec::Vectorized;

// What one register holds. The compiler's own types where it has them: it keeps a struct of these in registers, but
// moves a struct of at::vec's classes through memory.
#if defined(CPU_CAPABILITY_AVX512)
template <class T>
using Register = std::conditional_t<sizeof(T) == 4, __m512, __m512d>;
// A comparison gives a mask register, one bit a lane.
template <class T>
using Lanes = std::conditional_t<sizeof(T) == 4, __mmask16, __mmask8>;
#else
#if defined(CPU_CAPABILITY_AVX2)
template <class T>
using Register = std::conditional_t<sizeof(T) == 4, __m256, __m256d>;
#else
template <class T>
using Register = Vectorized<T>;
#endif
template <class T>
using Lanes = Register<T>;
#endif

// Single registers. `larger` and `smaller` give b where the two are equal, zeros of both signs too, or one is NaN. The
// instructions stand here themselves: through at::vec's classes one operation of a Vec was two dozen functions to
// inline, on which the compiler spent half of its time.
#if defined(CPU_CAPABILITY_AVX512)
#define ACT_EXT_MM(name, suffix) _mm512_##name##_##suffix
#define ACT_EXT_COMPARE(suffix, a, b, predicate) _mm512_cmp_##suffix##_mask(a, b, predicate)
#define ACT_EXT_BLEND(suffix, mask, a, b) _mm512_mask_blend_##suffix(mask, b, a)
#define ACT_EXT_WHERE(suffix, mask, x) _mm512_maskz_mov_##suffix(mask, x)
#define ACT_EXT_UNLESS(suffix, mask, x) _mm512_mask_blend_##suffix(mask, x, _mm512_setzero_##suffix())
#elif defined(CPU_CAPABILITY_AVX2)
#define ACT_EXT_MM(name, suffix) _mm256_##name##_##suffix
#define ACT_EXT_COMPARE(suffix, a, b, predicate) _mm256_cmp_##suffix(a, b, predicate)
#define ACT_EXT_BLEND(suffix, mask, a, b) _mm256_blendv_##suffix(b, a, mask)
// Of a blend with a constant 0 the compiler makes two instructions.
#define ACT_EXT_WHERE(suffix, mask, x) _mm256_and_##suffix(mask, x)
#define ACT_EXT_UNLESS(suffix, mask, x) _mm256_andnot_##suffix(mask, x)
#endif
#if defined(CPU_CAPABILITY_AVX512) || defined(CPU_CAPABILITY_AVX2)

#define ACT_EXT_REGISTER(T, R, L, suffix)                                                 \
  ACT_FN R repeated(T x) { return ACT_EXT_MM(set1, suffix)(x); }                          \
  ACT_FN R fused(R a, R b, R c) { return ACT_EXT_MM(fmadd, suffix)(a, b, c); }            \
  ACT_FN R larger(R a, R b) { return ACT_EXT_MM(max, suffix)(a, b); }                     \
  ACT_FN R smaller(R a, R b) { return ACT_EXT_MM(min, suffix)(a, b); }                    \
  ACT_FN R root(R x) { return ACT_EXT_MM(sqrt, suffix)(x); }                              \
  ACT_FN R sign_of(R x) { return ACT_EXT_MM(and, suffix)(repeated(T(-0.0)), x); }         \
  ACT_FN R without_sign(R x) { return ACT_EXT_MM(andnot, suffix)(repeated(T(-0.0)), x); } \
  ACT_FN R either(R a, R b) { return ACT_EXT_MM(or, suffix)(a, b); }                      \
  ACT_FN L less(R a, R b) { return ACT_EXT_COMPARE(suffix, a, b, _CMP_LT_OQ); }           \
  ACT_FN L less_equal(R a, R b) { return ACT_EXT_COMPARE(suffix, a, b, _CMP_LE_OQ); }     \
  ACT_FN L equal(R a, R b) { return ACT_EXT_COMPARE(suffix, a, b, _CMP_EQ_OQ); }          \
  ACT_FN R blend(L mask, R a, R b) { return ACT_EXT_BLEND(suffix, mask, a, b); }          \
  ACT_FN R where(L mask, R x) { return ACT_EXT_WHERE(suffix, mask, x); }                  \
  ACT_FN R unless(L mask, R x) { return ACT_EXT_UNLESS(suffix, mask, x); }
ACT_EXT_REGISTER(float, Register<float>, Lanes<float>, ps)
ACT_EXT_REGISTER(double, Register<double>, Lanes<double>, pd)
#undef ACT_EXT_REGISTER
#undef ACT_EXT_UNLESS
#undef ACT_EXT_WHERE
#undef ACT_EXT_BLEND
#undef ACT_EXT_COMPARE
#undef ACT_EXT_MM

#if defined(CPU_CAPABILITY_AVX512)
ACT_FN __mmask16 both(__mmask16 a, __mmask16 b) { return a & b; }
ACT_FN __mmask8 both(__mmask8 a, __mmask8 b) { return a & b; }
// The sign bit from `sign`, all others from `magnitude`: one ternary operation.
ACT_FN __m512 signed_as(__m512 magnitude, __m512 sign) {
  return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(_mm512_set1_epi32(INT32_MIN), _mm512_castps_si512(sign),
                                                       _mm512_castps_si512(magnitude), 0xCA));
}
ACT_FN __m512d signed_as(__m512d magnitude, __m512d sign) {
  return _mm512_castsi512_pd(_mm512_ternarylogic_epi64(_mm512_set1_epi64(INT64_MIN), _mm512_castpd_si512(sign),
                                                       _mm512_castpd_si512(magnitude), 0xCA));
}
ACT_FN __m512 scaled_by(__m512 y, __m512 n) { return _mm512_scalef_ps(y, n); }
ACT_FN __m512d scaled_by(__m512d y, __m512d n) { return _mm512_scalef_pd(y, n); }
#else
ACT_FN __m256 both(__m256 a, __m256 b) { return _mm256_and_ps(a, b); }
ACT_FN __m256d both(__m256d a, __m256d b) { return _mm256_and_pd(a, b); }
ACT_FN __m256 signed_as(__m256 magnitude, __m256 sign) { return either(without_sign(magnitude), sign_of(sign)); }
ACT_FN __m256d signed_as(__m256d magnitude, __m256d sign) { return either(without_sign(magnitude), sign_of(sign)); }
#endif

#else  // NEON, through at::vec

template <class T>
ACT_FN Vectorized<T> repeated(T x) {
  return Vectorized<T>(x);
}
template <class T>
ACT_FN Vectorized<T> fused(const Vectorized<T>& a, const Vectorized<T>& b, const Vectorized<T>& c) {
  return at::vec::fmadd(a, b, c);
}
template <class T>
ACT_FN Vectorized<T> blend(const Vectorized<T>& mask, const Vectorized<T>& a, const Vectorized<T>& b) {
  return Vectorized<T>::blendv(b, a, mask);
}
template <class T>
ACT_FN Vectorized<T> larger(const Vectorized<T>& a, const Vectorized<T>& b) {
  return blend(b < a, a, b);
}
template <class T>
ACT_FN Vectorized<T> smaller(const Vectorized<T>& a, const Vectorized<T>& b) {
  return blend(a < b, a, b);
}
template <class T>
ACT_FN Vectorized<T> root(const Vectorized<T>& x) {
  return x.sqrt();
}
template <class T>
ACT_FN Vectorized<T> sign_of(const Vectorized<T>& x) {
  return x & Vectorized<T>(T(-0.0));
}
template <class T>
ACT_FN Vectorized<T> without_sign(const Vectorized<T>& x) {
  return x.abs();
}
template <class T>
ACT_FN Vectorized<T> either(const Vectorized<T>& a, const Vectorized<T>& b) {
  return a | b;
}
template <class T>
ACT_FN Vectorized<T> less(const Vectorized<T>& a, const Vectorized<T>& b) {
  return a < b;
}
template <class T>
ACT_FN Vectorized<T> less_equal(const Vectorized<T>& a, const Vectorized<T>& b) {
  return a <= b;
}
template <class T>
ACT_FN Vectorized<T> equal(const Vectorized<T>& a, const Vectorized<T>& b) {
  return a == b;
}
template <class T>
ACT_FN Vectorized<T> both(const Vectorized<T>& a, const Vectorized<T>& b) {
  return a & b;
}
template <class T>
ACT_FN Vectorized<T> where(const Vectorized<T>& mask, const Vectorized<T>& x) {
  return x & mask;
}
template <class T>
ACT_FN Vectorized<T> unless(const Vectorized<T>& mask, const Vectorized<T>& x) {
  return blend(mask, Vectorized<T>(0), x);
}
template <class T>
ACT_FN Vectorized<T> signed_as(const Vectorized<T>& magnitude, const Vectorized<T>& sign) {
  return either(without_sign(magnitude), sign_of(sign));
}
#endif

template <class T>
struct Vec {
  Register<T> low, high;

  Vec() = default;
  // By members: the copy that the compiler makes of a struct in a struct goes through memory.
  ACT_FN Vec(const Vec& other) : low(other.low), high(other.high) {}
  ACT_FN Vec& operator=(const Vec& other) {
    low = other.low;
    high = other.high;
    return *this;
  }
  ACT_FN Vec(Register<T> first, Register<T> second) : low(first), high(second) {}
  ACT_FN explicit Vec(double constant) : low(repeated(static_cast<T>(constant))), high(low) {}
};

// The bits moved up to where the exponent stands.
template <class T>
ACT_FN Register<T> moved_to_exponent(Register<T> x) {
#if defined(CPU_CAPABILITY_AVX512)
  if constexpr (sizeof(T) == 4) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(x), 23));
  } else {
    return _mm512_castsi512_pd(_mm512_slli_epi64(_mm512_castpd_si512(x), 52));
  }
#elif defined(CPU_CAPABILITY_AVX2)
  if constexpr (sizeof(T) == 4) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(x), 23));
  } else {
    return _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(x), 52));
  }
#else
  using Int = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  const auto moved = at::vec::cast<Int, T>(x) << Vectorized<Int>(sizeof(T) == 4 ? 23 : 52);
  return at::vec::cast<T, Int>(moved);
#endif
}

// The exponent's bits moved down to where a whole number's stand, behind the exponent of 2^23 (2^52).
template <class T>
ACT_FN Register<T> moved_from_exponent(Register<T> x) {
#if defined(CPU_CAPABILITY_AVX512)
  if constexpr (sizeof(T) == 4) {
    const __m512i moved = _mm512_srli_epi32(_mm512_castps_si512(x), 23);
    return _mm512_castsi512_ps(_mm512_or_si512(moved, _mm512_castps_si512(_mm512_set1_ps(0x1p23f))));
  } else {
    const __m512i moved = _mm512_srli_epi64(_mm512_castpd_si512(x), 52);
    return _mm512_castsi512_pd(_mm512_or_si512(moved, _mm512_castpd_si512(_mm512_set1_pd(0x1p52))));
  }
#elif defined(CPU_CAPABILITY_AVX2)
  if constexpr (sizeof(T) == 4) {
    const __m256i moved = _mm256_srli_epi32(_mm256_castps_si256(x), 23);
    return _mm256_castsi256_ps(_mm256_or_si256(moved, _mm256_castps_si256(_mm256_set1_ps(0x1p23f))));
  } else {
    const __m256i moved = _mm256_srli_epi64(_mm256_castpd_si256(x), 52);
    return _mm256_castsi256_pd(_mm256_or_si256(moved, _mm256_castpd_si256(_mm256_set1_pd(0x1p52))));
  }
#else
  using Int = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  const auto moved = at::vec::cast<Int, T>(x) >> Vectorized<Int>(sizeof(T) == 4 ? 23 : 52);
  return at::vec::cast<T, Int>(moved) | Vectorized<T>(sizeof(T) == 4 ? T(0x1p23) : T(0x1p52));
#endif
}

template <class T>
struct Mask {
  Lanes<T> low, high;
};
template <class T>
ACT_FN Mask<T> operator&(Mask<T> a, Mask<T> b) {
  return {both(a.low, b.low), both(a.high, b.high)};
}
template <class T>
ACT_FN Mask<T> operator<(Vec<T> a, Vec<T> b) {
  return {less(a.low, b.low), less(a.high, b.high)};
}
template <class T>
ACT_FN Mask<T> operator<=(Vec<T> a, Vec<T> b) {
  return {less_equal(a.low, b.low), less_equal(a.high, b.high)};
}
template <class T>
ACT_FN Mask<T> operator==(Vec<T> a, Vec<T> b) {
  return {equal(a.low, b.low), equal(a.high, b.high)};
}
template <class T>
ACT_FN Mask<T> operator>(Vec<T> a, Vec<T> b) {
  return b < a;
}
template <class T>
ACT_FN Mask<T> operator>=(Vec<T> a, Vec<T> b) {
  return b <= a;
}
template <class T>
ACT_FN Vec<T> select(Mask<T> mask, Vec<T> a, Vec<T> b) {
  return {blend(mask.low, a.low, b.low), blend(mask.high, a.high, b.high)};
}
template <class T>
ACT_FN Vec<T> where(Mask<T> mask, Vec<T> x) {
  return {where(mask.low, x.low), where(mask.high, x.high)};
}
template <class T>
ACT_FN Vec<T> unless(Mask<T> mask, Vec<T> x) {
  return {unless(mask.low, x.low), unless(mask.high, x.high)};
}

template <class T>
ACT_FN Vec<T> operator+(Vec<T> a, Vec<T> b) {
  return {a.low + b.low, a.high + b.high};
}
template <class T>
ACT_FN Vec<T> operator-(Vec<T> a, Vec<T> b) {
  return {a.low - b.low, a.high - b.high};
}
template <class T>
ACT_FN Vec<T> operator*(Vec<T> a, Vec<T> b) {
  return {a.low * b.low, a.high * b.high};
}
template <class T>
ACT_FN Vec<T> operator/(Vec<T> a, Vec<T> b) {
  return {a.low / b.low, a.high / b.high};
}
template <class T>
ACT_FN Vec<T> operator-(Vec<T> a) {
  return {-a.low, -a.high};
}
template <class T>
ACT_FN Vec<T> fma(Vec<T> a, Vec<T> b, Vec<T> c) {
  return {fused(a.low, b.low, c.low), fused(a.high, b.high, c.high)};
}
template <class T>
ACT_FN Vec<T> abs(Vec<T> a) {
  return {without_sign(a.low), without_sign(a.high)};
}
template <class T>
ACT_FN Vec<T> sqrt(Vec<T> a) {
  return {root(a.low), root(a.high)};
}
template <class T>
ACT_FN Vec<T> minus_abs(Vec<T> a) {
  const Register<T> sign = repeated(T(-0.0));
  return {either(a.low, sign), either(a.high, sign)};
}
template <class T>
ACT_FN Vec<T> copysign(Vec<T> magnitude, Vec<T> sign) {
  return {signed_as(magnitude.low, sign.low), signed_as(magnitude.high, sign.high)};
}
// x where it is NaN.
template <class T>
ACT_FN Vec<T> at_least(Vec<T> x, Vec<T> least) {
  return {larger(least.low, x.low), larger(least.high, x.high)};
}
template <class T>
ACT_FN Vec<T> at_most(Vec<T> x, Vec<T> most) {
  return {smaller(most.low, x.low), smaller(most.high, x.high)};
}
template <class T>
ACT_FN Vec<T> to_exponent(Vec<T> a) {
  return {moved_to_exponent<T>(a.low), moved_to_exponent<T>(a.high)};
}
template <class T>
ACT_FN Vec<T> from_exponent(Vec<T> a) {
  return {moved_from_exponent<T>(a.low), moved_from_exponent<T>(a.high)};
}

template <class T>
ACT_FN bool all(Mask<T> mask) {
  const Lanes<T> lanes = both(mask.low, mask.high);
#if defined(CPU_CAPABILITY_AVX512)
  return lanes == static_cast<Lanes<T>>(-1);
#else
  return Vectorized<T>(lanes).zero_mask() == 0;
#endif
}

// Where mask does not hold, a bit for each element.
template <class T>
ACT_FN uint64_t bits_off(Mask<T> mask) {
#if defined(CPU_CAPABILITY_AVX512)
  constexpr int kLanes = 64 / sizeof(T);
  return ~(mask.low | static_cast<uint64_t>(mask.high) << kLanes) & ((uint64_t{1} << 2 * kLanes) - 1);
#else
  return Vectorized<T>(mask.low).zero_mask() | static_cast<uint64_t>(Vectorized<T>(mask.high).zero_mask())
                                                   << Vectorized<T>::size();
#endif
}

// The lowest bit moved up to the sign, all others gone.
template <class T>
ACT_FN Register<T> moved_to_sign(Register<T> x) {
#if defined(CPU_CAPABILITY_AVX512)
  if constexpr (sizeof(T) == 4) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(x), 31));
  } else {
    return _mm512_castsi512_pd(_mm512_slli_epi64(_mm512_castpd_si512(x), 63));
  }
#elif defined(CPU_CAPABILITY_AVX2)
  if constexpr (sizeof(T) == 4) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(x), 31));
  } else {
    return _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(x), 63));
  }
#else
  using Int = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  const auto moved = at::vec::cast<Int, T>(x) << Vectorized<Int>(8 * sizeof(T) - 1);
  return at::vec::cast<T, Int>(moved);
#endif
}
template <class T>
ACT_FN Vec<T> negated_if_odd(Vec<T> y, Vec<T> of) {
  return {Vectorized<T>(y.low) ^ Vectorized<T>(moved_to_sign<T>(of.low)),
          Vectorized<T>(y.high) ^ Vectorized<T>(moved_to_sign<T>(of.high))};
}

// The sixteen pieces of a function, as math/scalar.h numbers them.
ACT_FN Register<float> moved_to_piece(Register<float> x) {
#if defined(CPU_CAPABILITY_AVX512)
  return _mm512_castsi512_ps(_mm512_srli_epi32(_mm512_castps_si512(x), 21));
#elif defined(CPU_CAPABILITY_AVX2)
  return _mm256_castsi256_ps(_mm256_srli_epi32(_mm256_castps_si256(x), 21));
#else
  return at::vec::cast<float, int32_t>(at::vec::cast<int32_t, float>(x) >> Vectorized<int32_t>(21));
#endif
}
ACT_FN Register<float> chosen_entry(const float (&table)[16], Register<float> number) {
#if defined(CPU_CAPABILITY_AVX512)
  return _mm512_permutexvar_ps(_mm512_castps_si512(number), _mm512_load_ps(table));
#elif defined(CPU_CAPABILITY_AVX2)
  const __m256i index = _mm256_castps_si256(number);
  return _mm256_blendv_ps(_mm256_permutevar8x32_ps(_mm256_load_ps(table), index),
                          _mm256_permutevar8x32_ps(_mm256_load_ps(table + 8), index),
                          _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
#else
  float chosen[Vectorized<float>::size()];
  number.store(chosen);
  for (float& each : chosen) each = act_ext::entry(table, each);
  return Vectorized<float>::loadu(chosen);
#endif
}
ACT_FN Vec<float> to_piece(Vec<float> a) { return {moved_to_piece(a.low), moved_to_piece(a.high)}; }
ACT_FN Vec<float> entry(const float (&table)[16], Vec<float> number) {
  return {chosen_entry(table, number.low), chosen_entry(table, number.high)};
}

// A register of floats as a Vec of doubles, and back.
ACT_FN Vec<double> widened(Register<float> x) {
#if defined(CPU_CAPABILITY_AVX512)
  return {_mm512_cvtps_pd(_mm512_castps512_ps256(x)), _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1))};
#elif defined(CPU_CAPABILITY_AVX2)
  return {_mm256_cvtps_pd(_mm256_castps256_ps128(x)), _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1))};
#else
  constexpr int size = Vectorized<double>::size();
  float narrow[2 * size];
  double wide[2 * size];
  x.store(narrow);
  std::copy_n(narrow, 2 * size, wide);
  return {Vectorized<double>::loadu(wide), Vectorized<double>::loadu(wide + size)};
#endif
}
ACT_FN Register<float> narrowed(Vec<double> x) {
#if defined(CPU_CAPABILITY_AVX512)
  return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(x.low)), _mm512_cvtpd_ps(x.high), 1);
#elif defined(CPU_CAPABILITY_AVX2)
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm256_cvtpd_ps(x.low)), _mm256_cvtpd_ps(x.high), 1);
#else
  constexpr int size = Vectorized<double>::size();
  float narrow[2 * size];
  double wide[2 * size];
  x.low.store(wide);
  x.high.store(wide + size);
  std::copy_n(wide, 2 * size, narrow);
  return Vectorized<float>::loadu(narrow);
#endif
}
template <class F>
ACT_RARE Vec<float> in_double(F f, Vec<float> a, Vec<float> b) {
  return {narrowed(f(widened(a.low), widened(b.low))), narrowed(f(widened(a.high), widened(b.high)))};
}

// `size` elements of memory, two registers of them or one of sixteen-bit elements, as the Vec that computes with them.
template <class S>
struct Memory {
  using V = Vec<S>;
  static constexpr int64_t size = 2 * Vectorized<S>::size();
  ACT_FN static V load(const S* from) {
    return {Vectorized<S>::loadu(from), Vectorized<S>::loadu(from + Vectorized<S>::size())};
  }
  ACT_FN static void store(V v, S* to) {
    Vectorized<S>(v.low).store(to);
    Vectorized<S>(v.high).store(to + Vectorized<S>::size());
  }
};

template <class F, class T>
ACT_RARE Vec<T> one_by_one(F f, Vec<T> a, Vec<T> b) {
  T first[Memory<T>::size], second[Memory<T>::size];
  Memory<T>::store(a, first);
  Memory<T>::store(b, second);
  for (int64_t i = 0; i < Memory<T>::size; ++i) first[i] = f(first[i], second[i]);
  return Memory<T>::load(first);
}

// Low precision is rounded once, to nearest even, at the store.
#if defined(CPU_CAPABILITY_AVX512) || defined(CPU_CAPABILITY_AVX2)

// Integer operations on the bits of a register of floats, and the conversions of half a register.
#if defined(CPU_CAPABILITY_AVX512)
using Bits = __m512i;
ACT_FN Bits bits_of(__m512 x) { return _mm512_castps_si512(x); }
ACT_FN __m512 float_of(Bits x) { return _mm512_castsi512_ps(x); }
ACT_FN Bits load_bits(const void* from) { return _mm512_loadu_si512(from); }
ACT_FN void store_bits(Bits x, void* to) { _mm512_storeu_si512(to, x); }
ACT_FN Bits filled(int x) { return _mm512_set1_epi32(x); }
ACT_FN Bits filled(float x) { return bits_of(_mm512_set1_ps(x)); }
ACT_FN Bits filled(double x) { return _mm512_castpd_si512(_mm512_set1_pd(x)); }
template <class S>
ACT_FN Bits filled(S x) {
  return _mm512_set1_epi16(static_cast<short>(x.x));
}
ACT_FN Bits up_16(Bits x) { return _mm512_slli_epi32(x, 16); }
ACT_FN Bits down_16(Bits x) { return _mm512_srli_epi32(x, 16); }
ACT_FN Bits add(Bits a, Bits b) { return _mm512_add_epi32(a, b); }
ACT_FN Bits rounded_at_16(Bits x) {
  return _mm512_mask_add_epi32(add(x, filled(0x7FFF)), _mm512_test_epi32_mask(x, filled(0x10000)), x, filled(0x8000));
}
ACT_FN __m512 from_half(const void* from) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)from)); }
ACT_FN void to_half(__m512 x, void* to) { asm("vcvtps2ph $8, %1, %0" : "=m"(*(__m256i_u*)to) : "v"(x)); }
#else
using Bits = __m256i;
ACT_FN Bits bits_of(__m256 x) { return _mm256_castps_si256(x); }
ACT_FN __m256 float_of(Bits x) { return _mm256_castsi256_ps(x); }
ACT_FN Bits load_bits(const void* from) { return _mm256_loadu_si256((const __m256i*)from); }
ACT_FN void store_bits(Bits x, void* to) { _mm256_storeu_si256((__m256i*)to, x); }
ACT_FN Bits filled(int x) { return _mm256_set1_epi32(x); }
ACT_FN Bits filled(float x) { return bits_of(_mm256_set1_ps(x)); }
ACT_FN Bits filled(double x) { return _mm256_castpd_si256(_mm256_set1_pd(x)); }
template <class S>
ACT_FN Bits filled(S x) {
  return _mm256_set1_epi16(static_cast<short>(x.x));
}
ACT_FN Bits up_16(Bits x) { return _mm256_slli_epi32(x, 16); }
ACT_FN Bits down_16(Bits x) { return _mm256_srli_epi32(x, 16); }
ACT_FN Bits add(Bits a, Bits b) { return _mm256_add_epi32(a, b); }
ACT_FN Bits rounded_at_16(Bits x) { return add(add(x, down_16(x) & filled(1)), filled(0x7FFF)); }
ACT_FN __m256 from_half(const void* from) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)from)); }
ACT_FN void to_half(__m256 x, void* to) { asm("vcvtps2ph $8, %1, %0" : "=m"(*(__m128i_u*)to) : "x"(x)); }
#endif

// A register of bfloat16 splits into its even and its odd elements, which are floats but for a shift and a mask. An
// elementwise op does not mind the order, and no element crosses a lane.
template <>
struct Memory<c10::BFloat16> {
  using V = Vec<float>;
  static constexpr int64_t size = Vectorized<c10::BFloat16>::size();
  ACT_FN static V widened(Bits both) { return {float_of(up_16(both)), float_of(both & upper_half())}; }
  ACT_FN static V load(const c10::BFloat16* from) { return widened(load_bits(from)); }
  // Rounding cannot carry a NaN's bits into an infinity: the lower half of a NaN that comes from bfloat16 inputs, from
  // an invalid operation or from a parameter (`checked` in torch/op.h) is 0.
  ACT_FN static void store(V v, c10::BFloat16* to) {
    const Bits even = rounded_at_16(bits_of(v.low)), odd = rounded_at_16(bits_of(v.high));
    store_bits(down_16(even) | (odd & upper_half()), to);
  }

 private:
  ACT_FN static Bits upper_half() { return filled(static_cast<int>(0xFFFF0000u)); }
};

template <>
struct Memory<c10::Half> {
  using V = Vec<float>;
  static constexpr int64_t size = Vectorized<c10::Half>::size();
#if defined(CPU_CAPABILITY_AVX512)
  ACT_FN static V widened(Bits all) {
    return {_mm512_cvtph_ps(_mm512_castsi512_si256(all)), _mm512_cvtph_ps(_mm512_extracti64x4_epi64(all, 1))};
  }
#else
  ACT_FN static V widened(Bits all) {
    return {_mm256_cvtph_ps(_mm256_castsi256_si128(all)), _mm256_cvtph_ps(_mm256_extracti128_si256(all, 1))};
  }
#endif
  ACT_FN static V load(const c10::Half* from) { return {from_half(from), from_half(from + size / 2)}; }
  ACT_FN static void store(V v, c10::Half* to) {
    to_half(v.low, to);
    to_half(v.high, to + size / 2);
  }
};

#else

template <class S>
struct LowPrecision {
  using V = Vec<float>;
  static constexpr int64_t size = Vectorized<S>::size();
  ACT_FN static V load(const S* from) {
    const auto [low, high] = at::vec::convert_to_float<S>(Vectorized<S>::loadu(from));
    return {low, high};
  }
  ACT_FN static void store(V v, S* to) {
    at::vec::convert_from_float<S>(Vectorized<float>(v.low), Vectorized<float>(v.high)).store(to);
  }
};
template <>
struct Memory<c10::BFloat16> : LowPrecision<c10::BFloat16> {};
template <>
struct Memory<c10::Half> : LowPrecision<c10::Half> {};

#endif

}  // namespace act_ext::CPU_CAPABILITY

namespace act_ext {

template <class T>
struct ScalarOf<CPU_CAPABILITY::Vec<T>> {
  using type = T;
};

#if defined(CPU_CAPABILITY_AVX512)
// One instruction applies any power with one rounding.
template <class T>
struct Power<CPU_CAPABILITY::Vec<T>> {
  using V = CPU_CAPABILITY::Vec<T>;
  V n;

  Power() = default;
  ACT_FN explicit Power(V whole) : n(whole) {}
  ACT_FN V scale(V y) const {
    const V left = select(n <= V(lowest_power<V>), y * V(0), y);
    return {CPU_CAPABILITY::scaled_by(left.low, n.low), CPU_CAPABILITY::scaled_by(left.high, n.high)};
  }
};
template <class T>
ACT_FN Power<CPU_CAPABILITY::Vec<T>> power_where(CPU_CAPABILITY::Mask<T> mask, Power<CPU_CAPABILITY::Vec<T>> power) {
  return Power<CPU_CAPABILITY::Vec<T>>(select(mask, power.n, CPU_CAPABILITY::Vec<T>(0)));
}
#endif

}  // namespace act_ext
