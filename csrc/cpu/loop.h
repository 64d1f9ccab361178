// The loop over contiguous memory, for every op, pass and dtype. It knows no op.
#pragma once

#include <utility>

#include "lanes.h"

namespace act_ext::CPU_CAPABILITY {

template <class F>
inline constexpr std::make_index_sequence<F::outputs> output_indices{};
template <class F>
inline constexpr std::make_index_sequence<F::inputs> input_indices{};

// Long arithmetic keeps the processor from looking ahead to the next page, where its own prefetching stops: asks for
// what comes some vectors after this one.
template <int kWrite, class S>
ACT_FN void fetch_ahead(const S* from) {
  constexpr int64_t kAhead = 1024 / sizeof(S), kLine = 64 / sizeof(S);
  for (int64_t i = kAhead; i < kAhead + Memory<S>::size; i += kLine) __builtin_prefetch(from + i, kWrite);
}

// Elements that pieces do not reach are seldom alone: an input that is spread wider than usual has some in most
// vectors. They are gathered until they fill a vector of their own.
#if ACT_EXT_NO_VECTORS
template <class F>
inline constexpr bool gathers = false;
#else
template <class F>
inline constexpr bool gathers = requires { requires F::in_pieces; };

template <class V>
struct Later {
  MaskOf<V> reached;
  template <class T, class F>
  ACT_FN T operator()(Near<V, T> near, V, const F&) {
    reached = near.holds;
    return near.value;
  }
};
struct Exactly {
  template <class V, class T, class F>
  ACT_FN T operator()(Near<V, T>, V x, const F& exact) const {
    return exact(x);
  }
};
template <class F, class... In>
ACT_RARE auto exactly(const F& f, In... in) {
  return f.with(Exactly(), in...);
}

// Where in memory a vector's element number k stands.
template <class S>
int64_t place_of(int64_t k) {
  constexpr int64_t half = Memory<S>::size / 2;
  return kNeighbours<S> ? k % half * 2 + k / half : k;
}

// The elements still to be computed, by number: less than a vector of them, and what the next vector adds.
template <class S, class F, std::size_t... I>
class Gathered {
  static constexpr int size = Memory<S>::size;

 public:
  // With more it is quicker to compute all elements of a vector.
  static constexpr int kMost = size / 4;

  Gathered(const F& f, S* const* out) : f_(f), out_(out) {}

  // Element i of the inputs.
  ACT_FN void add(const S* const* in, int64_t i) {
    at_[count_] = i;
    ((in_[I][count_] = in[I][i]), ...);
    ++count_;
  }
  ACT_FN bool is_full() const { return count_ >= size; }
  // The first `size` of them, or all.
  void compute() {
    S results[F::outputs][size];
    S* to[F::outputs];
    for (int k = 0; k < F::outputs; ++k) to[k] = results[k];
    store<S>(exactly(f_, Memory<S>::load(in_[I])...), to, 0);
    const int done = std::min(count_, size);
    for (int k = 0; k < F::outputs; ++k) {
      for (int j = 0; j < done; ++j) out_[k][at_[j]] = results[k][j];
    }
    count_ -= done;
    std::copy_n(at_ + done, count_, at_);
    (std::copy_n(in_[I] + done, count_, in_[I]), ...);
  }
  void compute_all() {
    while (count_ > 0) compute();
  }

