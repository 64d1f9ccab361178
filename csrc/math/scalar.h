// The vocabulary over plain float and double: what a CUDA thread computes with, and an x86 processor without AVX2.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "../activation.h"

namespace act_ext {

template <class To, class From>
ACT_FN To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof(to));
  return to;
}

#if defined(__CUDACC__) || defined(__FMA__) || defined(__ARM_FEATURE_FMA)
ACT_FN float fma(float a, float b, float c) { return ::fmaf(a, b, c); }
#else
// Without the instruction libm emulates it at great cost. The product of two floats is exact in double.
ACT_FN float fma(float a, float b, float c) { return static_cast<float>(static_cast<double>(a) * b + c); }
#endif
ACT_FN double fma(double a, double b, double c) { return ::fma(a, b, c); }

#define ACT_EXT_SCALAR(T, Int, mantissa_bits, whole)                                                         \
  ACT_FN T abs(T a) { return std::fabs(a); }                                                                 \
  ACT_FN T minus_abs(T a) { return -std::fabs(a); }                                                          \
  ACT_FN T copysign(T magnitude, T sign) { return std::copysign(magnitude, sign); }                          \
  ACT_FN T sqrt(T a) { return std::sqrt(a); }                                                                \
  ACT_FN T select(bool mask, T a, T b) { return mask ? a : b; }                                              \
  ACT_FN T at_least(T x, T low) { return x < low ? low : x; }                                                \
  ACT_FN T at_most(T x, T high) { return x > high ? high : x; }                                              \
  ACT_FN T to_exponent(T a) { return bits_as<T>(bits_as<Int>(a) << mantissa_bits); }                         \
  ACT_FN T from_exponent(T a) { return bits_as<T>(bits_as<Int>(a) >> mantissa_bits | bits_as<Int>(whole)); } \
  /* y, its sign changed where the lowest bit of `of` is set. */                                             \
  ACT_FN T negated_if_odd(T y, T of) { return bits_as<T>(bits_as<Int>(y) ^ bits_as<Int>(of) << (8 * sizeof(T) - 1)); }
ACT_EXT_SCALAR(float, std::uint32_t, 23, 0x1p23f)
ACT_EXT_SCALAR(double, std::uint64_t, 52, 0x1p52)
#undef ACT_EXT_SCALAR

// The lowest two bits of the exponent and the highest two of the mantissa moved down to the end; and the entry of a
// table whose number these four bits are.
ACT_FN float to_piece(float a) { return bits_as<float>(bits_as<std::uint32_t>(a) >> 21); }
ACT_FN float entry(const float (&table)[16], float number) { return table[bits_as<std::uint32_t>(number) & 15]; }

ACT_FN bool all(bool mask) { return mask; }

// f in double, rounded to float.
template <class F>
ACT_RARE float in_double(F f, float a, float b) {
  return static_cast<float>(f(static_cast<double>(a), static_cast<double>(b)));
}

// f of the elements one by one: the way out of vectors for what few elements need.
template <class F, class T>
ACT_RARE T one_by_one(F f, T a, T b) {
  return f(a, b);
}

}  // namespace act_ext
