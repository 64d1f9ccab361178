// The backward passes of activations with learned parameters, for every op and dtype: results go to memory, and what is
// summed for the parameters' gradients is summed where it is computed. They know no op.
//
// A block's threads go along lines. Either the lines are the channels', so that all of a line's elements have the same
// parameters and a block sums those of one channel; or they go across the channels, and a thread stays with the
// channels of one access. Blocks lay their sums down side by side, and a second kernel adds these.
//
// Sums: kShort terms in what they were computed in, so that no more than eight roundings follow each other, and
// everything beyond in double. The order of the additions depends on the layout, the addresses and the number of
// multiprocessors, never on timing.
#pragma once

#include <algorithm>

#include "row_span.cuh"

namespace act_ext::cuda {

constexpr int kReducingThreads = 128;
constexpr int kShort = 8;
constexpr int kMaxParameters = kMaxArity - 1;

// Whether an input of a pass is a parameter, or a gradient of a parameter's: not one element for each of the input's.
constexpr bool is_parameter(int input, int inputs, int parameters) {
  return input >= inputs - parameters || (inputs > 2 + parameters && 1 <= input && input <= parameters);
}
template <class F, int kInput>
constexpr bool is_parameter_of = is_parameter(kInput, F::inputs, F::parameters);
// Results that go to memory.
template <class F>
constexpr int kKept = F::outputs - F::parameters;

// How lines are dealt out to blocks: each has a part of a tile of a channel's lines, or, across, of all lines.
struct ReducingPlan {
  bool across, packed;
  int line_dim, channel_dim;  // channel_dim: -1 without channels
  int64_t length, lines;      // of a line; of one channel, or across all of them
  int64_t channels;           // that each have lines of their own
  int64_t tiles, tile;        // of a line; accesses in one
  int64_t parts, part;        // of the lines; lines in one
  dim3 block;

  int64_t blocks() const { return channels * parts * tiles; }
  // Gradients of a parameter, and sums for each of them.
  int64_t gradients(bool per_channel) const { return !per_channel ? 1 : across ? length : channels; }
  int64_t sums(bool per_channel) const { return !per_channel ? blocks() : across ? parts : parts * tiles; }
};

template <class F>
struct Reduction {
  static constexpr int operands = kKept<F> + F::inputs;
  Rows<operands> lines;
  int64_t channel_strides[operands];
  ReducingPlan plan;
  double* sums[F::parameters];
  bool per_channel[F::parameters];
};

// Where a thread is on its way: at an access of a line, and how many elements are left there.
template <class S, bool kPacked, class F>
class Way {
 public:
  using Access = AccessOf<S, kPacked>;
  static constexpr int size = Access::size;

  __device__ Way(const Reduction<F>& all, int64_t block)
      : all_(all),
        channel_(block / (all.plan.tiles * all.plan.parts)),
        first_(block % all.plan.tiles * all.plan.tile + threadIdx.x),
        line_(block / all.plan.tiles % all.plan.parts * all.plan.part + threadIdx.y),
        row_(all.lines, line_) {
    const ReducingPlan& plan = all.plan;
    const int64_t line = line_ - threadIdx.y, from = first_ - threadIdx.x;
    last_line_ = line + plan.part < plan.lines ? line + plan.part : plan.lines;
    end_ = from + plan.tile;
    if (end_ * size > plan.length) end_ = (plan.length + size - 1) / size;
    if (first_ >= end_) line_ = last_line_;
    position_ = first_;
  }

  __device__ int64_t first() const { return first_; }
  __device__ int count() const {
    if (line_ >= last_line_) return 0;
    const int64_t rest = all_.plan.length - position_ * size;
    return rest < size ? static_cast<int>(rest) : size;
  }
  __device__ void advance() {
    position_ += blockDim.x;
    if (position_ < end_) return;
    position_ = first_;
    line_ += blockDim.y;
    row_ = Row<Reduction<F>::operands>(all_.lines, line_);
  }
  __device__ S* at(int operand) const {
    const int64_t step = kPacked ? int64_t{sizeof(Access)} : all_.lines.steps[operand];
    return reinterpret_cast<S*>(row_.data[operand] + channel_ * all_.channel_strides[operand] + position_ * step);
  }

