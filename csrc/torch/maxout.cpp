#include "maxout.h"

#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>
#include <ATen/WrapDimUtils.h>
#include <ATen/ops/empty.h>

#include "../cpu/dispatch.h"
#include "cuda.h"
#include "elementwise.h"
#include "record.h"

namespace act_ext {
namespace {

using at::Tensor;
using c10::DispatchKeySet;
using torch::autograd::variable_list;
using T = const Tensor&;
using Two = std::tuple<Tensor, Tensor>;

const Op& maxout_op() {
  static const Op& op = *find_op("maxout");
  return op;
}

// The channels along dim are units of pieces that follow each other.
struct Pieces {
  int64_t count, dim;
};

// The units' shape, from that of all pieces.
std::vector<int64_t> units_shape(const char* name, T all, Pieces& pieces) {
  TORCH_CHECK(all.dim() > 0, name, ": input must have at least one dimension, got a 0-dim tensor");
  TORCH_CHECK_VALUE(pieces.count > 0, name, ": num_pieces must be positive, got ", pieces.count);
  pieces.dim = at::maybe_wrap_dim(pieces.dim, all.dim());
  auto shape = all.sizes().vec();
  TORCH_CHECK(shape[pieces.dim] % pieces.count == 0, name, ": the size of input in dimension ", pieces.dim,
              " must be a multiple of num_pieces (", pieces.count, "), got ", shape[pieces.dim]);
  shape[pieces.dim] /= pieces.count;
  return shape;
}

at::ScalarType index_type(int64_t pieces) {
  return pieces <= 256 ? at::kByte : pieces <= 32768 ? at::kShort : at::kInt;
}

// Elements behind dim: how far apart pieces are in contiguous memory.
int64_t inner_size(T tensor, int64_t dim) { return c10::multiply_integers(tensor.sizes().slice(dim + 1)); }

// run(first unit, its offset among all pieces, how many units) for stretches of units side by side.
template <class F>
void for_each_stretch(int64_t units, int64_t pieces, int64_t inner, F run) {
  at::parallel_for(0, units, at::internal::GRAIN_SIZE, [&](int64_t begin, int64_t end) {
    if (inner == 1) return run(begin, begin * pieces, end - begin);
    while (begin < end) {
      const int64_t within = begin % inner, stop = std::min(end, begin - within + inner);
      run(begin, (begin - within) * pieces + within, stop - begin);
      begin = stop;
    }
  });
}

Dtype check_dtype(T tensor) { return check_inputs({&maxout_op()}, Pass::forward, {&tensor}); }

Two with_indices(T given, int64_t num_pieces, int64_t dim) {
  Pieces pieces{num_pieces, dim};
  const Dtype dtype = check_dtype(given);
  const auto shape = units_shape("maxout", given, pieces);
  const Tensor input = given.contiguous();
  Tensor values = at::empty(shape, given.options());
  Tensor indices = at::empty(shape, given.options().dtype(index_type(num_pieces)));
  const int64_t inner = inner_size(input, pieces.dim), size = input.element_size(), index_size = indices.element_size();
  if (values.numel() == 0) return {values, indices};
  if (!input.is_cpu()) {
    run_maxout_on_cuda(MaxoutPass::largest, dtype, values, indices, input, num_pieces, inner);
    return {values, indices};
  }
  const auto& table = cpu::maxout_table(num_pieces);
  const auto kernel = (inner == 1 ? table.neighbours : table.largest)[static_cast<int>(dtype)];
  char* const to = static_cast<char*>(values.mutable_data_ptr());
  char* const which = static_cast<char*>(indices.mutable_data_ptr());
  const char* const from = static_cast<const char*>(input.const_data_ptr());
  for_each_stretch(values.numel(), num_pieces, inner, [&](int64_t unit, int64_t offset, int64_t count) {
    kernel(to + unit * size, which + unit * index_size, from + offset * size, num_pieces, inner, count);
  });
  return {values, indices};
}

void check_indices(const char* name, T units, T indices, int64_t num_pieces) {
  TORCH_CHECK(indices.scalar_type() == index_type(num_pieces), name, ": indices must be of dtype ",
              index_type(num_pieces), " for ", num_pieces, " pieces, got ", indices.scalar_type());
  TORCH_CHECK(indices.device() == units.device(), name, ": indices must be on the device of the other tensor (",
              units.device(), "), got ", indices.device());
}

// The gradients of all pieces from those of the units.
Tensor scatter(T given, T indices, int64_t num_pieces, int64_t dim) {
  const char* const name = "maxout_backward";
  const Dtype dtype = check_dtype(given);
  TORCH_CHECK(given.dim() > 0, name, ": grad_output must have at least one dimension, got a 0-dim tensor");
  TORCH_CHECK_VALUE(num_pieces > 0, name, ": num_pieces must be positive, got ", num_pieces);
  check_indices(name, given, indices, num_pieces);
  TORCH_CHECK(indices.sizes().equals(given.sizes()), name, ": indices must have the shape of grad_output (",
              given.sizes(), "), got ", indices.sizes());
  dim = at::maybe_wrap_dim(dim, given.dim());
  auto shape = given.sizes().vec();
  shape[dim] *= num_pieces;
  Tensor all = at::empty(shape, given.options());
  const Tensor gradient = given.contiguous(), which = indices.contiguous();
  const int64_t inner = inner_size(given, dim), size = given.element_size(), index_size = which.element_size();
  if (all.numel() == 0) return all;
  if (!given.is_cpu()) {
    run_maxout_on_cuda(MaxoutPass::scatter, dtype, all, which, gradient, num_pieces, inner);
    return all;
  }
  const auto kernel = cpu::maxout_table(num_pieces).scatter[static_cast<int>(dtype)];
  for_each_stretch(given.numel(), num_pieces, inner, [&](int64_t unit, int64_t offset, int64_t count) {
    kernel(static_cast<char*>(all.mutable_data_ptr()) + offset * size,
           static_cast<const char*>(which.const_data_ptr()) + unit * index_size,
           static_cast<const char*>(gradient.const_data_ptr()) + unit * size, num_pieces, inner, count);
  });
  return all;
}

// Of all pieces those that the indices name.
Tensor pick(T given, T indices, int64_t num_pieces, int64_t dim) {
  const char* const name = "maxout_pick";
  Pieces pieces{num_pieces, dim};
  const Dtype dtype = check_dtype(given);
  const auto shape = units_shape(name, given, pieces);
  check_indices(name, given, indices, num_pieces);
  TORCH_CHECK(indices.sizes().equals(shape), name, ": indices must have the shape of the units (",
              at::IntArrayRef(shape), "), got ", indices.sizes());
  Tensor units = at::empty(shape, given.options());
  const Tensor all = given.contiguous(), which = indices.contiguous();
  const int64_t inner = inner_size(all, pieces.dim), size = all.element_size(), index_size = which.element_size();
  if (units.numel() == 0) return units;
  if (!all.is_cpu()) {
    run_maxout_on_cuda(MaxoutPass::pick, dtype, units, which, all, num_pieces, inner);
    return units;
  }
  const auto kernel = cpu::maxout_table(num_pieces).pick[static_cast<int>(dtype)];
  for_each_stretch(units.numel(), num_pieces, inner, [&](int64_t unit, int64_t offset, int64_t count) {
    kernel(static_cast<char*>(units.mutable_data_ptr()) + unit * size,
           static_cast<const char*>(which.const_data_ptr()) + unit * index_size,
           static_cast<const char*>(all.const_data_ptr()) + offset * size, num_pieces, inner, count);
  });
  return units;
}

// Backward and picking are each other's derivatives.
Tensor linear(const char* name, const Differentiated& what, T tensor, T indices) {
  return find_in_dispatcher(name).typed<Tensor(T, T, int64_t, int64_t)>().call(
      tensor, indices, static_cast<int64_t>(what.call.params[0]), what.packing->dim);
}
const char* name_of(Pass pass) { return pass == Pass::backward ? "maxout_backward" : "maxout_pick"; }
const char* adjoint_of(Pass pass) { return pass == Pass::backward ? "maxout_pick" : "maxout_backward"; }

variable_list pushed_forward(const Differentiated& what, const Saved& inputs, const variable_list& tangents,
                             const variable_list& outputs) {
  if (what.pass == Pass::forward) return {linear("maxout_pick", what, tangents[0], outputs[1])};
  return {linear(name_of(what.pass), what, tangents[0], inputs[1])};
}

// The pass of maxout_pick is called double backward, since that is where it appears.
Differentiated call_of(Pass pass, int64_t num_pieces, int64_t dim) {
  return {{&maxout_op(), {static_cast<double>(num_pieces)}}, pass, false, Packing{.dim = dim}};
}

}  // namespace

variable_list maxout_derivatives(const Differentiated& what, const variable_list& grads, const Saved& saved) {
  variable_list results(what.count_tensors());
  if (!grads[0].defined()) return results;
  results[0] = what.pass == Pass::forward ? linear("maxout_backward", what, grads[0], saved[0])
                                          : linear(adjoint_of(what.pass), what, grads[0], saved[1]);
  return results;
}

void register_maxout_autograd(torch::Library& library) {
  library.impl("maxout_with_indices",
               [next = find_in_dispatcher("maxout_with_indices").typed<Two(T, int64_t, int64_t)>()](
                   DispatchKeySet keys, T input, int64_t num_pieces, int64_t dim) {
                 return recorded(
                     keys, call_of(Pass::forward, num_pieces, dim), pushed_forward,
                     [&] { return with_indices(input, num_pieces, dim); },
                     [&](DispatchKeySet rest) { return next.redispatch(rest, input, num_pieces, dim); }, {&input});
               });
  for (const Pass pass : {Pass::backward, Pass::double_backward}) {
    library.impl(name_of(pass),
                 [pass, next = find_in_dispatcher(name_of(pass)).typed<Tensor(T, T, int64_t, int64_t)>()](
                     DispatchKeySet keys, T tensor, T indices, int64_t num_pieces, int64_t dim) {
                   return recorded(
                       keys, call_of(pass, num_pieces, dim), pushed_forward,
                       [&] {
                         return pass == Pass::backward ? scatter(tensor, indices, num_pieces, dim)
                                                       : pick(tensor, indices, num_pieces, dim);
                       },
                       [&](DispatchKeySet rest) { return next.redispatch(rest, tensor, indices, num_pieces, dim); },
                       {&tensor, &indices});
                 });
  }
}

TORCH_LIBRARY_FRAGMENT(act_ext, library) {
  library.set_python_module("act_ext._register");
  const std::vector<at::Tag> tags = {at::Tag::pt2_compliant_tag};
  const auto def = [&](const char* schema) { library.def(torch::schema(schema), tags); };
  def("maxout(Tensor input, int num_pieces, int dim=1) -> Tensor");
  def("maxout_with_indices(Tensor input, int num_pieces, int dim=1) -> (Tensor, Tensor)");
  def("maxout_backward(Tensor grad_output, Tensor indices, int num_pieces, int dim) -> Tensor");
  def("maxout_pick(Tensor input, Tensor indices, int num_pieces, int dim) -> Tensor");
}
TORCH_LIBRARY_IMPL(act_ext, CompositeImplicitAutograd, library) {
  library.impl("maxout", [](T input, int64_t num_pieces, int64_t dim) {
    static const auto op = find_in_dispatcher("maxout_with_indices").typed<Two(T, int64_t, int64_t)>();
    return std::get<0>(op.call(input, num_pieces, dim));
  });
}
#define ACT_EXT_IMPLEMENT_MAXOUT                      \
  library.impl("maxout_with_indices", &with_indices); \
  library.impl("maxout_backward", &scatter);          \
  library.impl("maxout_pick", &pick);
TORCH_LIBRARY_IMPL(act_ext, CPU, library){ACT_EXT_IMPLEMENT_MAXOUT} TORCH_LIBRARY_IMPL(act_ext, CUDA, library) {
  ACT_EXT_IMPLEMENT_MAXOUT
}

}  // namespace act_ext
