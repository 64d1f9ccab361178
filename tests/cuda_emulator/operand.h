// What the checks of the CUDA kernels share.
#pragma once

#include <random>

#include "cuda/kernel.cuh"

namespace act_ext::cuda {

using emulator::require;
using Numbers = std::vector<int64_t>;

inline int64_t product_of(const Numbers& sizes) {
  int64_t product = 1;
  for (const int64_t size : sizes) product *= size;
  return product;
}

// Elements at strides, the innermost dimension first, in memory of which nothing else may be touched.
template <class S>
class Operand {
 public:
  // offset: of the first element from an address that sixteen divides.
  Operand(Numbers sizes, Numbers strides, int64_t offset = 0) : sizes_(sizes), strides_(strides) {
    int64_t extent = 1;
    for (std::size_t d = 0; d < sizes.size(); ++d) extent += (sizes[d] - 1) * strides[d];
    memory_.assign(extent + offset + 2 * kMargin, poison());
    first_ = kMargin + offset;
    require(reinterpret_cast<uintptr_t>(memory_.data()) % 16 == 0, "the allocator's alignment is not sixteen");
  }

  S* data() { return memory_.data() + first_; }
  int64_t stride(int d) const { return strides_[d]; }
  // The place of element i in the order of the dimensions.
  int64_t place(int64_t i) const {
    int64_t offset = 0;
    for (std::size_t d = 0; d < sizes_.size(); i /= sizes_[d++]) offset += i % sizes_[d] * strides_[d];
    return offset;
  }
  S& operator[](int64_t i) { return data()[place(i)]; }

  void fill(std::mt19937& random) {
    std::normal_distribution<float> normal(0, 2);
    for (int64_t i = 0; i < product_of(sizes_); ++i) (*this)[i] = narrow<S>(Compute<S>(normal(random)));
  }
  void check_surroundings() const {
    std::vector<bool> own(memory_.size());
    for (int64_t i = 0; i < product_of(sizes_); ++i) own[first_ + place(i)] = true;
    for (std::size_t i = 0; i < memory_.size(); ++i) {
      const S expected = poison();
      require(own[i] || std::memcmp(&memory_[i], &expected, sizeof(S)) == 0, "a kernel wrote where it must not");
    }
  }

 private:
  static constexpr int64_t kMargin = 64;
  static S poison() { return narrow<S>(Compute<S>(-77)); }

  Numbers sizes_, strides_;
  std::vector<S> memory_;
  int64_t first_;
};

// The ways in which the operands' elements lie.
enum class Arrangement { dense, pitched, oddly_pitched, misaligned, every_second, expanded };
inline constexpr Arrangement arrangements[] = {Arrangement::dense,         Arrangement::pitched,
                                               Arrangement::oddly_pitched, Arrangement::misaligned,
                                               Arrangement::every_second,  Arrangement::expanded};

// Operand k of some of these sizes. `input`: may repeat elements.
template <class S>
Operand<S> arranged(Arrangement arrangement, const Numbers& sizes, int k, bool input) {
  Numbers strides;
  int64_t next = arrangement == Arrangement::every_second ? 2 : 1;
  for (std::size_t d = 0; d < sizes.size(); ++d) {
    strides.push_back(next);
    next *= sizes[d];
    // Rows apart from each other, and by how much depends on the operand.
    if (d == 0 && arrangement == Arrangement::oddly_pitched) next += 3;
    if (d == 0 && arrangement == Arrangement::pitched) next = divided_up(next, 8) * 8 + 8 * (k % 2);
  }
  if (arrangement == Arrangement::expanded && input && k % 2 == 0) strides.back() = 0;
  return Operand<S>(sizes, strides, arrangement == Arrangement::misaligned ? 1 + k % 2 : 0);
}

template <class S>
bool same_bits(S a, S b) {
  return std::memcmp(&a, &b, sizeof(S)) == 0 || (a != a && b != b);
}

// An op's pass over one element of each input.
template <class S, class F, std::size_t... I>
auto expected(const F& f, std::vector<Operand<S>>& inputs, int64_t i, std::index_sequence<I...>) {
  return results<S>(f(widen(inputs[I][i])...));
}

template <class S>
constexpr Dtype dtype_of = std::is_same_v<S, double>          ? Dtype::float64
                           : std::is_same_v<S, float>         ? Dtype::float32
                           : std::is_same_v<S, __nv_bfloat16> ? Dtype::bfloat16
                                                              : Dtype::float16;

// check<S>() for each dtype.
template <class F>
void for_each_dtype(F check) {
  check.template operator()<float>();
  check.template operator()<double>();
  check.template operator()<__nv_bfloat16>();
  check.template operator()<__half>();
}

}  // namespace act_ext::cuda
