// The kernels over rows and their launchers: what is reduced along a dimension, and what is made of it, for every
// function of rows, pass and dtype. They know no op.
//
// A row's threads are its `places`. Each takes kItems elements of every operand at a time into registers, either by
// sixteen bytes or one by one, the places always side by side. A row of at most kItems elements for each place is held:
// read once. Of a longer one each place streams through its share, keeping its sums in units of the largest element so
// far, and the elements are read again for the results.
//
// Sums: the terms of kUnit items are added by halves in what they were computed in, which rounds two or three times,
// and everything beyond in double. A float's sum is thus at most 2 roundings (2^-23) worse than its terms, which are
// within 2^-23 themselves, and e^x / sum adds its own last rounding: below 4 ULP, however long the row. The order of
// the additions depends on the shape and the addresses alone.
#pragma once

#include <algorithm>

#include "../row_pass.h"
#include "kernel.cuh"

namespace act_ext::cuda {

// Elements of an operand that a thread takes at a time.
template <class S>
constexpr int kItems = sizeof(S) == 8 ? 8 : 16;
// The same where a row is streamed through. Only a new largest element is worth waiting for more.
template <class S, class F>
constexpr int kStreamedItems = F::has_max ? kItems<S> : kItems<S> / 2;
// Threads of a block at the most: this leaves each 128 registers.
constexpr int kMostThreads = 512;
constexpr int kStreamedThreads = 256;
// Such blocks on a multiprocessor.
template <class S, class F>
constexpr int kStreamedBlocks = F::inputs == 3 || sizeof(S) == 8 ? 2 : 3;
// Threads of a block whose rows are shorter than that.
constexpr int kFewThreads = 128;

template <class S>
struct alignas(sizeof(S)) Single {
  static constexpr int size = 1;
  S element[1];
};

template <class F>
constexpr int kRowOperands = F::outputs + F::inputs;

// The outputs first, then the inputs. Strides in bytes.
template <int kOperands>
struct Rows {
  int64_t count, length;
  char* data[kOperands];
  int64_t steps[kOperands];  // along the row
  Layout<kOperands> firsts;  // the rows' first elements
};

// How a block's threads share its rows: x and y are one slice of them, at most 32 threads or whole warps of one row
// (or of blockDim.x), and z counts slices. Along memory x is the place in the row; across it neighbouring threads have
// neighbouring rows, x, and y is the place.
struct Places {
  int place, places;
  int64_t row;
  int first_offset, last_offset;  // between lanes of one row
  bool in_one_warp;

  __device__ Places(int64_t begin, bool across) {
    const int slice = blockDim.x * blockDim.y;
    place = across ? threadIdx.y : threadIdx.x;
    places = across ? blockDim.y : blockDim.x;
    const int64_t block = begin + blockIdx.x;
    row = across ? (block * blockDim.z + threadIdx.z) * blockDim.x + threadIdx.x : block * blockDim.z + threadIdx.z;
    first_offset = across ? blockDim.x : 1;
    last_offset = slice < 32 ? slice : 32;
    in_one_warp = slice <= 32;
  }

  // Combines what the places of each row have; all of the block's threads call it. Every place gets the same bits: of
  // two partners in a shuffle both combine the same two values, and F is commutative.
  template <class T, class F>
  __device__ T combined(T value, F combine) const {
    for (int offset = first_offset; offset < last_offset; offset *= 2) {
      value = combine(value, __shfl_xor_sync(0xffffffff, value, offset));
    }
    if (in_one_warp) return value;
    // The slice is the block, and each of its warps has the same rows in the same lanes.
    __shared__ T values[kMostThreads / 32][32];
    const int thread = threadIdx.y * blockDim.x + threadIdx.x, lane = thread % 32;
    const int warps = static_cast<int>(blockDim.x * blockDim.y) / 32;
    __syncthreads();  // The last call's values have been read.
    values[thread / 32][lane] = value;
    __syncthreads();
    value = values[0][lane];
    for (int warp = 1; warp < warps; ++warp) value = combine(value, values[warp][lane]);
    return value;
  }
};

struct Sum {
  __device__ double operator()(double a, double b) const { return a + b; }
};
// Of numbers: NaN is left to the sum.
struct Largest {
  __device__ float operator()(float a, float b) const { return ::fmaxf(a, b); }
  __device__ double operator()(double a, double b) const { return ::fmax(a, b); }
};

// Where 32 bits suffice they are several times cheaper.
__device__ inline uint64_t quotient(uint64_t a, uint64_t b) {
  return (a | b) >> 32 == 0 ? static_cast<uint32_t>(a) / static_cast<uint32_t>(b) : a / b;
}

// Where a row's operands begin.
template <int kOperands>
struct Row {
  char* data[kOperands];

