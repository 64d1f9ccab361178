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

// The first `count` elements of a vector, of which there may be none. No others are touched in memory. They are not
// copied to a buffer that is then loaded as a vector: the processor would wait for the copy.
#if defined(CPU_CAPABILITY_AVX512)
template <class S>
inline constexpr bool has_masks = true;
template <class S>
ACT_FN uint32_t first_lanes(int64_t count) {
  return static_cast<uint32_t>((uint64_t{1} << std::clamp<int64_t>(count, 0, 64 / sizeof(S))) - 1);
}
template <class S>
ACT_FN Bits load_lanes(uint32_t lanes, const S* from, Bits others) {
  if constexpr (sizeof(S) == 8) return _mm512_mask_loadu_epi64(others, static_cast<__mmask8>(lanes), from);
  if constexpr (sizeof(S) == 4) return _mm512_mask_loadu_epi32(others, static_cast<__mmask16>(lanes), from);
  return _mm512_mask_loadu_epi16(others, lanes, from);
}
template <class S>
ACT_FN void store_lanes(uint32_t lanes, Bits bits, S* to) {
  if constexpr (sizeof(S) == 8) return _mm512_mask_storeu_epi64(to, static_cast<__mmask8>(lanes), bits);
  if constexpr (sizeof(S) == 4) return _mm512_mask_storeu_epi32(to, static_cast<__mmask16>(lanes), bits);
  return _mm512_mask_storeu_epi16(to, lanes, bits);
}
#elif defined(CPU_CAPABILITY_AVX2)
template <class S>
inline constexpr bool has_masks = sizeof(S) > 2;
template <class S>
ACT_FN Bits first_lanes(int64_t count) {
  if constexpr (sizeof(S) == 8) return _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3));
  if constexpr (sizeof(S) == 2) {
    return _mm256_cmpgt_epi16(_mm256_set1_epi16(static_cast<short>(count)),
                              _mm256_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  }
  return _mm256_cmpgt_epi32(filled(static_cast<int>(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
template <class S>
ACT_FN Bits load_lanes(Bits lanes, const S* from, Bits others) {
  if constexpr (sizeof(S) == 8) {
    return _mm256_blendv_epi8(others, _mm256_castpd_si256(_mm256_maskload_pd(from, lanes)), lanes);
  } else {
    return _mm256_blendv_epi8(others, bits_of(_mm256_maskload_ps(from, lanes)), lanes);
  }
}
template <class S>
ACT_FN void store_lanes(Bits lanes, Bits bits, S* to) {
  if constexpr (sizeof(S) == 8) {
    _mm256_maskstore_pd(to, lanes, _mm256_castsi256_pd(bits));
  } else {
    _mm256_maskstore_ps(to, lanes, float_of(bits));
  }
}
#endif

#if defined(CPU_CAPABILITY_AVX512)
// FirstLanes where they are all in the first of a vector's two registers.
template <class S>
struct LowLanes {
  using V = typename Memory<S>::V;
  uint32_t lanes;
  ACT_FN V load(const S* from, S others) const {
    return {(Register<S>)load_lanes(lanes, from, filled(others)), Register<S>{}};
  }
  ACT_FN void store(V v, S* to) const { store_lanes(lanes, (Bits)v.low, to); }
};
#endif
// Where there are no masks, element by element.
template <class S>
class FirstLanes {
  using V = typename Memory<S>::V;

 public:
  FirstLanes() = default;
  ACT_FN explicit FirstLanes(int64_t count) : count_(std::min(count, Memory<S>::size)) {}
  // `others`: what stands behind them.
  ACT_FN V load(const S* from, S others) const {
#if defined(CPU_CAPABILITY_AVX2)
    // Two by two, and the last, of an odd number, from everywhere.
    if (count_ <= 0) return Memory<S>::widened(filled(others));
    const Bits pairs = first_lanes<float>(count_ / 2);
    const Bits all = load_lanes(pairs, reinterpret_cast<const float*>(from), filled(from[count_ - 1]));
    return Memory<S>::widened(_mm256_blendv_epi8(filled(others), all, first_lanes<S>(count_)));
#else
    S part[Memory<S>::size];
    std::fill_n(part, Memory<S>::size, others);
    for (int64_t i = 0; i < count_; ++i) part[i] = from[i];
    return Memory<S>::load(part);
#endif
  }
  ACT_FN void store(V v, S* to) const {
    S part[Memory<S>::size];
    Memory<S>::store(v, part);
    for (int64_t i = 0; i < count_; ++i) to[i] = part[i];
  }

 private:
  int64_t count_;
};
#if defined(CPU_CAPABILITY_AVX512) || defined(CPU_CAPABILITY_AVX2)
template <class S>
  requires has_masks<S>
class FirstLanes<S> {
  using V = typename Memory<S>::V;
  static constexpr int64_t kLanes = sizeof(Bits) / sizeof(S);

 public:
  FirstLanes() = default;
  ACT_FN explicit FirstLanes(int64_t count) : low_(first_lanes<S>(count)) {
    if constexpr (sizeof(S) > 2) high_ = first_lanes<S>(count - kLanes);
  }
  ACT_FN V load(const S* from, S others) const {
    const Bits rest = filled(others), low = load_lanes(low_, from, rest);
    if constexpr (sizeof(S) > 2) {
      return {(Register<S>)low, (Register<S>)load_lanes(high_, from + kLanes, rest)};
    } else {
      return Memory<S>::widened(low);
    }
  }
  ACT_FN void store(V v, S* to) const {
    if constexpr (sizeof(S) > 2) {
      store_lanes(low_, (Bits)v.low, to);
      store_lanes(high_, (Bits)v.high, to + kLanes);
    } else {
      S part[kLanes];
      Memory<S>::store(v, part);
      store_lanes(low_, load_bits(part), to);
    }
  }
#if defined(CPU_CAPABILITY_AVX512)
  ACT_FN LowLanes<S> low() const { return {low_}; }
#endif

 private:
  decltype(first_lanes<S>(0)) low_, high_;
};
#endif
// All of them, for loops to which it is the same.
template <class S>
struct WholeVector {
  ACT_FN typename Memory<S>::V load(const S* from, S) const { return Memory<S>::load(from); }
  ACT_FN void store(typename Memory<S>::V v, S* to) const { Memory<S>::store(v, to); }
};
// step(i) for vectors that cover the elements up to n, of which there is one vector at least. The last ends where they
// do: a part of it may come twice.
template <class S, class G>
ACT_FN void for_each_vector(int64_t n, G step) {
  const int64_t last = n - Memory<S>::size;
  for (int64_t i = 0;; i = std::min(i + Memory<S>::size, last)) {
    step(i);
    if (i == last) break;
  }
}

// A register of bfloat16 is loaded as its even and its odd elements.
template <class S>
inline constexpr bool kNeighbours =
#if defined(CPU_CAPABILITY_AVX512) || defined(CPU_CAPABILITY_AVX2)
    std::is_same_v<S, c10::BFloat16>;
#else
    false;
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

// f over n contiguous elements of each operand.
template <class S, class F>
void run_contiguous(const F& f, char* const* operands, int64_t n) {
  constexpr int64_t size = Memory<S>::size;
  S* out[F::outputs];
  const S* in[F::inputs];
  for (int k = 0; k < F::outputs; ++k) out[k] = reinterpret_cast<S*>(operands[k]);
  for (int k = 0; k < F::inputs; ++k) in[k] = reinterpret_cast<const S*>(operands[F::outputs + k]);

  const int64_t tail = n % size, whole = n - tail;
  run_whole(f, out, in, whole);
  if (tail > 0) {
    // Zeros fill the vector up.
    S filled[F::inputs][size] = {}, results[F::outputs][size];
    S* to[F::outputs];
    for (int k = 0; k < F::outputs; ++k) to[k] = results[k];
    for (int k = 0; k < F::inputs; ++k) {
      std::memcpy(filled[k], in[k] + whole, tail * sizeof(S));
      in[k] = filled[k];
    }
    run_whole(f, to, in, size);
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
