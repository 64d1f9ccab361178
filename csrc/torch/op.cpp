#include "op.h"

#include <vector>

namespace act_ext {

void throw_invalid(const Op& op, const char* reason) { TORCH_CHECK_VALUE(false, op.spec.name, ": ", reason); }

Call checked(const Op& op, c10::string_view approximate) {
  static const Op& tanh_form = *find_op("gelu_tanh");
  if (approximate == "none") return {&op};
  TORCH_CHECK(approximate == "tanh", op.spec.name, ": approximate must be 'none' or 'tanh', got '", approximate, "'");
  return {&tanh_form};
}

bool takes_approximate(const Op& op) {
  return std::string_view(op.spec.params).find("str approximate") != std::string_view::npos;
}

std::string dispatcher_name(const Op& op, Pass pass) {
  const std::string name = op.spec.name;
  switch (pass) {
    case Pass::forward:
      return name;
    case Pass::backward:
      return name + "_backward";
    case Pass::double_backward:
      return name + "_double_backward";
    case Pass::backward_from_result:
      return name + "_backward.from_result";
    case Pass::double_backward_from_result:
      return name + "_double_backward.from_result";
  }
  TORCH_INTERNAL_ASSERT(false);
}

c10::OperatorHandle find_in_dispatcher(const std::string& name) {
  const auto dot = name.find('.');
  const std::string overload = dot == std::string::npos ? "" : name.substr(dot + 1);
  return c10::Dispatcher::singleton().findSchemaOrThrow(("act_ext::" + name.substr(0, dot)).c_str(), overload.c_str());
}

Handle::Handle(const Op& op, Pass pass)
    : handle_(find_in_dispatcher(dispatcher_name(op, pass))),
      num_params_(op.num_params),
      takes_string_(takes_approximate(op)) {}

const Handle& Handle::of(const Op& op, Pass pass) {
  // Looked up at the first use, when every schema has been defined.
  static const std::vector<std::vector<Handle>> handles = [] {
    std::vector<std::vector<Handle>> list;
    for (const Op& each : all_ops()) {
      auto& row = list.emplace_back();
      for (int p = 0; p < kPasses; ++p) {
        // A pass that the op lacks is never asked for; the forward op keeps its place.
        const auto wanted = static_cast<Pass>(p);
        row.push_back(Handle(each, each.has(wanted) ? wanted : Pass::forward));
      }
    }
    return list;
  }();
  return handles[op.index][static_cast<int>(pass)];
}

}  // namespace act_ext
