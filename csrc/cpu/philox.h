// Philox4x32-10 (Salmon et al. 2011, doi:10.1145/2063384.2063405): random bits that are a function of a counter and a
// seed, so that they can be drawn in any order, by any number of threads.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "../math/scalar.h"

#if defined(CPU_CAPABILITY_AVX512) || defined(CPU_CAPABILITY_AVX2)
#include <immintrin.h>
#endif

namespace act_ext::CPU_CAPABILITY {

// A word of 32 bits in the lower half of each lane of 64, where its products have room; the upper half is anything.
#if defined(CPU_CAPABILITY_AVX512)
using Words = uint64_t __attribute__((vector_size(64)));
ACT_FN Words times(Words a, uint32_t factor) { return (Words)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64(factor)); }
#elif defined(CPU_CAPABILITY_AVX2)
using Words = uint64_t __attribute__((vector_size(32)));
ACT_FN Words times(Words a, uint32_t factor) { return (Words)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(factor)); }
#else
using Words = uint64_t;
ACT_FN Words times(Words a, uint32_t factor) { return (a & UINT32_MAX) * factor; }
#endif

// The 128 bits of each of sixteen counters that begin at `counter`: the lower halves, then the upper ones. The number
// of counters is that of no instruction set, so that all give the same bits.
inline constexpr int kCounters = 16;
using RandomBits = std::array<uint64_t, 2 * kCounters>;
// In memory as a whole: a vector of numbers written one by one has to wait for them.
inline constexpr auto kNumbers = [] {
  std::array<uint64_t, kCounters> numbers{};
  for (int i = 0; i < kCounters; ++i) numbers[i] = i;
  return numbers;
}();

ACT_FN RandomBits random_bits(const std::array<uint64_t, 2>& seed, uint64_t counter) {
  constexpr int kLanes = sizeof(Words) / sizeof(uint64_t);
  RandomBits bits;
  for (int i = 0; i < kCounters; i += kLanes) {
    Words x0, x2 = Words{} + seed[1];
    std::memcpy(&x0, &kNumbers[i], sizeof(Words));
    x0 += Words{} + counter;
    Words x1 = x0 >> 32, x3 = x2 >> 32;
    uint32_t key0 = static_cast<uint32_t>(seed[0]), key1 = static_cast<uint32_t>(seed[0] >> 32);
    for (int round = 0; round < 10; ++round) {
      const Words product0 = times(x0, 0xD2511F53), product1 = times(x2, 0xCD9E8D57);
      x0 = product1 >> 32 ^ x1 ^ (Words{} + key0);
      x1 = product1;
      x2 = product0 >> 32 ^ x3 ^ (Words{} + key1);
      x3 = product0;
      key0 += 0x9E3779B9;
      key1 += 0xBB67AE85;
    }
    const Words lower = (x0 & UINT32_MAX) | x1 << 32, upper = (x2 & UINT32_MAX) | x3 << 32;
    std::memcpy(&bits[i], &lower, sizeof(Words));
    std::memcpy(&bits[kCounters + i], &upper, sizeof(Words));
  }
  return bits;
}

// In [0, 1): the multiples of 2^-24, and of 2^-52.
ACT_FN float uniform(uint32_t bits) { return static_cast<float>(static_cast<int32_t>(bits >> 8)) * 0x1p-24f; }
// As the digits of a number from 1 to 2, since not every instruction set converts integers of 64 bits.
ACT_FN double uniform(uint64_t bits) { return bits_as<double>(bits >> 12 | bits_as<uint64_t>(1.0)) - 1; }

}  // namespace act_ext::CPU_CAPABILITY