  // Input k here, zeros beyond the line's end.
  __device__ Access load(int k) const {
    const S* const from = at(kKept<F> + k);
    const int there = count();
    if (there == size) return *reinterpret_cast<const Access*>(from);
    Access filled;
#pragma unroll
    for (int e = 0; e < size; ++e) filled.element[e] = e < there ? from[e] : narrow<S>(Compute<S>(0));
    return filled;
  }
  __device__ void store(int k, const Access& value) const {
    S* const to = at(k);
    const int there = count();
    if (there == size) {
      *reinterpret_cast<Access*>(to) = value;
      return;
    }
#pragma unroll
    for (int e = 0; e < size; ++e) {
      if (e < there) to[e] = value.element[e];
    }
  }
  // The parameters' elements on the way, which are the same all along.
  __device__ Access load_parameter(int k) const {
    const int operand = kKept<F> + k;
    const char* const base = all_.lines.data[operand] + channel_ * all_.channel_strides[operand];
    const int64_t last = all_.plan.length - 1;
    Access parameter;
#pragma unroll
    for (int e = 0; e < size; ++e) {
      const int64_t i = first_ * size + e < last ? first_ * size + e : last;
      parameter.element[e] = *reinterpret_cast<const S*>(base + i * all_.lines.steps[operand]);
    }
    return parameter;
  }

