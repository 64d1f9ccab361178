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
};

at::Tensor call(const Op& op, const Params& params, bool tanh_form, const at::Tensor& first, const at::Tensor* second) {
  static const Op& gelu_tanh = *find_op("gelu_tanh");
  const Handle& handle = Handle::of(tanh_form ? gelu_tanh : op, Pass::forward);
  return second == nullptr ? handle.call(params, first) : handle.call(params, first, *second);
}

at::Tensor along_rows(const c10::OperatorHandle& op, const at::Tensor& input, int64_t dim) {
  const auto call = [&] { return op.typed<at::Tensor(const at::Tensor&, int64_t)>().call(input, dim); };
  if (input.unsafeGetTensorImpl()->has_symbolic_sizes_strides() || input.numel() < kReleaseGil) return call();
  const py::gil_scoped_release release;
  return call();
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

// Arguments after the tensor, positional. False where the general path has to sort them out.
bool parse(const Entry& entry, PyObject* const* args, Py_ssize_t count, Params& params, bool& tanh_form) {
  if (entry.takes_approximate) {
    if (count != 1 || !PyUnicode_CheckExact(args[0])) return false;
    tanh_form = PyUnicode_CompareWithASCIIString(args[0], "tanh") == 0;
    return tanh_form || PyUnicode_CompareWithASCIIString(args[0], "none") == 0;
  }
  if (count != entry.op->num_params) return false;
  bool all = true;
  for (Py_ssize_t i = 0; i < count; ++i) {
    if (PyFloat_CheckExact(args[i])) {
      params[i] = PyFloat_AS_DOUBLE(args[i]);
    } else if (PyLong_CheckExact(args[i])) {
      params[i] = PyLong_AsDouble(args[i]);
      if (params[i] == -1.0 && PyErr_Occurred() != nullptr) throw python_error();
    } else {
      require(PyNumber_Check(args[i]) == 1 || takes_part_in_torch_function(args[i]), entry, entry.parameters[i].c_str(),
              "float", args[i]);
      all = false;
    }
  }
  return all;
}

PyObject* enter(PyObject* capsule, PyObject* const* args, Py_ssize_t count) {
  HANDLE_TH_ERRORS
  const auto& entry = *static_cast<Entry*>(PyCapsule_GetPointer(capsule, nullptr));
  Params params{};
  bool tanh_form = false;
  const int tensors = entry.op->arity;
  if (count < tensors) {
    PyErr_Format(PyExc_TypeError, "act_ext.%s(): missing argument '%s'", entry.op->spec.name,
                 entry.tensors[count].c_str());
    throw python_error();
  }
  bool exact = true;
  for (int i = 0; i < tensors; ++i) exact = exact && THPVariable_CheckExact(args[i]);
  if (entry.op->kind == Kind::row_function) {
    if (!exact || at::impl::torch_function_mode_enabled() || count != 2 || !PyLong_CheckExact(args[1])) {
      require(takes_part_in_torch_function(args[0]), entry, "input", "Tensor", args[0]);
      require(count < 2 || PyNumber_Check(args[1]) == 1 || takes_part_in_torch_function(args[1]), entry, "dim", "int",
              args[1]);
      return PyObject_Vectorcall(entry.general, args, count, nullptr);
    }
    const auto dim = PyLong_AsLongLong(args[1]);
    if (dim == -1 && PyErr_Occurred() != nullptr) throw python_error();
    return THPVariable_Wrap(along_rows(*entry.row_function, THPVariable_Unpack(args[0]), dim));
  }
  if (!exact || at::impl::torch_function_mode_enabled() ||
      !parse(entry, args + tensors, count - tensors, params, tanh_form)) {
    for (int i = 0; i < tensors; ++i) {
      require(takes_part_in_torch_function(args[i]), entry, entry.tensors[i].c_str(), "Tensor", args[i]);
    }
    // gelu's parameter is keyword-only in the schema.
    static PyObject* const keyword = PyTuple_Pack(1, PyUnicode_InternFromString("approximate"));
    const bool named = entry.takes_approximate && count == 2;
    return PyObject_Vectorcall(entry.general, args, named ? 1 : count, named ? keyword : nullptr);
  }
  const at::Tensor& input = THPVariable_Unpack(args[0]);
  const at::Tensor* second = tensors == 2 ? &THPVariable_Unpack(args[1]) : nullptr;
  if (input.unsafeGetTensorImpl()->has_symbolic_sizes_strides() || input.numel() < kReleaseGil) {
    return THPVariable_Wrap(call(*entry.op, params, tanh_form, input, second));
  }
  at::Tensor result;
  {
    const py::gil_scoped_release release;
    result = call(*entry.op, params, tanh_form, input, second);
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
  module.def("cpu_capability", &cpu::capability);
  module.def("built_with_cuda", &built_with_cuda);
}