  __device__ Row(const Rows<kOperands>& rows, int64_t number) {
    int64_t offset[kOperands] = {};
    uint64_t rest = number;
#pragma unroll 1
    for (int d = 0; d < rows.firsts.dims; ++d) {
      // What is left belongs to the outermost dimension.
      const uint64_t size = rows.firsts.sizes[d], next = d + 1 < rows.firsts.dims ? quotient(rest, size) : 0;
      const int64_t position = static_cast<int64_t>(rest - next * size);
      rest = next;
#pragma unroll
      for (int k = 0; k < kOperands; ++k) offset[k] += position * rows.firsts.strides[k][d];
    }
#pragma unroll
    for (int k = 0; k < kOperands; ++k) data[k] = rows.data[k] + offset[k];
  }
};

// A thread's way through a stretch of a row: access j of its place is the stretch's number j * places + place.
template <class S, class F, bool kPacked, int kItemsEach>
class Span {
 public:
  using V = Compute<S>;
  using Access = std::conditional_t<kPacked, Pack<S>, Single<S>>;
  static constexpr int operands = kRowOperands<F>;
  static constexpr int kUnit = Access::size > 4 ? Access::size : 4, kUnits = kItemsEach / kUnit;
  static constexpr int kAccesses = kUnit / Access::size;  // of a unit
  struct Items {
    Access in[kUnits][F::inputs][kAccesses];
  };

  // length: in elements; where packed, a multiple of Access::size, and the data aligned.
  __device__ Span(const Rows<operands>& rows, const Row<operands>& row, int64_t begin, int64_t length, Places at)
      : count_(length / Access::size), place_(at.place), places_(at.places) {
#pragma unroll
    for (int k = 0; k < operands; ++k) {
      const int64_t step = kPacked ? sizeof(Access) : rows.steps[k];
      data_[k] = row.data[k] + begin * (kPacked ? int64_t{sizeof(S)} : step) + place_ * step;
      if constexpr (!kPacked) stride_[k] = places_ * step;
    }
  }

  // Whether the row has anything from here on; and on to what the places take next.
  __device__ bool more() const { return count_ > 0; }
  __device__ void advance() {
    count_ -= kUnits * kAccesses * places_;
#pragma unroll
    for (int k = 0; k < operands; ++k) data_[k] = at(k, kUnits * kAccesses);
  }

  // What fills the last ones up is `padding`.
  __device__ void load(Items& items, S padding) const {
    for_units([&](int u) {
#pragma unroll
      for (int a = 0; a < kAccesses; ++a) {
#pragma unroll
        for (int k = 0; k < F::inputs; ++k) {
          Access& to = items.in[u][k][a];
          if (has(u * kAccesses + a)) {
            to = *reinterpret_cast<const Access*>(at(F::outputs + k, u * kAccesses + a));
          } else {
#pragma unroll
            for (int e = 0; e < Access::size; ++e) to.element[e] = padding;
          }
        }
      }
    });
  }

  // result: of the unit's item.
  template <class G>
  __device__ void store(G result) const {
    for_units([&](int u) {
#pragma unroll
      for (int a = 0; a < kAccesses; ++a) {
        Access out[F::outputs];
#pragma unroll
        for (int e = 0; e < Access::size; ++e) {
          const Results<V, F::outputs> all = result(u, a * Access::size + e);
#pragma unroll
          for (int o = 0; o < F::outputs; ++o) out[o].element[e] = narrow<S>(all.value[o]);
        }
        if (has(u * kAccesses + a)) {
#pragma unroll
          for (int o = 0; o < F::outputs; ++o) {
            *reinterpret_cast<Access*>(at(o, u * kAccesses + a)) = out[o];
          }
        }
      }
    });
  }

  // The units in which any place has an element.
  template <class G>
  __device__ void for_units(G g) const {
#pragma unroll
    for (int u = 0; u < kUnits; ++u) {
      if (u * kAccesses * places_ < count_) g(u);
    }
  }

 private:
  __device__ char* at(int k, int access) const {
    if constexpr (kPacked) {
      return data_[k] + access * places_ * static_cast<int>(sizeof(Access));
    } else {
      return data_[k] + access * stride_[k];
    }
  }
  __device__ bool has(int access) const { return access * places_ + place_ < count_; }

  char* data_[operands];                    // of the thread's next access
  int64_t stride_[kPacked ? 1 : operands];  // from one of them to the next
  int64_t count_;                           // accesses of the row from here on
  int place_, places_;
};

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

inline int64_t divided_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t power_of_2_from(int64_t n) {
  int64_t power = 1;
  while (power < n) power *= 2;
  return power;
}
inline int64_t processors() {
  int device = 0, count = 1;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
  return count;
}

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
