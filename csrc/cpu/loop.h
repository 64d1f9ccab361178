// The loop over contiguous memory, for every op, pass and dtype. It knows no op.
#pragma once

#include <cstring>
#include <utility>

#include "table.h"

#if defined(CPU_CAPABILITY_DEFAULT) && !defined(__aarch64__)
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#else
#include "vec.h"
#endif

namespace act_ext::CPU_CAPABILITY {

#if defined(CPU_CAPABILITY_DEFAULT) && !defined(__aarch64__)
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

template <template <class> class Op, Pass pass, class S>
void kernel(char* const* operands, int64_t n, const double* params) {
  if constexpr (pass == Pass::forward && Op<float>::spec.constant_slope == 1) {
    // f(x) = x: not even a conversion.
    std::memcpy(operands[0], operands[1], n * sizeof(S));
  } else {
    run_contiguous<S>(Step<Op, pass, typename Memory<S>::V>(params), operands, n);
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