 private:
  const Reduction<F>& all_;
  int64_t channel_, first_, end_, position_, line_, last_line_;
  Row<Reduction<F>::operands> row_;
};

// Blocks on a multiprocessor at the least, as many as the registers for the elements and sums of an access leave room
// for.
template <class F, int kSize>
constexpr int kReducingBlocks = F::inputs > 6 || F::parameters* kSize > 16 ? 2 : 3;

template <class S, bool kPacked, class F, std::size_t... I>
__global__ void __launch_bounds__(kReducingThreads, kReducingBlocks<F, AccessOf<S, kPacked>::size>)
    reducing_kernel(const __grid_constant__ Reduction<F> all, F f, std::index_sequence<I...>) {
  using V = Compute<S>;
  using WayOf = Way<S, kPacked, F>;
  using Access = typename WayOf::Access;
  constexpr int size = Access::size;
  // Each thread's own. Registers are for the arithmetic.
  __shared__ double sums[F::parameters][size][kReducingThreads];
  const int threads = blockDim.x * blockDim.y, thread = threadIdx.y * blockDim.x + threadIdx.x;
#pragma unroll
  for (int p = 0; p < F::parameters; ++p) {
#pragma unroll
    for (int e = 0; e < size; ++e) sums[p][e][thread] = 0;
  }

  // What comes next is loaded before what is here is computed.
  WayOf next(all, blockIdx.x);
  Access loaded[F::inputs];
  const auto load = [&] {
    const auto one = [&]<int kInput>() {
      if constexpr (!is_parameter_of<F, kInput>) loaded[kInput] = next.load(kInput);
    };
    (one.template operator()<I>(), ...);
  };
  const Access parameters[] = {is_parameter_of<F, I> ? next.load_parameter(I) : Access{}...};
  load();
  while (next.count() > 0) {
    V part[F::parameters][size] = {};
#pragma unroll 1
    for (int j = 0; j < kShort && next.count() > 0; ++j) {
      const WayOf here = next;
      const Access in[] = {is_parameter_of<F, I> ? parameters[I] : loaded[I]...};
      next.advance();
      load();
      Access kept[kKept<F>];
#pragma unroll
      for (int e = 0; e < size; ++e) {
        const auto results = f(widen(in[I].element[e])...);
#pragma unroll
        for (int k = 0; k < kKept<F>; ++k) kept[k].element[e] = narrow<S>(results.value[k]);
#pragma unroll
        for (int p = 0; p < F::parameters; ++p) {
          if (e < here.count()) part[p][e] = part[p][e] + results.value[kKept<F> + p];
        }
      }
#pragma unroll
      for (int k = 0; k < kKept<F>; ++k) here.store(k, kept[k]);
    }
#pragma unroll
    for (int p = 0; p < F::parameters; ++p) {
#pragma unroll
      for (int e = 0; e < size; ++e) sums[p][e][thread] += static_cast<double>(part[p][e]);
    }
  }

  const Places block(0, false);
  __syncthreads();
#pragma unroll 1
  for (int p = 0; p < F::parameters; ++p) {
    if (all.plan.across && all.per_channel[p]) {
      const int64_t tile = blockIdx.x % all.plan.tiles, part = blockIdx.x / all.plan.tiles;
      for (int i = thread; i < static_cast<int>(blockDim.x) * size; i += threads) {
        const int64_t channel = tile * blockDim.x * size + i;
        double total = 0;
        for (int y = 0; y < static_cast<int>(blockDim.y); ++y) total += sums[p][i % size][y * blockDim.x + i / size];
        if (channel < all.plan.length) all.sums[p][channel * all.plan.parts + part] = total;
      }
    } else {
      double total = 0;
      for (int e = 0; e < size; ++e) total += sums[p][e][thread];
      total = block.combined(total, Sum());
      if (thread == 0) all.sums[p][blockIdx.x] = total;
    }
  }
}

// The sums of the parameters' gradients, each of `count` that follow each other.
template <class S>
struct Gradients {
  struct {
    const double* sums;
    S* to;
    int64_t size, count;
  } of[kMaxParameters];
};

template <class S>
__global__ void __launch_bounds__(kReducingThreads) combining_kernel(const __grid_constant__ Gradients<S> gradients) {
  const Places at(0, false);
  const auto& gradient = gradients.of[blockIdx.y];
  const bool inside = at.row < gradient.size;
  double total = 0;
#pragma unroll 4
  for (int64_t i = at.place; inside && i < gradient.count; i += at.places) {
    total += gradient.sums[at.row * gradient.count + i];
  }
  total = at.combined(total, Sum());
  if (inside && at.place == 0) gradient.to[at.row] = narrow<S>(static_cast<Compute<S>>(total));
}

// size: of an element.
inline ReducingPlan plan_reducing(const Reduced& reduced, int64_t size) {
  const Operands& operands = reduced.operands;
  const int parameters = reduced.parameters, count = operands.outputs + operands.inputs;
  ReducingPlan plan{};
  plan.channel_dim = -1;
  for (int d = 0; d < operands.dims; ++d) {
    for (int k = count - parameters; k < count; ++k) {
      if (operands.sizes[d] > 1 && operands.strides[k][d] != 0) plan.channel_dim = d;
    }
  }
  // Short stretches of a channel are left to threads that lie across them.
  constexpr int64_t kShortLine = 32;
  plan.across = plan.channel_dim == 0 || (plan.channel_dim > 0 && operands.sizes[0] < kShortLine);
  plan.line_dim = plan.across ? plan.channel_dim : 0;
  plan.length = operands.dims == 0 ? operands.numel : operands.sizes[plan.line_dim];
  plan.channels = plan.across || plan.channel_dim < 0 ? 1 : operands.sizes[plan.channel_dim];
  plan.lines = operands.numel / plan.length / plan.channels;
  plan.packed = true;
  for (int k = 0; k < count; ++k) {
    if (k >= operands.outputs && is_parameter(k - operands.outputs, operands.inputs, parameters)) continue;
    plan.packed = plan.packed && reinterpret_cast<uintptr_t>(operands.data[k]) % 16 == 0;
    for (int d = 0; d < operands.dims; ++d) {
      const int64_t stride = operands.strides[k][d];
      plan.packed = plan.packed && (d == plan.line_dim ? stride == size : stride % 16 == 0);
    }
  }

  const int64_t accesses = divided_up(plan.length, plan.packed ? 16 / size : 1), wanted = 8 * processors();
  if (plan.across) {
    const int64_t side = std::min<int64_t>(power_of_2_from(accesses), 32);
    plan.block = dim3(side, kReducingThreads / side);
    plan.tile = side;
    plan.tiles = divided_up(accesses, side);
    plan.parts = std::min(wanted / plan.tiles, plan.lines / (plan.block.y * kShort));
  } else {
    const int64_t threads = std::clamp<int64_t>(power_of_2_from(plan.lines * accesses / 4), 32, kReducingThreads);
    const int64_t side = std::min<int64_t>(power_of_2_from(accesses), threads);
    plan.block = dim3(side, threads / side);
    // Lines are given to different blocks before they are divided.
    const int64_t share = std::min(wanted / plan.channels, plan.lines * accesses / (threads * kShort));
    plan.parts = std::min(share, divided_up(plan.lines, plan.block.y));
    const int64_t tiles = std::max<int64_t>(share / std::max<int64_t>(plan.parts, 1), 1);
    plan.tile = divided_up(accesses, std::min(tiles, divided_up(accesses, side)));
    plan.tiles = divided_up(accesses, plan.tile);
  }
  plan.part = divided_up(plan.lines, std::max<int64_t>(plan.parts, 1));
  plan.parts = divided_up(plan.lines, plan.part);
  return plan;
}

inline bool is_per_channel(const Reduced& reduced, const ReducingPlan& plan, int parameter) {
  const Operands& operands = reduced.operands;
  const int operand = operands.outputs + operands.inputs - reduced.parameters + parameter;
  return plan.channel_dim >= 0 && operands.strides[operand][plan.channel_dim] != 0;
}

inline int64_t reducing_workspace_bytes(const Reduced& reduced, int64_t size) {
  const ReducingPlan plan = plan_reducing(reduced, size);
  int64_t sums = 0;
  for (int p = 0; p < reduced.parameters; ++p) {
    const bool per_channel = is_per_channel(reduced, plan, p);
    sums += plan.gradients(per_channel) * plan.sums(per_channel);
  }
  return sums * static_cast<int64_t>(sizeof(double));
}

template <template <class> class Op, Pass pass, class S>
const char* launch_reducing(const Reduced& reduced, const double* params, void* workspace, void* stream) {
  using F = Step<Op, pass, Compute<S>>;
  const auto cuda_stream = static_cast<cudaStream_t>(stream);
  const Operands& operands = reduced.operands;
  const ReducingPlan plan = plan_reducing(reduced, sizeof(S));

  Reduction<F> all{{plan.lines, plan.length, {}, {}, {}}, {}, plan, {}, {}};
  Layout<Reduction<F>::operands>& firsts = all.lines.firsts;
  for (int d = 0; d < operands.dims; ++d) {
    if (d == plan.line_dim || d == plan.channel_dim) continue;
    firsts.sizes[firsts.dims] = operands.sizes[d];
    for (int k = 0; k < Reduction<F>::operands; ++k) firsts.strides[k][firsts.dims] = operands.strides[k][d];
    ++firsts.dims;
  }
  for (int k = 0; k < Reduction<F>::operands; ++k) {
    all.lines.data[k] = static_cast<char*>(operands.data[k]);
    if (operands.dims > 0) all.lines.steps[k] = operands.strides[k][plan.line_dim];
    if (plan.channel_dim >= 0 && !plan.across) all.channel_strides[k] = operands.strides[k][plan.channel_dim];
  }

  Gradients<S> gradients{};
  auto* sums = static_cast<double*>(workspace);
  int64_t most = 1, largest = 1;
  for (int p = 0; p < F::parameters; ++p) {
    all.sums[p] = sums;
    all.per_channel[p] = is_per_channel(reduced, plan, p);
    const int64_t size = plan.gradients(all.per_channel[p]), count = plan.sums(all.per_channel[p]);
    gradients.of[p] = {sums, static_cast<S*>(reduced.gradients[p]), size, count};
    sums += size * count;
    most = std::max(most, count);
    largest = std::max(largest, size);
  }
  using Indices = std::make_index_sequence<F::inputs>;
  const auto blocks = static_cast<unsigned>(plan.blocks());
  if (plan.packed) {
    reducing_kernel<S, true><<<blocks, plan.block, 0, cuda_stream>>>(all, F(params), Indices());
  } else {
    reducing_kernel<S, false><<<blocks, plan.block, 0, cuda_stream>>>(all, F(params), Indices());
  }
  const int64_t places = std::min<int64_t>(power_of_2_from(most), kReducingThreads);
  const dim3 block(places, 1, places < 32 ? std::min<int64_t>(kReducingThreads / places, 64) : 1);
  const dim3 grid(divided_up(largest, block.z), F::parameters);
  combining_kernel<S><<<grid, block, 0, cuda_stream>>>(gradients);
  return last_error();
}

template <template <class> class Op, Pass pass>
constexpr std::array<ReducingLauncher, kDtypes> reducing_by_dtype() {
  return {launch_reducing<Op, pass, float>, launch_reducing<Op, pass, double>, launch_reducing<Op, pass, __nv_bfloat16>,
          launch_reducing<Op, pass, __half>};
}

template <template <class> class... Ops>
std::array<ReducingTable, sizeof...(Ops)> reducing_tables(List<Ops...>) {
  return {ReducingTable{reducing_by_dtype<Ops, Pass::backward>(), reducing_by_dtype<Ops, Pass::double_backward>()}...};
}

}  // namespace act_ext::cuda
