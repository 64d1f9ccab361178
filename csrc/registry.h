// The List at run time: one Op for each activation, in order.
#pragma once

#include <array>
#include <span>

#include "pass.h"

namespace act_ext {

// What the op library, built with hidden symbols, shows to the Python module.
#define ACT_EXT_API __attribute__((visibility("default")))

inline constexpr int kMaxParams = 2;
using Params = std::array<double, kMaxParams>;

struct Op {
  int index;  // in the List
  Spec spec;
  Kind kind;
  int arity;  // how many tensors it takes
  int num_params;
  std::array<bool, kPasses> passes;
  // Whether backward can do with the result, so that the in-place form saves nothing else. Null where it never can.
  bool (*result_suffices)(const double* params);

  // The names of learned parameters.
  const char* learned = "";
  // In the tables of row functions and of learned activations.
  int kernel = -1;
  // Of a row function.
  bool logarithmic = false;
  double sign = 1;

  bool has(Pass pass) const { return passes[static_cast<int>(pass)]; }
};

ACT_EXT_API std::span<const Op> all_ops();

// The op of that name, or null.
ACT_EXT_API const Op* find_op(std::string_view name);

}  // namespace act_ext
