// The backward passes of activations with learned parameters: results to the bit, sums against those in double.
#include "activations/learned.h"

#include "cuda/reduce.cuh"
#include "operand.h"

using namespace act_ext;
using namespace act_ext::cuda;

namespace {

std::mt19937 random_numbers;

// channel: the dimension of the channels, or -1. per_channel: of the parameters, by bit.
template <template <class> class Op, Pass pass, class S>
void check(const Numbers& sizes, int channel, int per_channel, Arrangement arrangement) {
  using F = Step<Op, pass, Compute<S>>;
  constexpr int kept = kKept<F>, first = F::inputs - F::parameters;
  const double params[] = {0.5, -1e-6};
  std::vector<Operand<S>> outputs, inputs;
  for (int k = 0; k < kept; ++k) outputs.push_back(arranged<S>(arrangement, sizes, k, false));
  for (int k = 0; k < F::inputs; ++k) {
    if (is_parameter(k, F::inputs, F::parameters)) {
      Numbers strides(sizes.size());
      const int parameter = k < first ? k - 1 : k - first;
      if (channel >= 0 && per_channel >> parameter & 1) strides[channel] = 1;
      inputs.push_back(Operand<S>(sizes, strides, k));
    } else {
      inputs.push_back(arranged<S>(arrangement, sizes, kept + k, true));
    }
    inputs.back().fill(random_numbers);
  }

  Reduced reduced{{kept, F::inputs, product_of(sizes), {}, static_cast<int>(sizes.size()), {}, {}}, F::parameters, {}};
  for (int k = 0; k < kept + F::inputs; ++k) {
    Operand<S>& operand = k < kept ? outputs[k] : inputs[k - kept];
    reduced.operands.data[k] = operand.data();
    for (std::size_t d = 0; d < sizes.size(); ++d) {
      reduced.operands.sizes[d] = sizes[d];
      reduced.operands.strides[k][d] = operand.stride(d) * static_cast<int64_t>(sizeof(S));
    }
  }
  std::vector<Operand<S>> gradients[2];
  for (const bool last_first : {false, true}) {
    for (int p = 0; p < F::parameters; ++p) {
      gradients[last_first].push_back(
          Operand<S>({inputs[first + p].stride(std::max(channel, 0)) ? sizes[channel] : 1}, {1}));
      reduced.gradients[p] = gradients[last_first][p].data();
    }
    std::vector<double> workspace(reducing_workspace_bytes(reduced, sizeof(S)) / 8 + 1, NAN);
    emulator::last_thread_first = last_first;
    require(launch_reducing<Op, pass, S>(reduced, params, workspace.data(), nullptr) == nullptr, "no launch");
    require(std::isnan(workspace.back()), "a kernel wrote behind the workspace");
  }

  std::vector<double> sums[kMaxParameters], magnitudes[kMaxParameters];
  for (int p = 0; p < F::parameters; ++p) {
    sums[p].resize(channel < 0 ? 1 : sizes[channel]);
    magnitudes[p].resize(sums[p].size());
  }
  for (int64_t i = 0; i < product_of(sizes); ++i) {
    const auto results = expected<S>(F(params), inputs, i, std::make_index_sequence<F::inputs>());
    for (int k = 0; k < kept; ++k) {
      require(same_bits(outputs[k][i], narrow<S>(results.value[k])), "a result differs");
    }
    for (int p = 0; p < F::parameters; ++p) {
      const int64_t place = inputs[first + p].place(i);
      sums[p][place] += results.value[kept + p];
      magnitudes[p][place] += std::abs(static_cast<double>(results.value[kept + p]));
    }
  }
  // Of the smallest dtypes, and what 16 bits cannot hold.
  constexpr double last_place = sizeof(S) == 2 ? 0x1p-8 : 0x1p-24, tiny = sizeof(S) == 2 ? 0x1p-25 : 0;
  constexpr double unit = sizeof(S) == 8 ? 0x1p-50 : 0x1p-22;
  for (Operand<S>& output : outputs) output.check_surroundings();
  for (int p = 0; p < F::parameters; ++p) {
    for (Operand<S>* gradient : {&gradients[0][p], &gradients[1][p]}) gradient->check_surroundings();
    const int64_t size = inputs[first + p].stride(std::max(channel, 0)) ? sizes[channel] : 1;
    for (int64_t c = 0; c < size; ++c) {
      require(same_bits(gradients[0][p][c], gradients[1][p][c]), "a sum depends on the order of the threads");
      const double error = std::abs(widen(gradients[0][p][c]) - sums[p][c]);
      require(error <= unit * magnitudes[p][c] + 1.01 * last_place * std::abs(sums[p][c]) + tiny, "a sum differs");
    }
  }
}

template <template <class> class Op, class S>
void check_passes(const Numbers& sizes, int channel, int per_channel, Arrangement arrangement) {
  check<Op, Pass::backward, S>(sizes, channel, per_channel, arrangement);
  check<Op, Pass::double_backward, S>(sizes, channel, per_channel, arrangement);
}

}  // namespace

int main() {
  // Sizes, innermost first, and the channels' dimension.
  const std::pair<Numbers, int> shapes[] = {
      {{1}, -1},          {{37}, -1},          {{37}, 0},        {{9007}, -1},   {{40, 30}, -1},  {{64, 3}, 0},
      {{24, 700}, 0},     {{3, 500}, 0},       {{1001, 7}, 0},   {{2001, 3}, 0}, {{49, 6, 9}, 1}, {{64, 3, 2}, 1},
      {{1024, 5, 3}, 1},  {{3, 100}, 1},       {{100, 70}, 1},   {{8, 6, 9}, 1}, {{33, 5, 4}, 2}, {{6, 5, 7, 4}, 1},
      {{48, 5, 7, 4}, 2}, {{16, 5, 3, 40}, 0}, {{7, 5, 3, 4}, 3}};
  for_each_dtype([&]<class S>() {
    for (const auto& [sizes, channel] : shapes) {
      for (const Arrangement arrangement : arrangements) {
        // The dtypes differ in nothing else that concerns a layout.
        const bool others = arrangement != Arrangement::dense && arrangement != Arrangement::misaligned;
        if (others && (sizeof(S) == 8 || std::is_same_v<S, __half>)) continue;
        check_passes<Prelu, S>(sizes, channel, 1, arrangement);
        if (channel >= 0) check_passes<Dyt, S>(sizes, channel, 6, arrangement);
      }
    }
  });
  std::puts("passed");
}
