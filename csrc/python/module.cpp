// act_ext._C: the hot entries of the ops, what Python needs to register the rest, and facts about the build.
#include <ATen/PythonTorchFunctionTLS.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/utils/pybind.h>

#include <algorithm>
#include <cmath>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "../cpu/dispatch.h"
#include "../torch/autograd.h"
#include "../torch/cuda.h"
#include "../torch/learned.h"
#include "../torch/override.h"

namespace act_ext {
namespace {

namespace py = pybind11;

// Below this many elements a call is over before another thread could have taken the lock.
constexpr int64_t kReleaseGil = 8192;

// One hot entry: exact tensors go to the dispatcher, everything that might want to intercept the call (subclasses,
// modes, proxies, keyword arguments) goes the way of torch.ops.
struct Entry {
  const Op* op;
  bool takes_approximate;
  std::vector<std::string> tensors, parameters;
  PyObject* general;  // the torch.ops overload packet, owned for the life of the process
  PyMethodDef method;
  std::optional<c10::OperatorHandle> row_function;

  bool takes_dim() const { return op->kind == Kind::row_function || op->kind == Kind::learned; }
};

// What follows the tensors.
struct Arguments {
  Params params{};
  bool tanh_form = false;
  int64_t dim = 0;
};

at::Tensor call(const Entry& entry, const Arguments& given, PyObject* const* tensors) {
  static const Op& gelu_tanh = *find_op("gelu_tanh");
  const auto tensor = [&](int i) -> const at::Tensor& { return THPVariable_Unpack(tensors[i]); };
  const Op& op = *entry.op;
  if (op.kind == Kind::row_function) {
    return entry.row_function->typed<at::Tensor(const at::Tensor&, int64_t)>().call(tensor(0), given.dim);
  }
  if (op.kind == Kind::learned) {
    std::vector<at::Tensor> all;
    all.reserve(op.arity);
    for (int i = 0; i < op.arity; ++i) all.push_back(tensor(i));
    return learned_forward({&op, given.params}, given.dim, std::move(all));
  }
  const Handle& handle = Handle::of(given.tanh_form ? gelu_tanh : op, Pass::forward);
  return op.arity == 1 ? handle.call(given.params, tensor(0)) : handle.call(given.params, tensor(0), tensor(1));
}

bool takes_part_in_torch_function(PyObject* object) {
  return THPVariable_Check(object) ||
         PyObject_HasAttrString(reinterpret_cast<PyObject*>(Py_TYPE(object)), "__torch_function__") == 1;
}

// The error that torch's own functions give, of the type that they give it.
void require(bool condition, const Entry& entry, const char* name, const char* expected, PyObject* given) {
  if (condition) return;
  PyErr_Format(PyExc_TypeError, "act_ext.%s(): argument '%s' must be %s, not %s", entry.op->spec.name, name, expected,
               Py_TYPE(given)->tp_name);
  throw python_error();
}

// Arguments after the tensors, positional. False where the general path has to sort them out.
bool parse(const Entry& entry, PyObject* const* args, Py_ssize_t count, Arguments& given) {
  if (entry.takes_approximate) {
    if (count != 1 || !PyUnicode_CheckExact(args[0])) return false;
    given.tanh_form = PyUnicode_CompareWithASCIIString(args[0], "tanh") == 0;
    return given.tanh_form || PyUnicode_CompareWithASCIIString(args[0], "none") == 0;
  }
  const int dims = entry.takes_dim() ? 1 : 0;
  if (count != dims + entry.op->num_params) return false;
  bool all = true;
  for (Py_ssize_t i = 0; i < count; ++i) {
    const bool is_dim = i < dims;
    if (PyLong_CheckExact(args[i]) && is_dim) {
      given.dim = PyLong_AsLongLong(args[i]);
      if (given.dim == -1 && PyErr_Occurred() != nullptr) throw python_error();
    } else if (PyFloat_CheckExact(args[i]) && !is_dim) {
      given.params[i - dims] = PyFloat_AS_DOUBLE(args[i]);
    } else if (PyLong_CheckExact(args[i])) {
      given.params[i - dims] = PyLong_AsDouble(args[i]);
      if (given.params[i - dims] == -1.0 && PyErr_Occurred() != nullptr) throw python_error();
    } else {
      require(PyNumber_Check(args[i]) == 1 || takes_part_in_torch_function(args[i]), entry, entry.parameters[i].c_str(),
              is_dim ? "int" : "float", args[i]);
      all = false;
    }
  }
  return all;
}

PyObject* enter(PyObject* capsule, PyObject* const* args, Py_ssize_t count) {
  HANDLE_TH_ERRORS
  const auto& entry = *static_cast<Entry*>(PyCapsule_GetPointer(capsule, nullptr));
  const int tensors = entry.op->arity;
  if (count < tensors) {
    PyErr_Format(PyExc_TypeError, "act_ext.%s(): missing argument '%s'", entry.op->spec.name,
                 entry.tensors[count].c_str());
    throw python_error();
  }
  Arguments given;
  bool exact = true;
  for (int i = 0; i < tensors; ++i) exact = exact && THPVariable_CheckExact(args[i]);
  if (!exact || at::impl::torch_function_mode_enabled() || !parse(entry, args + tensors, count - tensors, given)) {
    for (int i = 0; i < tensors; ++i) {
      require(takes_part_in_torch_function(args[i]), entry, entry.tensors[i].c_str(), "Tensor", args[i]);
    }
    // gelu's parameter is keyword-only in the schema.
    static PyObject* const keyword = PyTuple_Pack(1, PyUnicode_InternFromString("approximate"));
    const bool named = entry.takes_approximate && count == 2;
    return PyObject_Vectorcall(entry.general, args, named ? 1 : count, named ? keyword : nullptr);
  }
  const at::Tensor& input = THPVariable_Unpack(args[0]);
  if (input.unsafeGetTensorImpl()->has_symbolic_sizes_strides() || input.numel() < kReleaseGil) {
    return THPVariable_Wrap(call(entry, given, args));
  }
  at::Tensor result;
  {
    const py::gil_scoped_release release;
    result = call(entry, given, args);
  }
  return THPVariable_Wrap(std::move(result));
  END_HANDLE_TH_ERRORS
}

// The names of the arguments in [begin, end) of the op's schema.
std::vector<std::string> argument_names(const Op& op, size_t begin, size_t end) {
  std::vector<std::string> names;
  const auto& arguments = find_in_dispatcher(op.spec.name).schema().arguments();
  for (size_t i = begin; i < std::min(end, arguments.size()); ++i) names.push_back(arguments[i].name());
  return names;
}

const Op& op_named(const std::string& name) {
  const Op* op = find_op(name);
  if (op == nullptr) throw py::key_error("no activation is named '" + name + "'");
  return *op;
}

py::object make_entry(const std::string& name, py::object general) {
  const Op& op = op_named(name);
  static std::list<Entry> entries;
  auto& entry = entries.emplace_back(Entry{&op,
                                           takes_approximate(op),
                                           argument_names(op, 0, op.arity),
                                           argument_names(op, op.arity, SIZE_MAX),
                                           general.release().ptr(),
                                           {},
                                           {}});
  if (op.kind == Kind::row_function) entry.row_function = find_in_dispatcher(op.spec.name);
  entry.method = {op.spec.name, reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(enter)), METH_FASTCALL, nullptr};
  const auto capsule = py::reinterpret_steal<py::object>(PyCapsule_New(&entry, nullptr, nullptr));
  return py::reinterpret_steal<py::object>(PyCFunction_New(&entry.method, capsule.ptr()));
}

py::object describe(const std::optional<Facts>& facts) {
  if (!facts) return py::none();
  const char* const saturates[] = {"nowhere", "below", "above", "both"};
  py::dict dict;
  dict["infimum"] = facts->infimum;
  dict["supremum"] = facts->supremum;
  dict["minimum_at"] = std::isnan(facts->minimum_at) ? std::nullopt : std::optional(facts->minimum_at);
  dict["monotonic"] = facts->monotonic;
  dict["zero_centred"] = facts->zero_centred;
  dict["saturates"] = saturates[static_cast<int>(facts->saturates)];
  dict["smoothness"] = facts->smoothness;
  dict["at"] = facts->at;
  return dict;
}

py::dict describe(const Op& op) {
  const auto passes = [&] {
    py::list names;
    for (int p = 1; p < kPasses; ++p) {
      const bool constant = op.spec.saves == Saves::nothing && p == static_cast<int>(Pass::backward);
      if (op.passes[p] || constant) names.append(dispatcher_name(op, static_cast<Pass>(p)));
    }
    return names;
  }();
  const char* const saves[] = {"input", "result", "nothing"};
  py::dict spec;
  spec["name"] = op.spec.name;
  spec["params"] = op.spec.params;
  spec["formula"] = op.spec.formula;
  spec["derivative"] = op.spec.derivative;
  spec["paper"] = op.spec.paper;
  spec["facts"] = describe(op.spec.facts);
  spec["saves"] = saves[static_cast<int>(op.spec.saves)];
  spec["backward_ops"] = passes;
  const char* const kinds[] = {"pointwise", "gated_unit", "row_function", "learned", "maxout", "rrelu"};
  spec["kind"] = kinds[static_cast<int>(op.kind)];
  spec["arity"] = op.arity;
  spec["learned"] = op.learned;
  return spec;
}

}  // namespace
}  // namespace act_ext

PYBIND11_MODULE(_C, module) {
  using namespace act_ext;
  module.def("specs", [] {
    pybind11::list list;
    for (const Op& op : all_ops()) list.append(describe(op));
    return list;
  });
  module.def("entry", &make_entry);
  module.def("register_autograd", [](const std::string& name) { register_autograd(op_named(name)); });
  module.def("overridable", &overridable);
  module.def("override_native", &override_native);
  module.def("cpu_capability", &cpu::capability);
  module.def("built_with_cuda", &built_with_cuda);
}
