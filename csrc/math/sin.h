// Sine and cosine of a product a x that is not rounded before multiples of pi are taken off: near them little is left
// of it. Coefficients: tools/fit.py.
#pragma once

#include "tables.h"

namespace act_ext {

template <class V>
struct SinCos {
  V sin, cos;
};

// pi in words that follow each other.
inline constexpr double pi_1 = 0x1.921fb54442d18p+1, pi_2 = 0x1.1a62633145c07p-53, pi_3 = -0x1.f1976b7ed8fbcp-109;

// sin(r) for |r| <= pi / 2: before rounding the error is 2^-27.3 (float), 2^-61.6 (double). For -0 the 0 that is
// added makes the product +0, so that the difference stays -0.
template <class V>
ACT_FN V sin_of_remainder(V r) {
  const V z = r * r;
  V tail(0);
  if constexpr (is_single<V>) {
    tail = horner(z, 0.16666659544810490812, -0.0083330661189892083892, 0.0001980959416419800391,
                  -2.6057618964697696053e-6);
  } else {
    tail = horner(z, 0.16666666666666665569, -0.0083333333333331942314, 0.00019841269841209189726,
                  -2.7557319211131896136e-6, 2.5052106872283527569e-8, -1.6058939678642879745e-10,
                  7.6429907521931304094e-13, -2.721166932163285905e-15);
  }
  return r - fma(r * z, tail, V(0));
}

// The same for results of 16 bits, but for 2^-22: with these coefficients, found by trial, every cosine of theirs is
// rounded right.
template <class V>
ACT_FN V sin_of_remainder_in_16_bits(V r) {
  const V z = r * r;
  return r - fma(r * z, horner(z, 0.166666567, -0.00833306927, 0.000198095935, -2.60570505e-06), V(0));
}

// The same for an r in two words.
template <class V>
ACT_FN V sin_of_remainder(Pair<V> r) {
  if constexpr (has_pieces<V>) {
    // What r rounds off counts cos(r) times, some digits of which are enough.
    const V z = r.hi * r.hi, cosine = fma(z, fma(z, V(0.037), V(-0.4967)), V(1));
    const auto [hi, lo] = SineOver::at(abs(r.hi));
    return copysign(fma(r.hi, hi, fma(r.hi, lo, r.lo * cosine)), r.hi);
  } else {
    return sin_of_remainder(r.hi);
  }
}

// A product of two numbers as an angle: hi - minus_lo, and the whole number n nearest to hi / pi, for the cosine one
// half less than that nearest to hi / pi + 1/2. Whether the whole number is odd stands in the lowest bit of `whole`.
template <class V>
struct Angle {
  V hi, minus_lo, whole, n;
};
template <bool kCosine, class V>
ACT_FN Angle<V> angle(V a, V x) {
  const V hi = a * x, shift(rounding_shift<V>), inverse(0.31830988618379067154);
  const V whole = kCosine ? fma(hi, inverse, V(0.5)) + shift : fma(hi, inverse, shift);
  const V n = whole - shift;
  return {hi, fma(-a, x, hi), whole, kCosine ? n - V(0.5) : n};
}

// For |a x| < far_angle, in double: hi - n pi_1 is exact, and what the further differences round off is made good.
inline constexpr double far_angle = 0x1p40;
template <bool kCosine, class V>
ACT_FN V sin_of_near(V a, V x) {
  const auto [hi, minus_lo, whole, n] = angle<kCosine>(a, x);
  const V first = fma(-n, V(pi_1), hi);
  const V second = first - minus_lo, second_error = (first - second) - minus_lo;
  const auto next = product(n, V(pi_2));
  const V third = second - next.hi, third_error = (second - third) - next.hi;
  const V correction = fma(n, V(pi_3), (next.lo - second_error) - third_error);
  return negated_if_odd(sin_of_remainder(third - correction), whole);
}

// |a x| / pi less its nearest whole number, for the cosine half of one less than that to |a x| / pi + 1/2, and whether
// the first is odd; for finite factors of a larger angle. By Payne and Hanek: of 1 / pi the digits that count, times
// both mantissas.
struct FarHalfTurns {
  Pair<double> r;
  bool odd;
};
template <bool kCosine>
ACT_FN FarHalfTurns far_half_turns(double a, double x) {
  // The digits of 1 / pi behind 128 zeros.
  static constexpr std::uint64_t digits[] = {
      0x0000000000000000, 0x0000000000000000, 0x517cc1b727220a94, 0xfe13abe8fa9a6ee0, 0x6db14acc9e21c820,
      0xff28b1d5ef5de2b0, 0xdb92371d2126e970, 0x0324977504e8c90e, 0x7f0ef58e5894d39f, 0x74411afa975da242,
      0x74ce38135a2fbf20, 0x9cc8eb1cc1a99cfa, 0x4e422fc5defc941d, 0x8ffc4bffef02cc07, 0xf79788c5ad05368f,
      0xb69b3f6793e584db, 0xa7a31fb34f2ff516, 0xba93dd63f5f2f8bd, 0x9e839cfbc5294975, 0x35fdafd88fc6ae84,
      0x2b0198237e3db5d5, 0xf867de104d7a1b0e, 0xd4f1c8b0af730d84, 0x32ccc2af8a503420, 0x46ffec4026b99398,
      0x83030aab6539d464, 0xb0713de04635a3e2, 0x0ce1b3e6ee740495, 0x41ace23b45cb0e53, 0x6ed7a268ab8c829f,
      0x52ff83829fbf19f4, 0x19616f27cc193edd, 0xe19e9377b58f2f7c, 0x4f9d0f9ae5793f8e, 0xc3f890c83e3e1235,
      0x7d376abb9698219d, 0x8ae30a5ace8ce1e1};
  constexpr int kWords = 4;  // 256 bits, the lowest word first
  const auto parts = [](double value, int& exponent) {
    const auto bits = bits_as<std::uint64_t>(value);
    const int field = static_cast<int>(bits >> 52 & 0x7FF);
    exponent += (field > 0 ? field : 1) - 1075;
    return (bits & 0xFFFFFFFFFFFFF) | (field > 0 ? 0x10000000000000 : 0);
  };
  int exponent = 0;
  const std::uint64_t mantissas[] = {parts(a, exponent), parts(x, exponent)};
  // The digit whose product with the mantissas' lowest bits is 1: those before it give whole turns.
  const int first = exponent + 127;
  std::uint64_t turns[kWords];
  for (int i = 0; i < kWords; ++i) {
    const std::uint64_t* const from = digits + first / 64 + kWords - 1 - i;
    const int shift = first % 64;
    turns[i] = shift == 0 ? from[0] : from[0] << shift | from[1] >> (64 - shift);
  }
  for (const std::uint64_t mantissa : mantissas) {
    std::uint64_t carry = 0;
    for (std::uint64_t& word : turns) {
      const auto both = static_cast<unsigned __int128>(word) * mantissa + carry;
      word = static_cast<std::uint64_t>(both);
      carry = static_cast<std::uint64_t>(both >> 64);
    }
  }
  // The top bit now is 1, the next one half. A fraction of more than a half counts as one less than 1.
  constexpr std::uint64_t half = std::uint64_t{1} << 62;
  if (kCosine) turns[kWords - 1] += half;
  const bool odd = (turns[kWords - 1] + half) >> 63;
  const bool negative = turns[kWords - 1] & half;
  const std::uint64_t flip = negative ? ~std::uint64_t{0} : 0;
  Pair<double> r{0, 0};
  double unit = 0x1p-31;
  for (int i = kWords - 1; i >= 0; --i) {
    // One's complement for the two's: the difference is far below the last place.
    std::uint64_t word = turns[i] ^ flip;
    if (i == kWords - 1) word &= 2 * half - 1;
    for (const std::uint64_t piece : {word >> 32, word & 0xFFFFFFFF}) {
      r = sum(r.hi, r.lo + static_cast<double>(piece) * unit);
      unit *= 0x1p-32;
    }
  }
  return {{negative ? -r.hi : r.hi, negative ? -r.lo : r.lo}, odd};
}

// For every element. Of internal linkage, since each instruction set compiles its own.
template <bool kCosine>
static ACT_RARE double sin_of_any(double a, double x) {
  if (abs(a * x) < far_angle) return sin_of_near<kCosine>(a, x);
  if (!(abs(a) < inf && abs(x) < inf)) return a * x - a * x;
  const auto [r, odd] = far_half_turns<kCosine>(a, x);
  const double value = sin_of_remainder(fma(r.hi, pi_1, fma(r.hi, pi_2, r.lo * pi_1)));
  return odd != (!kCosine && (a < 0) != (x < 0)) ? -value : value;
}

// What the vectors are for: hi - n pi is exact but for the correction. That is rounded and takes too short a pi, which
// counts where little is left, or n is large or no number at all; there come the others.
template <bool kCosine, bool kIn16Bits, class V>
ACT_FN V sin_or_cos(V a, V x) {
  const auto [hi, minus_lo, whole, n] = angle<kCosine>(a, x);
  const auto pi = constant_pair<V>(pi_1, pi_2);
  const V first = fma(-n, pi.hi, hi), second = fma(n, pi.lo, minus_lo), r = first - second;
  V unsigned_y;
  if constexpr (kIn16Bits && has_pieces<V>) {
    unsigned_y = kCosine ? sin_of_remainder_in_16_bits(r) : r * SineOverIn16Bits::at(abs(r));
  } else {
    // A slope has more room.
    unsigned_y = kCosine ? sin_of_remainder(r) : sin_of_remainder(Pair<V>{r, (first - r) - second});
  }
  const V y = negated_if_odd(unsigned_y, whole);
  const auto enough = abs(n) * V(is_single<V> ? 0x1p-16 : 0x1p-45) <= abs(r);
  if (all(enough)) [[likely]]
    return y;
  if constexpr (is_single<V>) {
    if (all(abs(hi) < V(far_angle))) {
      return select(enough, y, in_double([](auto a, auto x) { return sin_of_near<kCosine>(a, x); }, a, x));
    }
  }
  return select(enough, y, one_by_one([](auto a, auto x) { return Scalar<V>(sin_of_any<kCosine>(a, x)); }, a, x));
}

// Each alone, and both. (The compiler would not drop the one that nobody wants: it may come element by element.)
template <bool kIn16Bits = false, class V>
ACT_FN V sin_of_product(V a, V x) {
  return sin_or_cos<false, kIn16Bits>(a, x);
}
template <bool kIn16Bits = false, class V>
ACT_FN V cos_of_product(V a, V x) {
  return sin_or_cos<true, kIn16Bits>(a, x);
}
template <class V>
ACT_FN SinCos<V> sin_cos_of_product(V a, V x) {
  return {sin_of_product(a, x), cos_of_product(a, x)};
}

}  // namespace act_ext
