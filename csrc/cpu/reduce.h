// The loop over contiguous memory for passes that sum some of their results, for every op and dtype. It knows no op.
#pragma once

#include <memory>

#include "loop.h"
#include "sum.h"

namespace act_ext::CPU_CAPABILITY {

template <class F, class S, std::size_t... I>
__attribute__((noinline, noclone)) void run_reducing(const F& f, std::index_sequence<I...>, S* const* out,
                                                     const S* const* in, int64_t n, double* sums,
                                                     Wide<S>* const* terms) {
  using V = typename Memory<S>::V;
  constexpr int kept = F::outputs - F::parameters;
  const F local = f;
  Group<S> total[F::parameters];
  for (int64_t begin = 0; begin < n; begin += kLanes<S>) {
    for (int v = 0; v < Group<S>::size; ++v) {
      const int64_t i = begin + v * Memory<S>::size;
      if constexpr (F::heavy) {
        (fetch_ahead<0>(in[I] + i), ...);
        for (int k = 0; k < kept; ++k) fetch_ahead<1>(out[k] + i);
      }
      const Results<V, F::outputs> all = local(Memory<S>::load(in[I] + i)...);
      for (int k = 0; k < kept; ++k) Memory<S>::store(all.value[k], out[k] + i);
      for (int p = 0; p < F::parameters; ++p) {
        if (terms[p] == nullptr) {
          total[p].part[v] = total[p].part[v] + all.value[kept + p];
        } else {
          store_in_order<S>(all.value[kept + p], terms[p] + i);
        }
      }
    }
  }
  for (int p = 0; p < F::parameters; ++p) {
    if (terms[p] == nullptr) sums[p] = total[p].template sum<false>();
  }
}

// In blocks, so that a sum in the computing format stays short.
template <template <class> class Op, Pass pass, class S>
void reducing_kernel(char* const* operands, int64_t n, const double* params, double* sums, char* const* terms) {
  using T = Wide<S>;
  using F = Step<Op, pass, typename Memory<S>::V>;
  constexpr int kept = F::outputs - F::parameters;
  const F f(params);
  S* out[kept];
  const S* in[F::inputs];
  T* to[F::parameters];
  for (int k = 0; k < kept; ++k) out[k] = reinterpret_cast<S*>(operands[k]);
  for (int k = 0; k < F::inputs; ++k) in[k] = reinterpret_cast<const S*>(operands[kept + k]);
  for (int p = 0; p < F::parameters; ++p) {
    to[p] = reinterpret_cast<T*>(terms[p]);
    sums[p] = 0;
  }

  const int64_t whole = n - n % kLanes<S>;
  for (int64_t begin = 0; begin < n; begin += kBlock<S>) {
    double block[F::parameters];
    const int64_t end = std::min(begin + kBlock<S>, whole);
    if (end > begin) {
      run_reducing(f, input_indices<F>, out, in, end - begin, block, to);
      for (int p = 0; p < F::parameters; ++p) {
        if (to[p] == nullptr) sums[p] += block[p];
      }
    }
    const int64_t done = std::max<int64_t>(end - begin, 0);
    for (int k = 0; k < kept; ++k) out[k] += done;
    for (int k = 0; k < F::inputs; ++k) in[k] += done;
    for (T*& each : to) {
      if (each != nullptr) each += done;
    }
  }
  const int64_t tail = n - whole;
  if (tail == 0) return;
  S filled[F::inputs][kLanes<S>] = {}, results[kept][kLanes<S>];
  T last[F::parameters][kLanes<S>];
  const S* from[F::inputs];
  S* into[kept];
  T* tail_terms[F::parameters];
  for (int k = 0; k < F::inputs; ++k) {
    std::memcpy(filled[k], in[k], tail * sizeof(S));
    from[k] = filled[k];
  }
  for (int k = 0; k < kept; ++k) into[k] = results[k];
  for (int p = 0; p < F::parameters; ++p) tail_terms[p] = last[p];
  run_reducing(f, input_indices<F>, into, from, kLanes<S>, sums, tail_terms);
  for (int k = 0; k < kept; ++k) std::memcpy(out[k], results[k], tail * sizeof(S));
  for (int p = 0; p < F::parameters; ++p) {
    if (to[p] != nullptr) {
      std::memcpy(to[p], last[p], tail * sizeof(T));
    } else {
      for (int64_t i = 0; i < tail; ++i) sums[p] += last[p][i];
    }
  }
}

// The sum of n terms, in double in eight parts that are added by halves.
template <class T>
ACT_FN double sum_of_terms(const T* terms, int64_t n) {
  constexpr int kParts = 8;
  double part[kParts] = {};
  int64_t i = 0;
#if defined(CPU_CAPABILITY_AVX512)
  __m512d all = _mm512_setzero_pd();
  for (; i + kParts <= n; i += kParts) {
    if constexpr (sizeof(T) == 4) {
      all += _mm512_cvtps_pd(_mm256_loadu_ps(terms + i));
    } else {
      all += _mm512_loadu_pd(terms + i);
    }
  }
  if (i == n) return across(all, Add());
  _mm512_storeu_pd(part, all);
#else
  for (; i + kParts <= n; i += kParts) {
    for (int p = 0; p < kParts; ++p) part[p] += terms[i + p];
  }
#endif
  for (int p = 0; i < n; ++i, ++p) part[p] += terms[i];
  by_halves(part, kParts);
  return part[0];
}

template <class T>
void add_terms(const void* terms, int64_t columns, int64_t rows, int64_t column_step, int64_t row_step, double* sums) {
  const T* from = static_cast<const T*>(terms);
  for (int64_t row = 0; row < rows; ++row, from += columns, sums += row_step) {
    if (column_step == 0) {
      *sums += sum_of_terms(from, columns);
    } else if (column_step == 1) {
      for (int64_t i = 0; i < columns; ++i) sums[i] += from[i];
    } else {
      for (int64_t i = 0; i < columns; ++i) sums[i * column_step] += from[i];
    }
  }
}

template <template <class> class Op, Pass pass>
constexpr std::array<cpu::ReducingKernel, kDtypes> reducing_by_dtype() {
  return {reducing_kernel<Op, pass, float>, reducing_kernel<Op, pass, double>, reducing_kernel<Op, pass, c10::BFloat16>,
          reducing_kernel<Op, pass, c10::Half>};
}

template <template <class> class... Ops>
constexpr std::array<cpu::ReducingTable, sizeof...(Ops)> reducing_tables_of(List<Ops...>) {
  return {
      cpu::ReducingTable{reducing_by_dtype<Ops, Pass::backward>(), reducing_by_dtype<Ops, Pass::double_backward>()}...};
}

// Elements begin to end of what lies along stretches, of which many may be short: what is done once for each counts.
template <template <class> class Op, class S>
void stretches_kernel(char* output, const char* input, int64_t begin, int64_t end, const cpu::Stretches& along) {
  constexpr int64_t size = Memory<S>::size;
  using F = NumbersStep<Op, typename Memory<S>::V>;
  const int64_t length = along.length, step = along.per_channel;
  const double *const first = along.numbers, *const behind = first + along.channels * step;
  const double* numbers = first + begin / length % along.channels * step;
  S* to = reinterpret_cast<S*>(output) + begin;
  const S* from = reinterpret_cast<const S*>(input) + begin;
  int64_t left = end - begin, n = std::min(left, length - begin % length);
  for (; left > 0; left -= n, to += n, from += n, n = std::min(left, length)) {
    const F f(numbers);
    numbers += step;
    if (numbers == behind) numbers = first;
    if (n < size) {
      const FirstLanes<S> few(n);
      few.store(f(few.load(from, S(0))), to);
      continue;
    }
    for_each_overlapping<S>(n, [&](int64_t i) {
      if constexpr (F::heavy) {
        fetch_ahead<0>(from + i);
        fetch_ahead<1>(to + i);
      }
      Memory<S>::store(f(Memory<S>::load(from + i)), to + i);
    });
  }
}

// Backward of the same, by vectors. A sum in the computing format stays short, as a stretch is.
template <template <class> class Op, class S>
void reducing_stretches_kernel(char* output, const char* grad_output, const char* input, int64_t begin, int64_t end,
                               const cpu::Stretches& along, const cpu::SumsOfChannels& sums) {
  using V = typename Memory<S>::V;
  using F = Step<Op, Pass::backward, V>;
  constexpr int64_t size = Memory<S>::size;
  constexpr int parameters = F::parameters;
  static_assert(cpu::kLongestSummed <= kBlock<float>);
  const int64_t length = along.length;
  int64_t channel = begin / length % along.channels;
  S* to = reinterpret_cast<S*>(output) + begin;
  const S* g = reinterpret_cast<const S*>(grad_output) + begin;
  const S* x = reinterpret_cast<const S*>(input) + begin;
  int64_t left = end - begin, n = std::min(left, length - begin % length);
  for (; left > 0; left -= n, to += n, g += n, x += n, n = std::min(left, length)) {
    const double* const numbers = along.numbers + channel * along.per_channel;
    const F f(numbers + parameters);
    const auto derivatives = [&]<std::size_t... P>(V gradient, V value, std::index_sequence<P...>) {
      return f(gradient, value, V(numbers[P])...);
    };
    constexpr std::make_index_sequence<parameters> all_parameters;
    Group<S> total[parameters];
    double sum[parameters] = {};
    int64_t i = 0;
    const auto step = [&](int part) {
      const auto all = derivatives(Memory<S>::load(g + i), Memory<S>::load(x + i), all_parameters);
      Memory<S>::store(all.value[0], to + i);
      for (int p = 0; p < parameters; ++p) total[p].part[part] = total[p].part[part] + all.value[1 + p];
      i += size;
    };
    while (i + kLanes<S> <= n) {
      for (int part = 0; part < Group<S>::size; ++part) step(part);
    }
    while (i + size <= n) step(0);
    if (i < n) {
      const FirstLanes<S> few(n - i);
      const auto all = derivatives(few.load(g + i, S(0)), few.load(x + i, S(0)), all_parameters);
      few.store(all.value[0], to + i);
      for (int p = 0; p < parameters; ++p) {
        Wide<S> terms[size];
        store_in_order<S>(all.value[1 + p], terms);
        for (int64_t k = 0; k < n - i; ++k) sum[p] += terms[k];
      }
    }
    for (int p = 0; p < parameters; ++p) {
      sums.first[p][channel * sums.step[p]] += sum[p] + total[p].template sum<false>();
    }
    if (++channel == along.channels) channel = 0;
  }
}

template <template <class> class Op, class S>
constexpr cpu::StretchesKernel stretches_kernel_or_null() {
  if constexpr (left_out<NumbersStep<Op, typename Memory<S>::V>, S>) {
    return nullptr;
  } else {
    return stretches_kernel<Op, S>;
  }
}

template <template <class> class Op, class S>
constexpr cpu::ReducingStretchesKernel reducing_stretches_kernel_or_null() {
  if constexpr (ACT_EXT_NO_VECTORS) {
    return nullptr;
  } else {
    return reducing_stretches_kernel<Op, S>;
  }
}

template <template <class> class Op>
constexpr cpu::StretchesTable stretches_table() {
  return {{stretches_kernel_or_null<Op, float>(), stretches_kernel_or_null<Op, double>(),
           stretches_kernel_or_null<Op, c10::BFloat16>(), stretches_kernel_or_null<Op, c10::Half>()},
          {reducing_stretches_kernel_or_null<Op, float>(), reducing_stretches_kernel_or_null<Op, double>(),
           reducing_stretches_kernel_or_null<Op, c10::BFloat16>(), reducing_stretches_kernel_or_null<Op, c10::Half>()}};
}
template <template <class> class... Ops>
constexpr std::array<cpu::StretchesTable, sizeof...(Ops)> stretches_tables_of(List<Ops...>) {
  return {stretches_table<Ops>()...};
}

template <template <class> class... Ops>
constexpr std::array<cpu::Table, sizeof...(Ops)> forward_tables(List<Ops...>) {
  return {cpu::Table{by_dtype<Ops, Pass::forward>()}...};
}

}  // namespace act_ext::CPU_CAPABILITY
