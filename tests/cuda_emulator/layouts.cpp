// Elementwise kernels, by the example of a gated unit and a pointwise op, and kernels over rows, where the operands'
// memory is laid out in different ways.
#include "activations/exponential.h"
#include "activations/gated_units.h"
#include "activations/softmax.h"
#include "cuda/rows.cuh"
#include "operand.h"

using namespace act_ext;
using namespace act_ext::cuda;

namespace {

std::mt19937 random_numbers;

// dense: told so to the kernel.
template <template <class> class Op, Pass pass, class S>
void check_elementwise(const Numbers& sizes, Arrangement arrangement, bool dense) {
  using F = StepFor<Op, pass, S>;
  const double params[] = {1, 0};
  std::vector<Operand<S>> outputs, inputs;
  Operands operands{F::outputs, F::inputs, product_of(sizes), {}, dense ? 0 : static_cast<int>(sizes.size()), {}, {}};
  for (int k = 0; k < F::outputs + F::inputs; ++k) {
    auto& list = k < F::outputs ? outputs : inputs;
    list.push_back(arranged<S>(arrangement, sizes, k, k >= F::outputs));
    if (k >= F::outputs) list.back().fill(random_numbers);
    operands.data[k] = list.back().data();
    for (std::size_t d = 0; d < sizes.size(); ++d) {
      operands.sizes[d] = sizes[d];
      operands.strides[k][d] = list.back().stride(d) * static_cast<int64_t>(sizeof(S));
    }
  }
  require(launch_op<Op, pass, S>(operands, params, nullptr) == nullptr, "no launch");
  for (int64_t i = 0; i < product_of(sizes); ++i) {
    const auto results = expected<S>(F(params), inputs, i, std::make_index_sequence<F::inputs>());
    for (int k = 0; k < F::outputs; ++k) {
      require(same_bits(outputs[k][i], narrow<S>(results.value[k])), "a result differs");
    }
  }
  for (Operand<S>& output : outputs) output.check_surroundings();
}

// Along dimension `dim`.
template <class S>
void check_softmax(const Numbers& sizes, int dim, Arrangement arrangement) {
  const int dims = static_cast<int>(sizes.size());
  Operand<S> output = arranged<S>(arrangement, sizes, 0, false), input = arranged<S>(arrangement, sizes, 1, true);
  input.fill(random_numbers);
  RowOperands rows{{1, 1, product_of(sizes) / sizes[dim], {output.data(), input.data()}, 0, {}, {}}, sizes[dim], {}};
  Numbers others;
  int64_t step = 1;
  for (int d = 0; d < dims; ++d) {
    if (d < dim) step *= sizes[d];
    for (int k = 0; k < 2; ++k) {
      const int64_t stride = (k == 0 ? output : input).stride(d) * static_cast<int64_t>(sizeof(S));
      (d == dim ? rows.steps[k] : rows.firsts.strides[k][rows.firsts.dims]) = stride;
    }
    if (d != dim) rows.firsts.sizes[rows.firsts.dims++] = sizes[d];
  }
  std::vector<double> workspace(row_workspace_bytes(rows, sizeof(S)) / 8 + 1, NAN);
  require(launch_rows<Softmax, Pass::forward, S>(rows, 1, workspace.data(), nullptr) == nullptr, "no launch");
  require(std::isnan(workspace.back()), "a kernel wrote behind the workspace");
  for (int64_t i = 0; i < product_of(sizes); ++i) {
    const int64_t first = i - i / step % sizes[dim] * step;
    double sum = 0;
    for (int64_t k = 0; k < sizes[dim]; ++k) sum += std::exp(static_cast<double>(widen(input[first + k * step])));
    const double exact = std::exp(static_cast<double>(widen(input[i]))) / sum;
    const double bound = sizeof(S) == 8 ? 0x1p-50 : sizeof(S) == 4 ? 0x1p-21 : 0x1p-8;
    require(std::abs(widen(output[i]) - exact) <= bound * exact + 0x1p-25, "a result differs");
  }
  output.check_surroundings();
}

}  // namespace

int main() {
  const Numbers shapes[] = {{1}, {5}, {1030}, {64, 3}, {8, 5, 7}, {7, 5, 3}, {24, 1, 5, 3}, {4400, 2}};
  for_each_dtype([&]<class S>() {
    for (const Numbers& sizes : shapes) {
      for (const Arrangement arrangement : arrangements) {
        for (const bool last_first : {false, true}) {
          emulator::last_thread_first = last_first;
          check_elementwise<Swiglu, Pass::forward, S>(sizes, arrangement, false);
          check_elementwise<Swiglu, Pass::backward, S>(sizes, arrangement, false);
          check_elementwise<Swiglu, Pass::double_backward, S>(sizes, arrangement, false);
          check_elementwise<Elu, Pass::backward, S>(sizes, arrangement, false);
        }
        const bool dense = arrangement == Arrangement::dense || arrangement == Arrangement::misaligned;
        if (dense) check_elementwise<Swiglu, Pass::backward, S>(sizes, arrangement, true);
        if (product_of(sizes) > 2000) continue;
        for (int dim = 0; dim < static_cast<int>(sizes.size()); ++dim) check_softmax<S>(sizes, dim, arrangement);
      }
    }
    check_softmax<S>({9000}, 0, Arrangement::dense);
    check_softmax<S>({9000}, 0, Arrangement::misaligned);
  });
  std::puts("passed");
}
