// The kernels over rows and their launchers: what is reduced along a dimension, and what is made of it, for every
// function of rows, pass and dtype. They know no op.
//
// A row's threads are its `places`. Each takes kItems elements of every operand at a time into registers, either by
// sixteen bytes or one by one, the places always side by side. A row of at most kItems elements for each place is held:
// read once. Of a longer one each place streams through its share, keeping its sums in units of the largest element so
// far, and the elements are read again for the results.
//
// Sums: the terms of kUnit items are added by halves in what they were computed in, so that two or three roundings
// follow each other, and everything beyond in double, however long the row. With u = 2^-24, half of 1's last place, a
// float's term is within 2u of its value, a sum of them within 4u of its own (the terms' mean error and two roundings),
// and e^x / sum within 6u and its last rounding: 3.5 ULP where it is just above a power of 2, 6.5 just below the next
// if all errors met with the same sign, which they do not; below 4 is what is seen. The order of the additions depends
// on the layout, the addresses and, where rows are divided, the number of multiprocessors: never on timing.
#pragma once

#include <algorithm>

#include "row_span.cuh"

namespace act_ext::cuda {

// Elements of an operand that a thread takes at a time.
template <class S>
constexpr int kItems = sizeof(S) == 8 ? 8 : 16;
// The same where a row is streamed through. Only a new largest element is worth waiting for more.
template <class S, class F>
constexpr int kStreamedItems = F::has_max ? kItems<S> : kItems<S> / 2;
// Threads of a block that streams, and how many such blocks a multiprocessor must have room for.
constexpr int kStreamedThreads = 256;
template <class S, class F>
constexpr int kStreamedBlocks = F::inputs == 3 || sizeof(S) == 8 ? 2 : 3;
// Threads of a block that holds rows of a warp's length or less.
constexpr int kFewThreads = 128;

// g of the inputs' item i in unit u.
template <class SpanType, class G, std::size_t... I>
__device__ __forceinline__ auto apply(G g, const typename SpanType::Items& items, int u, int i,
                                      std::index_sequence<I...>) {
  constexpr int size = SpanType::Access::size;
  return g(widen(items.in[u][I][i / size].element[i % size])...);
}

// A row function's pass over what a thread has loaded.
template <class F, class SpanOf>
struct Part {
  using V = typename SpanOf::V;
  using Indices = std::make_index_sequence<F::inputs>;
  static constexpr int kUnit = SpanOf::kUnit;

  const SpanOf& span;
  const typename SpanOf::Items& items;

  __device__ V largest(const F& f) const {
    V m = static_cast<V>(-inf);
    span.for_units([&](int u) {
#pragma unroll
      for (int i = 0; i < kUnit; ++i) {
        m = Largest()(m, apply<SpanOf>([&](V x) { return f.argument(x); }, items, u, i, Indices()));
      }
    });
    return m;
  }

  // keep: what is done with each item's first term.
  template <class Keep>
  __device__ void add_terms(const F& f, Results<double, F::sums>& sums, Keep keep) const {
    span.for_units([&](int u) {
      V term[F::sums][kUnit];
#pragma unroll
      for (int i = 0; i < kUnit; ++i) {
        const auto all = apply<SpanOf>([&](auto... x) { return f.terms(x...); }, items, u, i, Indices());
        keep(u, i, all.value[0]);
#pragma unroll
        for (int s = 0; s < F::sums; ++s) term[s][i] = all.value[s];
      }
#pragma unroll
      for (int s = 0; s < F::sums; ++s) {
#pragma unroll
        for (int half = kUnit / 2; half > 0; half /= 2) {
#pragma unroll
          for (int i = 0; i < half; ++i) term[s][i] = term[s][i] + term[s][i + half];
        }
        sums.value[s] += static_cast<double>(term[s][0]);
      }
    });
  }

