// The kernel of rrelu's training, for every dtype.
#pragma once

#include <algorithm>

#include "../activations/rrelu.h"
#include "loop.h"
#include "philox.h"

namespace act_ext::CPU_CAPABILITY {

// To nearest even, in order.
template <class S>
ACT_FN void round_to(const float* from, S* to, int count) {
#if ACT_EXT_NO_VECTORS
  for (int i = 0; i < count; ++i) to[i] = static_cast<S>(from[i]);
#else
  constexpr int size = Vectorized<S>::size();
  for (int i = 0; i < count; i += size) {
    const auto low = Vectorized<float>::loadu(from + i), high = Vectorized<float>::loadu(from + i + size / 2);
    at::vec::convert_from_float<S>(low, high).store(to + i);
  }
#endif
}

// The slopes of the elements from `first` on, as many as sixteen counters give. Not fused, which without the
// instruction rounds otherwise; so the sum can pass the upper bound.
template <class S>
ACT_FN int64_t draw(const cpu::RandomSlopes& slopes, int64_t first, S* drawn) {
  using Wide = std::conditional_t<std::is_same_v<S, double>, double, float>;
  using Word = std::conditional_t<std::is_same_v<S, double>, uint64_t, uint32_t>;
  constexpr int count = sizeof(RandomBits) / sizeof(Word), of_a_counter = count / kCounters;
  const RandomBits bits = random_bits(slopes.seed, first / of_a_counter);
  Word words[count];
  std::memcpy(words, bits.data(), sizeof(words));
  const auto lower = static_cast<Wide>(slopes.lower), upper = static_cast<Wide>(slopes.upper), span = upper - lower;
  Wide wide[count];
  for (int i = 0; i < count; ++i) wide[i] = act_ext::at_most(lower + span * uniform(words[i]), upper);
  if constexpr (std::is_same_v<S, Wide>) {
    std::memcpy(drawn, wide, sizeof(wide));
  } else {
    round_to(wide, drawn, count);
  }
  return count;
}

template <class S>
void rrelu_kernel(char* values, char* noise, const char* input, int64_t first, int64_t count,
                  const cpu::RandomSlopes& slopes) {
  using V = typename Memory<S>::V;
  constexpr int64_t size = sizeof(S), kBatch = 1024;
  alignas(64) S drawn[kBatch];
  for (int64_t begin = 0; begin < count; begin += kBatch) {
    const int64_t width = std::min(kBatch, count - begin);
    for (int64_t i = 0; i < width;) i += draw(slopes, first + begin + i, drawn + i);
    char* const operands[] = {values == nullptr ? nullptr : values + begin * size, noise + begin * size,
                              const_cast<char*>(input) + begin * size, reinterpret_cast<char*>(drawn)};
    if (values != nullptr) {
      run_contiguous<S>(RreluStep<V, true>(), operands, width);
    } else {
      run_contiguous<S>(RreluStep<V, false>(), operands + 1, width);
    }
  }
}

}  // namespace act_ext::CPU_CAPABILITY