 private:
  const F& f_;
  S* const* out_;
  int count_ = 0;
  int64_t at_[size + kMost];
  S in_[sizeof...(I)][size + kMost] = {};
};

// n is a multiple of Memory<S>::size.
template <class S, class F, std::size_t... O, std::size_t... I>
__attribute__((noinline, noclone)) void run_in_pieces(const F& f, std::index_sequence<O...>, std::index_sequence<I...>,
                                                      S* const* outputs, const S* const* inputs, int64_t n) {
  using V = typename Memory<S>::V;
  const F local = f;
  S* const out[] = {outputs[O]...};
  const S* const in[] = {inputs[I]...};
  Gathered<S, F, I...> gathered(f, out);
  Later<V> later;
  for (int64_t i = 0; i < n; i += Memory<S>::size) {
    (fetch_ahead<0>(in[I] + i), ...);
    (fetch_ahead<1>(out[O] + i), ...);
    auto result = local.with(later, Memory<S>::load(in[I] + i)...);
    if (!all(later.reached)) {
      uint64_t left = bits_off(later.reached);
      if (__builtin_popcountll(left) > gathered.kMost) {
        result = select(later.reached, result, exactly(f, Memory<S>::load(in[I] + i)...));
      } else {
        for (; left != 0; left &= left - 1) gathered.add(in, i + place_of<S>(__builtin_ctzll(left)));
      }
    }
    store<S>(result, out, i);
    if (gathered.is_full()) gathered.compute();
  }
  gathered.compute_all();
}
#endif

// n is a multiple of Memory<S>::size. Neither inlined nor cloned, so that full blocks and the tail share one copy of
// the arithmetic.
template <class S, class F, std::size_t... O, std::size_t... I>
__attribute__((noinline, noclone)) void run(const F& f, std::index_sequence<O...>, std::index_sequence<I...>,
                                            S* const* outputs, const S* const* inputs, int64_t n) {
  const F local = f;
  S* const out[] = {outputs[O]...};
  const S* const in[] = {inputs[I]...};
  for (int64_t i = 0; i < n; i += Memory<S>::size) {
    if constexpr (F::heavy) {
      (fetch_ahead<0>(in[I] + i), ...);
      (fetch_ahead<1>(out[O] + i), ...);
    }
    store<S>(local(Memory<S>::load(in[I] + i)...), out, i);
  }
}

// n is a multiple of Memory<S>::size.
template <class S, class F>
void run_whole(const F& f, S* const* out, const S* const* in, int64_t n) {
  if constexpr (gathers<F>) {
    run_in_pieces(f, output_indices<F>, input_indices<F>, out, in, n);
  } else {
    run(f, output_indices<F>, input_indices<F>, out, in, n);
  }
}

// run(outputs, inputs, count) for the elements that fill vectors and, filled up with zeros, for the others.
template <class S, int kOutputs, int kInputs, class R>
void run_filled_up(char* const* operands, int64_t n, R run) {
  constexpr int64_t size = Memory<S>::size;
  S* out[kOutputs];
  const S* in[kInputs];
  for (int k = 0; k < kOutputs; ++k) out[k] = reinterpret_cast<S*>(operands[k]);
  for (int k = 0; k < kInputs; ++k) in[k] = reinterpret_cast<const S*>(operands[kOutputs + k]);

  const int64_t tail = n % size, whole = n - tail;
  run(out, in, whole);
  if (tail > 0) {
    S filled[kInputs][size] = {}, results[kOutputs][size];
    S* to[kOutputs];
    for (int k = 0; k < kOutputs; ++k) to[k] = results[k];
    for (int k = 0; k < kInputs; ++k) {
      std::memcpy(filled[k], in[k] + whole, tail * sizeof(S));
      in[k] = filled[k];
    }
    run(to, in, size);
    for (int k = 0; k < kOutputs; ++k) std::memcpy(out[k] + whole, results[k], tail * sizeof(S));
  }
}

// f over n contiguous elements of each operand.
template <class S, class F>
void run_contiguous(const F& f, char* const* operands, int64_t n) {
  run_filled_up<S, F::outputs, F::inputs>(
      operands, n, [&](S* const* out, const S* const* in, int64_t count) { run_whole(f, out, in, count); });
}

// float32's kernel over operands of S, bit for bit what S's own would give, by way of buffers that a cache holds.
template <class S, int kOutputs, int kInputs>
void run_in_float32(cpu::Kernel kernel, char* const* operands, int64_t n, const double* params) {
  constexpr int64_t size = Memory<S>::size, kBlock = 512;
  static_assert(std::is_same_v<typename Memory<S>::V, typename Memory<float>::V> && kBlock % size == 0);
  run_filled_up<S, kOutputs, kInputs>(operands, n, [&](S* const* out, const S* const* in, int64_t total) {
    float wide[kOutputs + kInputs][kBlock];
    char* buffers[kOutputs + kInputs];
    for (int k = 0; k < kOutputs + kInputs; ++k) buffers[k] = reinterpret_cast<char*>(wide[k]);
    for (int64_t begin = 0; begin < total; begin += kBlock) {
      const int64_t count = std::min(kBlock, total - begin);
      for (int k = 0; k < kInputs; ++k) {
        float* const to = wide[kOutputs + k];
        for (int64_t i = 0; i < count; i += size) Memory<float>::store(Memory<S>::load(in[k] + begin + i), to + i);
      }
      kernel(buffers, count, params);
      for (int k = 0; k < kOutputs; ++k) {
        S* const to = out[k] + begin;
        for (int64_t i = 0; i < count; i += size) Memory<S>::store(Memory<float>::load(wide[k] + i), to + i);
      }
    }
  });
}

template <template <class> class Op, Pass pass, class S>
using StepFor = typename RoundedStep<Op, pass, typename Memory<S>::V, std::numeric_limits<S>::digits>::type;

// Whether a format of 16 bits shares float32's kernel: second derivatives are seldom wanted and processors without AVX2
// are few, and kernels of their own would be a fifth of a family's time to compile. Not where it computes otherwise.
template <template <class> class Op, Pass pass, class S>
inline constexpr bool shares_float32 = sizeof(S) == 2 && (is_second(pass) || ACT_EXT_NO_VECTORS) &&
                                       std::is_same_v<StepFor<Op, pass, S>, Step<Op, pass, typename Memory<S>::V>>;

template <template <class> class Op, Pass pass, class S>
void kernel(char* const* operands, int64_t n, const double* params) {
  using F = StepFor<Op, pass, S>;
  if constexpr (pass == Pass::forward && Op<float>::spec.constant_slope == 1) {
    // f(x) = x: not even a conversion.
    std::memcpy(operands[0], operands[1], n * sizeof(S));
  } else if constexpr (shares_float32<Op, pass, S>) {
    run_in_float32<S, F::outputs, F::inputs>(kernel<Op, pass, float>, operands, n, params);
  } else {
    run_contiguous<S>(F(params), operands, n);
  }
}

// What memory bounds gains nothing from 512 bits, and the code around it loses by them: a processor lowers its clock
// for them or moves them in halves. AVX-512 leaves such kernels to AVX2, which gives the same bits; those of 16 bits,
// whose conversions take time, it keeps.
template <class F, class S, bool in_float32 = false>
inline constexpr bool left_out =
#if defined(CPU_CAPABILITY_AVX512)
    !F::heavy && (sizeof(S) > 2 || in_float32);
#else
    false;
#endif

template <template <class> class Op, Pass pass, class S>
constexpr cpu::Kernel kernel_or_null() {
  if constexpr (!has_pass<Op>(pass)) {
    return nullptr;
  } else if constexpr (left_out<StepFor<Op, pass, S>, S, shares_float32<Op, pass, S>>) {
    return nullptr;
  } else {
    return kernel<Op, pass, S>;
  }
}

template <template <class> class Op, Pass pass>
constexpr std::array<cpu::Kernel, kDtypes> by_dtype() {
  return {kernel_or_null<Op, pass, float>(), kernel_or_null<Op, pass, double>(),
          kernel_or_null<Op, pass, c10::BFloat16>(), kernel_or_null<Op, pass, c10::Half>()};
}

template <template <class> class... Ops>
constexpr std::array<cpu::Table, sizeof...(Ops)> tables(List<Ops...>) {
  return {cpu::Table{by_dtype<Ops, Pass::forward>(), by_dtype<Ops, Pass::backward>(),
                     by_dtype<Ops, Pass::double_backward>(), by_dtype<Ops, Pass::backward_from_result>(),
                     by_dtype<Ops, Pass::double_backward_from_result>()}...};
}

}  // namespace act_ext::CPU_CAPABILITY
