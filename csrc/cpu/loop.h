// The loop over contiguous memory, for every op, pass and dtype. It knows no op.
#pragma once

#include <algorithm>
#include <cstring>
#include <utility>

#include "table.h"

#if defined(CPU_CAPABILITY_DEFAULT) && !defined(__aarch64__)
#define ACT_EXT_NO_VECTORS 1
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#else
#define ACT_EXT_NO_VECTORS 0
#include "vec.h"
#endif

namespace act_ext::CPU_CAPABILITY {

#if ACT_EXT_NO_VECTORS
// An x86 processor without AVX2: one element at a time.
template <class S>
struct Memory {
  using V = std::conditional_t<std::is_same_v<S, double>, double, float>;
  static constexpr int64_t size = 1;
  ACT_FN static V load(const S* from) { return static_cast<V>(*from); }
  ACT_FN static void store(V v, S* to) { *to = static_cast<S>(v); }
};
#endif

template <class S, class V>
ACT_FN void store(V v, S* const* out, int64_t i) {
  Memory<S>::store(v, out[0] + i);
}
template <class S, class V, int kCount>
ACT_FN void store(const Results<V, kCount>& results, S* const* out, int64_t i) {
  for (int k = 0; k < kCount; ++k) Memory<S>::store(results.value[k], out[k] + i);
}

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

// f over n contiguous elements of each operand.
template <class S, class F>
void run_contiguous(const F& f, char* const* operands, int64_t n) {
  constexpr int64_t size = Memory<S>::size;
  S* out[F::outputs];
  const S* in[F::inputs];
  for (int k = 0; k < F::outputs; ++k) out[k] = reinterpret_cast<S*>(operands[k]);
  for (int k = 0; k < F::inputs; ++k) in[k] = reinterpret_cast<const S*>(operands[F::outputs + k]);

  const int64_t tail = n % size, whole = n - tail;
  run(f, output_indices<F>, input_indices<F>, out, in, whole);
  if (tail > 0) {
    // Zeros fill the vector up.
    S filled[F::inputs][size] = {}, results[F::outputs][size];
    S* to[F::outputs];
    for (int k = 0; k < F::outputs; ++k) to[k] = results[k];
    for (int k = 0; k < F::inputs; ++k) {
      std::memcpy(filled[k], in[k] + whole, tail * sizeof(S));
      in[k] = filled[k];
    }
    run(f, output_indices<F>, input_indices<F>, to, in, size);
    for (int k = 0; k < F::outputs; ++k) std::memcpy(out[k] + whole, results[k], tail * sizeof(S));
  }
}

// float32's kernel over operands of S, bit for bit what S's own would give, by way of buffers that a cache holds.
template <class S, int kOutputs, int kInputs>
void run_in_float32(cpu::Kernel kernel, char* const* operands, int64_t n, const double* params) {
  constexpr int64_t size = Memory<S>::size, kBlock = 512;
  static_assert(std::is_same_v<typename Memory<S>::V, typename Memory<float>::V> && kBlock % size == 0);
  float wide[kOutputs + kInputs][kBlock];
  char* buffers[kOutputs + kInputs];
  for (int k = 0; k < kOutputs + kInputs; ++k) buffers[k] = reinterpret_cast<char*>(wide[k]);
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t count = std::min(kBlock, n - begin), tail = count % size, whole = count - tail;
    S last[size] = {};
    for (int k = kOutputs; k < kOutputs + kInputs; ++k) {
      const S* const from = reinterpret_cast<const S*>(operands[k]) + begin;
      for (int64_t i = 0; i < whole; i += size) Memory<float>::store(Memory<S>::load(from + i), wide[k] + i);
      if (tail == 0) continue;
      std::memcpy(last, from + whole, tail * sizeof(S));
      Memory<float>::store(Memory<S>::load(last), wide[k] + whole);
    }
    kernel(buffers, tail == 0 ? whole : whole + size, params);
    for (int k = 0; k < kOutputs; ++k) {
      S* const to = reinterpret_cast<S*>(operands[k]) + begin;
      for (int64_t i = 0; i < whole; i += size) Memory<S>::store(Memory<float>::load(wide[k] + i), to + i);
      if (tail == 0) continue;
      Memory<S>::store(Memory<float>::load(wide[k] + whole), last);
      std::memcpy(to + whole, last, tail * sizeof(S));
    }
  }
}

// Whether a format of 16 bits shares float32's kernel: second derivatives are seldom wanted and processors without AVX2
// are few, and kernels of their own would be a fifth of a family's time to compile.
template <class S, Pass pass>
inline constexpr bool shares_float32 = sizeof(S) == 2 && (is_second(pass) || ACT_EXT_NO_VECTORS);

template <template <class> class Op, Pass pass, class S>
void kernel(char* const* operands, int64_t n, const double* params) {
  using F = Step<Op, pass, typename Memory<S>::V>;
  if constexpr (pass == Pass::forward && Op<float>::spec.constant_slope == 1) {
    // f(x) = x: not even a conversion.
    std::memcpy(operands[0], operands[1], n * sizeof(S));
  } else if constexpr (shares_float32<S, pass>) {
    run_in_float32<S, F::outputs, F::inputs>(kernel<Op, pass, float>, operands, n, params);
  } else {
    run_contiguous<S>(F(params), operands, n);
  }
}

template <template <class> class Op, Pass pass>
constexpr std::array<cpu::Kernel, kDtypes> by_dtype() {
  if constexpr (has_pass<Op>(pass)) {
    return {kernel<Op, pass, float>, kernel<Op, pass, double>, kernel<Op, pass, c10::BFloat16>,
            kernel<Op, pass, c10::Half>};
  } else {
    return {};
  }
}

template <template <class> class... Ops>
constexpr std::array<cpu::Table, sizeof...(Ops)> tables(List<Ops...>) {
  return {cpu::Table{by_dtype<Ops, Pass::forward>(), by_dtype<Ops, Pass::backward>(),
                     by_dtype<Ops, Pass::double_backward>(), by_dtype<Ops, Pass::backward_from_result>(),
                     by_dtype<Ops, Pass::double_backward_from_result>()}...};
}

}  // namespace act_ext::CPU_CAPABILITY
