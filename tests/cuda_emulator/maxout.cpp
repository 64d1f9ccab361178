// Maxout's kernels against a search that goes through the pieces in order.
#include "cuda/maxout.cuh"

#include "operand.h"

using namespace act_ext;
using namespace act_ext::cuda;

namespace {

std::mt19937 random_numbers;

template <class S, class I>
void check(int64_t outer, int64_t inner, int64_t pieces, int64_t offset) {
  const Numbers all_sizes{inner, pieces, outer}, unit_sizes{inner, outer};
  const Numbers all_strides{1, inner, inner * pieces}, unit_strides{1, inner};
  Operand<S> input(all_sizes, all_strides, offset), gradients(all_sizes, all_strides, offset);
  Operand<S> values(unit_sizes, unit_strides, offset), picked(unit_sizes, unit_strides, offset);
  std::vector<I> indices(outer * inner + 1, I(99));
  // Few different numbers, so that many are equal, and some NaN.
  for (int64_t i = 0; i < outer * inner * pieces; ++i) {
    const int number = static_cast<int>(random_numbers() % 40);
    input[i] = narrow<S>(Compute<S>(number == 0 ? NAN : number == 1 ? -INFINITY : number % 7));
  }
  const auto launch = [&](MaxoutPass pass, Operand<S>& of_units, Operand<S>& of_pieces) {
    const MaxoutOperands operands{of_units.data(), indices.data(), of_pieces.data(), outer * inner, inner, pieces};
    require(launch_maxout<I>(pass, dtype_of<S>, operands, nullptr) == nullptr, "no launch");
    of_units.check_surroundings();
    of_pieces.check_surroundings();
    require(indices.back() == I(99), "a kernel wrote behind the indices");
  };
  launch(MaxoutPass::largest, values, input);
  launch(MaxoutPass::scatter, values, gradients);
  launch(MaxoutPass::pick, picked, input);
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t i = 0; i < inner; ++i) {
      const auto piece = [&](Operand<S>& of, int64_t k) { return of[(o * pieces + k) * inner + i]; };
      int64_t largest = 0;
      for (int64_t k = 1; k < pieces; ++k) {
        const auto best = widen(piece(input, largest)), other = widen(piece(input, k));
        if (best == best && (other > best || other != other)) largest = k;
      }
      const int64_t unit = o * inner + i;
      require(indices[unit] == static_cast<I>(largest), "an index differs");
      require(same_bits(values[unit], piece(input, largest)), "a value differs");
      require(same_bits(picked[unit], values[unit]), "what is picked differs");
      for (int64_t k = 0; k < pieces; ++k) {
        const S expected = k == largest ? values[unit] : narrow<S>(Compute<S>(0));
        require(same_bits(piece(gradients, k), expected), "a gradient differs");
      }
    }
  }
}

}  // namespace

int main() {
  for_each_dtype([]<class S>() {
    for (const int64_t offset : {0, 1}) {
      for (const int64_t pieces : {1, 2, 3, 5, 16, 37, 300}) {
        for (const auto& [outer, inner] : {std::pair(77, 1), {64, 1}, {5, 8}, {3, 7}, {2, 48}}) {
          if (pieces <= 256) check<S, uint8_t>(outer, inner, pieces, offset);
          check<S, int16_t>(outer, inner, pieces, offset);
          check<S, int32_t>(outer, inner, pieces, offset);
        }
      }
    }
  });
  std::puts("passed");
}