  __device__ void store_results(const F& f) const {
    span.store([&](int u, int i) {
      return apply<SpanOf>([&](auto... x) { return f.results(x...); }, items, u, i, Indices());
    });
  }
};

template <class V, class F>
__device__ void take(F& f, const Results<double, F::sums>& sums) {
  Results<Pair<V>, F::sums> words;
#pragma unroll
  for (int s = 0; s < F::sums; ++s) words.value[s] = constant_pair<V>(sums.value[s]);
  f.take(words);
}

template <class S, bool kPacked, template <class> class Op, Pass pass>
__global__ void __launch_bounds__(kMostThreads, 1)
    held_kernel(const __grid_constant__ Rows<kRowOperands<RowStep<Op, pass, Compute<S>>>> rows, int64_t begin,
                bool across, double sign) {
  using V = Compute<S>;
  using F = RowStep<Op, pass, V>;
  const Places at(begin, across);
  const Row<kRowOperands<F>> row(rows, at.row);
  using SpanOf = Span<S, F, kPacked, kItems<S>>;
  const SpanOf span(rows, row, 0, at.row < rows.count ? rows.length : 0, at);
  typename SpanOf::Items items;
  span.load(items, narrow<S>(static_cast<V>(F::padding(sign))));
  const Part<F, SpanOf> part{span, items};

  F f(sign);
  if constexpr (F::has_max) f.take_largest(at.combined(part.largest(f), Largest()));
  Results<double, F::sums> sums{};
  V terms[span.kUnits][span.kUnit];
  part.add_terms(f, sums, [&](int u, int i, V term) {
    if constexpr (F::keeps_terms) terms[u][i] = term;
  });
#pragma unroll
  for (int s = 0; s < F::sums; ++s) sums.value[s] = at.combined(sums.value[s], Sum());
  take<V>(f, sums);
  if constexpr (F::keeps_terms) {
    span.store([&](int u, int i) { return Results<V, 1>{f.from_term(terms[u][i])}; });
  } else {
    part.store_results(f);
  }
}

// What a launch does: all, or the first or the second half, between which the parts that rows were divided into lay
// down their sums.
enum class Stage { all, reduce, finish };

template <class S, bool kContiguous, template <class> class Op, Pass pass>
__global__ void __launch_bounds__(kStreamedThreads, kStreamedBlocks<S, RowStep<Op, pass, Compute<S>>>)
    streamed_kernel(const __grid_constant__ Rows<kRowOperands<RowStep<Op, pass, Compute<S>>>> rows, int64_t begin,
                    bool across, double sign, Stage stage, void* workspace) {
  using V = Compute<S>;
  using F = RowStep<Op, pass, V>;
  constexpr int operands = kRowOperands<F>;
  const Places at(begin, across);
  const Row<operands> row(rows, at.row);
  const bool inside = at.row < rows.count;
  const int64_t share = (rows.length + gridDim.y - 1) / gridDim.y;
  const int64_t first = share * blockIdx.y;
  const int64_t rest = rows.length - first;
  const int64_t length = !inside || rest < 0 ? 0 : rest < share ? rest : share;

  // Of a contiguous row the elements between the first and the last aligned address, if all operands reach theirs
  // together.
  int64_t head = length;
  if constexpr (kContiguous) {
    const auto misaligned = [&](int k) {
      return static_cast<unsigned>(reinterpret_cast<uintptr_t>(row.data[k] + first * sizeof(S)) % 16);
    };
    bool together = true;
#pragma unroll
    for (int k = 1; k < operands; ++k) together = together && misaligned(k) == misaligned(0);
    const int64_t before = (16 - misaligned(0)) % 16 / sizeof(S);
    if (together && before < length) head = before;
  }
  const auto for_spans = [&](auto g) {
    if constexpr (kContiguous) {
      const int64_t body = (length - head) / Pack<S>::size * Pack<S>::size;
      g(Span<S, F, true, kStreamedItems<S, F>>(rows, row, first + head, body, at));
#pragma unroll 1
      for (int end = 0; end < 2; ++end) {
        const int64_t from = end == 0 ? 0 : head + body, to = end == 0 ? head : length;
        g(Span<S, F, false, 4>(rows, row, first + from, to - from, at));
      }
    } else {
      g(Span<S, F, false, kStreamedItems<S, F>>(rows, row, first, length, at));
    }
  };
  const S padding = narrow<S>(static_cast<V>(F::padding(sign)));

  F f(sign);
  Total<V, F::sums> total;
  auto* const parts = static_cast<Total<V, F::sums>*>(workspace) + at.row * gridDim.y;
  if (stage == Stage::finish) {
    for (int part = at.place; inside && part < static_cast<int>(gridDim.y); part += at.places) total.add(parts[part]);
  } else {
    if constexpr (F::has_max) f.take_largest(total.bounded(total.largest));
    for_spans([&]<class SpanOf>(SpanOf span) {
#pragma unroll 1
      for (; span.more(); span.advance()) {
        typename SpanOf::Items items;
        span.load(items, padding);
        const Part<F, SpanOf> part{span, items};
        if constexpr (F::has_max) {
          const V m = part.largest(f);
          if (m > total.largest) {
            total.rebase(m);
            f.take_largest(m);
          }
        }
        part.add_terms(f, total.sums, [](int, int, V) {});
      }
    });
  }
  if constexpr (F::has_max) total.rebase(at.combined(total.largest, Largest()));
#pragma unroll
  for (int s = 0; s < F::sums; ++s) total.sums.value[s] = at.combined(total.sums.value[s], Sum());
  if (stage == Stage::reduce) {
    if (inside && at.place == 0) parts[blockIdx.y] = total;
    return;
  }

  if constexpr (F::has_max) f.take_largest(total.largest);
  take<V>(f, total.sums);
  for_spans([&]<class SpanOf>(SpanOf span) {
#pragma unroll 1
    for (; span.more(); span.advance()) {
      typename SpanOf::Items items;
      span.load(items, padding);
      Part<F, SpanOf>{span, items}.store_results(f);
    }
  });
}

// How rows are dealt out to blocks.
struct RowPlan {
  bool held, packed, across, contiguous;
  dim3 block;
  int64_t blocks;
  int parts;  // of a row; with more than one each block takes one of them
};

// size: of an element.
inline RowPlan plan_rows(const RowOperands& rows, int64_t size) {
  const Operands& firsts = rows.firsts;
  const int64_t items = size == 8 ? kItems<double> : kItems<float>, length = rows.length;
  RowPlan plan;
  plan.contiguous = true;
  plan.packed = length * size % 16 == 0;
  for (int k = 0; k < firsts.outputs + firsts.inputs; ++k) {
    plan.contiguous = plan.contiguous && rows.steps[k] == size;
    plan.packed = plan.packed && reinterpret_cast<uintptr_t>(firsts.data[k]) % 16 == 0;
    for (int d = 0; d < firsts.dims; ++d) plan.packed = plan.packed && firsts.strides[k][d] % 16 == 0;
  }
  plan.packed = plan.packed && plan.contiguous;
  // Neighbouring threads go where the memory of the first output is closer.
  plan.across = !plan.contiguous && firsts.dims > 0 && firsts.strides[0][0] < rows.steps[0];

  // A row gets few places, each with several items, and at most a warp's, until those have all that they can hold: so
  // there is less to combine. What is read one by one keeps to a unit as long as it can, what is packed to a sector.
  const int64_t side = plan.across ? power_of_2_from(std::min<int64_t>(firsts.sizes[0], 32)) : 1, in_warp = 32 / side;
  int64_t places = power_of_2_from(divided_up(length, plan.packed ? items : 4));
  if (plan.packed) places = std::max(places, std::min<int64_t>(power_of_2_from(length * size / 16), 4));
  if (places > in_warp) places = in_warp * divided_up(length, in_warp * items);
  plan.held = side * places <= kMostThreads;
  if (!plan.held) places = kStreamedThreads / side;
  const int64_t slice = side * places;
  const auto slices = static_cast<unsigned>(slice <= 32 ? std::min<int64_t>(kFewThreads / slice, 64) : 1);
  plan.block = plan.across ? dim3(side, places, slices) : dim3(places, 1, slices);
  plan.blocks = divided_up(firsts.numel, side * slices);

  // Few and long rows are divided, so that all multiprocessors have work.
  plan.parts = 1;
  if (!plan.held) {
    const int64_t wanted = 4 * processors() / plan.blocks, most = length / (4 * places * items);
    plan.parts = static_cast<int>(std::clamp<int64_t>(std::min(wanted, most), 1, 1024));
  }
  return plan;
}

// Bytes of device memory in which the parts of divided rows lay down their sums.
inline int64_t row_workspace_bytes(const RowOperands& rows, int64_t size) {
  const RowPlan plan = plan_rows(rows, size);
  return plan.parts == 1 ? 0 : rows.firsts.numel * plan.parts * static_cast<int64_t>(sizeof(Total<double, 2>));
}

template <template <class> class Op, Pass pass, class S>
const char* launch_rows(const RowOperands& operands, double sign, void* workspace, void* stream) {
  constexpr int count = kRowOperands<RowStep<Op, pass, Compute<S>>>;
  const auto cuda_stream = static_cast<cudaStream_t>(stream);
  const RowPlan plan = plan_rows(operands, sizeof(S));

  Rows<count> rows{operands.firsts.numel, operands.length, {}, {}, {operands.firsts.dims, {}, {}}};
  for (int d = 0; d < rows.firsts.dims; ++d) rows.firsts.sizes[d] = operands.firsts.sizes[d];
  for (int k = 0; k < count; ++k) {
    rows.data[k] = static_cast<char*>(operands.firsts.data[k]);
    rows.steps[k] = operands.steps[k];
    for (int d = 0; d < rows.firsts.dims; ++d) rows.firsts.strides[k][d] = operands.firsts.strides[k][d];
  }
  constexpr int64_t most = INT32_MAX;
  for (int64_t begin = 0; begin < plan.blocks; begin += most) {
    const dim3 grid(static_cast<unsigned>(std::min(plan.blocks - begin, most)), plan.parts);
    const auto streamed = [&](Stage stage) {
      const auto kernel = plan.contiguous ? streamed_kernel<S, true, Op, pass> : streamed_kernel<S, false, Op, pass>;
      kernel<<<grid, plan.block, 0, cuda_stream>>>(rows, begin, plan.across, sign, stage, workspace);
    };
    if (plan.held && plan.packed) {
      held_kernel<S, true, Op, pass><<<grid, plan.block, 0, cuda_stream>>>(rows, begin, plan.across, sign);
    } else if (plan.held) {
      held_kernel<S, false, Op, pass><<<grid, plan.block, 0, cuda_stream>>>(rows, begin, plan.across, sign);
    } else if (plan.parts == 1) {
      streamed(Stage::all);
    } else {
      streamed(Stage::reduce);
      streamed(Stage::finish);
    }
  }
  return last_error();
}

template <template <class> class Op, Pass pass>
constexpr std::array<RowsLauncher, kDtypes> rows_by_dtype() {
  return {launch_rows<Op, pass, float>, launch_rows<Op, pass, double>, launch_rows<Op, pass, __nv_bfloat16>,
          launch_rows<Op, pass, __half>};
}

template <template <class> class... Ops>
std::array<RowsTable, sizeof...(Ops)> rows_tables(List<Ops...>) {
  return {RowsTable{rows_by_dtype<Ops, Pass::forward>(), rows_by_dtype<Ops, Pass::backward>(),
                    rows_by_dtype<Ops, Pass::double_backward>()}...};
}

}  // namespace act_ext::cuda
