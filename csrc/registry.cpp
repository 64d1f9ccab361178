#include "registry.h"

#include <vector>

#include "activations/all.h"

namespace act_ext {
namespace {

template <template <class> class Activation>
Op make_op(int index, int kernel) {
  Op op{.index = index,
        .spec = Activation<float>::spec,
        .kind = kind<Activation>,
        .arity = arity<Activation>,
        .num_params = count_params(Activation<float>::spec.params),
        .passes = {},
        .result_suffices = nullptr};
  for (int pass = 0; pass < kPasses; ++pass) op.passes[pass] = has_pass<Activation>(static_cast<Pass>(pass));
  if constexpr (kind<Activation> == Kind::learned) op.learned = Activation<float>::learned;
  op.kernel = kernel;
  if constexpr (has_slope_from_result<Activation>) op.result_suffices = Activation<float>::result_suffices;
  return op;
}

template <template <class> class... Activations>
void append(List<Activations...>, std::vector<Op>& ops) {
  int kernel = 0;
  (ops.push_back(make_op<Activations>(static_cast<int>(ops.size()), kernel++)), ...);
}

}  // namespace

std::span<const Op> all_ops() {
  static const std::vector<Op> ops = [] {
    std::vector<Op> list;
#define ACT_EXT_APPEND(Family, name) append(Family{}, list);
    ACT_EXT_FAMILIES(ACT_EXT_APPEND)
#undef ACT_EXT_APPEND
    for (const RowFunction& function : row_functions) {
      list.push_back({.index = static_cast<int>(list.size()),
                      .spec = function.spec,
                      .kind = Kind::row_function,
                      .arity = 1,
                      .num_params = 0,
                      .passes = {true, true, true},
                      .result_suffices = nullptr,
                      .kernel = function.kernel,
                      .logarithmic = function.logarithmic,
                      .sign = function.sign});
    }
    list.push_back({.index = static_cast<int>(list.size()),
                    .spec = maxout_spec,
                    .kind = Kind::maxout,
                    .arity = 1,
                    .num_params = 0,
                    .passes = {true, true},
                    .result_suffices = nullptr});
    list.push_back({.index = static_cast<int>(list.size()),
                    .spec = rrelu_spec,
                    .kind = Kind::rrelu,
                    .arity = 1,
                    .num_params = 0,
                    .passes = {true},
                    .result_suffices = nullptr});
    return list;
  }();
  return ops;
}

const Op* find_op(std::string_view name) {
  for (const Op& op : all_ops()) {
    if (name == op.spec.name) return &op;
  }
  return nullptr;
}

}  // namespace act_ext
