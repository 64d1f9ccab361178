// Sums in one order, whatever the width of a register: element k belongs to lane k % kLanes, and what the lanes of a
// block hold is added by halves (in bfloat16 first those of neighbours), from eight lanes on or all the way in double,
// and to the sums of other blocks with what rounding takes from these.
#pragma once

#include <algorithm>

#include "lanes.h"

namespace act_ext::CPU_CAPABILITY {

template <class S>
using Wide = Scalar<typename Memory<S>::V>;  // what S is computed in
// Fewer where there are no vectors, but not in float64, whose sums nothing wider holds.
template <class S>
inline constexpr int kLanes = (Memory<S>::size == 1 && sizeof(Wide<S>) == 4 ? 16 : 128) / sizeof(Wide<S>);
template <class S>
inline constexpr int64_t kBlock = 16 * kLanes<S>;

// x86 loads bfloat16's neighbours into two registers, which are what is added first.
template <class S>
inline constexpr bool kNeighboursFirst = std::is_same_v<S, c10::BFloat16>;
// Of `count` numbers. Returns how many are left.
template <class T>
ACT_FN int add_neighbours(T* numbers, int count) {
  for (int i = 0; i < count / 2; ++i) numbers[i] = numbers[2 * i] + numbers[2 * i + 1];
  return count / 2;
}

struct Add {
  template <class T>
  ACT_FN T operator()(T a, T b) const {
    return a + b;
  }
};
// Combines `count` numbers by halves until no more than `most` are left. Returns how many.
template <class T, class F = Add>
ACT_FN int by_halves(T* numbers, int count, int most = 1, F combine = {}) {
  while (count > most) {
    count /= 2;
    for (int i = 0; i < count; ++i) numbers[i] = combine(numbers[i], numbers[i + count]);
  }
  return count;
}

// The sum of number(kFirst), number(kFirst + kStep)... below kWidth by halves, in registers. Those from `count` on are
// not there, but kFirst is.
template <int kWidth, int kFirst = 0, int kStep = 1, class F>
ACT_FN auto sum_by_halves(int64_t count, F number) {
  if constexpr (kStep == kWidth) {
    return number(std::integral_constant<int, kFirst>());
  } else {
    auto sum = sum_by_halves<kWidth, kFirst, 2 * kStep>(count, number);
    if (kFirst + kStep < count) sum = sum + sum_by_halves<kWidth, kFirst + kStep, 2 * kStep>(count, number);
    return sum;
  }
}

// One register's lanes combined by halves.
#if defined(CPU_CAPABILITY_AVX512)
template <class F>
ACT_FN float across(__m512 x, F combine) {
  x = combine(x, _mm512_shuffle_f32x4(x, x, 0x4E));
  x = combine(x, _mm512_shuffle_f32x4(x, x, 0xB1));
  x = combine(x, _mm512_permute_ps(x, 0x4E));
  return _mm512_cvtss_f32(combine(x, _mm512_permute_ps(x, 0xB1)));
}
template <class F>
ACT_FN double across(__m512d x, F combine) {
  x = combine(x, _mm512_shuffle_f64x2(x, x, 0x4E));
  x = combine(x, _mm512_shuffle_f64x2(x, x, 0xB1));
  return _mm512_cvtsd_f64(combine(x, _mm512_permute_pd(x, 0x55)));
}
// Each of as many registers as one has lanes, in order.
template <class F>
ACT_FN __m512 across(const __m512* x, F combine) {
  const auto of_four = [&](const __m512* each) {
    const auto halves = [&](__m512 a, __m512 b) {
      return combine(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE));
    };
    const __m512 first = halves(each[0], each[4]), second = halves(each[8], each[12]);
    return combine(_mm512_shuffle_f32x4(first, second, 0x88), _mm512_shuffle_f32x4(first, second, 0xDD));
  };
  const auto pairs = [&](__m512 a, __m512 b) {
    return combine(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xEE));
  };
  const __m512 first = pairs(of_four(x), of_four(x + 1)), second = pairs(of_four(x + 2), of_four(x + 3));
  return combine(_mm512_shuffle_ps(first, second, 0x88), _mm512_shuffle_ps(first, second, 0xDD));
}
template <class F>
ACT_FN __m512d across(const __m512d* x, F combine) {
  const auto of_four = [&](const __m512d* each) {
    const auto halves = [&](__m512d a, __m512d b) {
      return combine(_mm512_shuffle_f64x2(a, b, 0x44), _mm512_shuffle_f64x2(a, b, 0xEE));
    };
    const __m512d first = halves(each[0], each[2]), second = halves(each[4], each[6]);
    return combine(_mm512_shuffle_f64x2(first, second, 0x88), _mm512_shuffle_f64x2(first, second, 0xDD));
  };
  const __m512d even = of_four(x), odd = of_four(x + 1);
  return combine(_mm512_unpacklo_pd(even, odd), _mm512_unpackhi_pd(even, odd));
}
#elif defined(CPU_CAPABILITY_AVX2)
template <class F>
ACT_FN float across(__m256 x, F combine) {
  x = combine(x, _mm256_permute2f128_ps(x, x, 1));
  x = combine(x, _mm256_permute_ps(x, 0x4E));
  return _mm256_cvtss_f32(combine(x, _mm256_permute_ps(x, 0xB1)));
}
template <class F>
ACT_FN double across(__m256d x, F combine) {
  x = combine(x, _mm256_permute2f128_pd(x, x, 1));
  return _mm256_cvtsd_f64(combine(x, _mm256_permute_pd(x, 0x5)));
}
template <class F>
ACT_FN __m256 across(const __m256* x, F combine) {
  const auto of_two = [&](const __m256* each) {
    return combine(_mm256_permute2f128_ps(each[0], each[4], 0x20), _mm256_permute2f128_ps(each[0], each[4], 0x31));
  };
  const auto pairs = [&](__m256 a, __m256 b) {
    return combine(_mm256_shuffle_ps(a, b, 0x44), _mm256_shuffle_ps(a, b, 0xEE));
  };
  const __m256 first = pairs(of_two(x), of_two(x + 1)), second = pairs(of_two(x + 2), of_two(x + 3));
  return combine(_mm256_shuffle_ps(first, second, 0x88), _mm256_shuffle_ps(first, second, 0xDD));
}
template <class F>
ACT_FN __m256d across(const __m256d* x, F combine) {
  const auto of_two = [&](const __m256d* each) {
    return combine(_mm256_permute2f128_pd(each[0], each[2], 0x20), _mm256_permute2f128_pd(each[0], each[2], 0x31));
  };
  const __m256d even = of_two(x), odd = of_two(x + 1);
  return combine(_mm256_unpacklo_pd(even, odd), _mm256_unpackhi_pd(even, odd));
}
#endif

struct Larger {
  ACT_FN float operator()(float a, float b) const { return a > b ? a : b; }
  ACT_FN double operator()(double a, double b) const { return a > b ? a : b; }
#if defined(CPU_CAPABILITY_AVX512)
  ACT_FN __m512 operator()(__m512 a, __m512 b) const { return _mm512_max_ps(a, b); }
  ACT_FN __m512d operator()(__m512d a, __m512d b) const { return _mm512_max_pd(a, b); }
#elif defined(CPU_CAPABILITY_AVX2)
  ACT_FN __m256 operator()(__m256 a, __m256 b) const { return _mm256_max_ps(a, b); }
  ACT_FN __m256d operator()(__m256d a, __m256d b) const { return _mm256_max_pd(a, b); }
#endif
};

// The results of a vector in the order of the elements.
template <class S, class V>
ACT_FN void store_in_order(V v, Wide<S>* to) {
  using T = Wide<S>;
  if constexpr (kNeighbours<S>) {
    constexpr int64_t half = Memory<S>::size / 2;
    T apart[2 * half];
    Memory<T>::store(v, apart);
    for (int64_t i = 0; i < half; ++i) {
      to[2 * i] = apart[i];
      to[2 * i + 1] = apart[half + i];
    }
    return;
  }
  Memory<T>::store(v, to);
}

// The inverse of that.
template <class S>
ACT_FN typename Memory<S>::V load_in_order(const Wide<S>* from) {
  using T = Wide<S>;
  if constexpr (kNeighbours<S>) {
    constexpr int64_t half = Memory<S>::size / 2;
    T apart[2 * half];
    for (int64_t i = 0; i < half; ++i) {
      apart[i] = from[2 * i];
      apart[half + i] = from[2 * i + 1];
    }
    return Memory<T>::load(apart);
  }
  return Memory<T>::load(from);
}

// Registers added down to eight lanes (four of AVX2's double), which go on in double: first those that belong together.
// kWide: in double from the first addition on.
#if defined(CPU_CAPABILITY_AVX512)
ACT_FN __m512d wide_low(__m512 x) { return _mm512_cvtps_pd(_mm512_castps512_ps256(x)); }
ACT_FN __m512d wide_high(__m512 x) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1)); }
template <bool kWide>
ACT_FN __m512d eighths(__m512 a, __m512 b) {
  if constexpr (kWide) return (wide_low(a) + wide_low(b)) + (wide_high(a) + wide_high(b));
  const __m512 sum = a + b;
  return _mm512_cvtps_pd(_mm512_castps512_ps256(sum) + _mm512_extractf32x8_ps(sum, 1));
}
template <bool kWide>
ACT_FN __m512d eighths(__m512d a, __m512d b) {
  return a + b;
}
#elif defined(CPU_CAPABILITY_AVX2)
ACT_FN __m256d wide_low(__m256 x) { return _mm256_cvtps_pd(_mm256_castps256_ps128(x)); }
ACT_FN __m256d wide_high(__m256 x) { return _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)); }
template <bool kWide>
ACT_FN __m256d eighths(__m256 a, __m256 b, __m256 c, __m256 d) {
  if constexpr (kWide) {
    return ((wide_low(a) + wide_low(b)) + (wide_low(c) + wide_low(d))) +
           ((wide_high(a) + wide_high(b)) + (wide_high(c) + wide_high(d)));
  }
  const __m256 sum = (a + b) + (c + d);
  return wide_low(sum) + wide_high(sum);
}
template <bool kWide>
ACT_FN __m256d eighths(__m256d a, __m256d b, __m256d c, __m256d d) {
  return (a + b) + (c + d);
}
#endif

// A vector's elements in double.
template <class V>
struct InDouble {
  using T = Scalar<V>;
  static constexpr int64_t size = Memory<T>::size;
#if defined(CPU_CAPABILITY_AVX512) || defined(CPU_CAPABILITY_AVX2)
  using Part = Register<double>;
  static constexpr int parts = is_single<V> ? 4 : 2;
#else
  using Part = double;
  static constexpr int parts = size;
#endif
  Part part[parts];

  InDouble() = default;
#if defined(CPU_CAPABILITY_AVX512) || defined(CPU_CAPABILITY_AVX2)
  ACT_FN explicit InDouble(V x) {
    if constexpr (is_single<V>) {
      part[0] = wide_low(x.low), part[1] = wide_high(x.low), part[2] = wide_low(x.high), part[3] = wide_high(x.high);
    } else {
      part[0] = x.low, part[1] = x.high;
    }
  }
  ACT_FN V rounded() const {
    if constexpr (is_single<V>) {
      return {narrowed({part[0], part[1]}), narrowed({part[2], part[3]})};
    } else {
      return {part[0], part[1]};
    }
  }
#else
  ACT_FN explicit InDouble(V x) {
    T each[size];
    Memory<T>::store(x, each);
    std::copy_n(each, size, part);
  }
  ACT_FN V rounded() const {
    T each[size];
    std::copy_n(part, size, each);
    return Memory<T>::load(each);
  }
#endif
  ACT_FN static InDouble load(const double* from) {
    InDouble loaded;
    std::memcpy(loaded.part, from, sizeof(loaded.part));
    return loaded;
  }
  ACT_FN void store(double* to) const { std::memcpy(to, part, sizeof(part)); }
};
template <class V>
ACT_FN InDouble<V> operator+(InDouble<V> a, InDouble<V> b) {
  for (int i = 0; i < InDouble<V>::parts; ++i) a.part[i] = a.part[i] + b.part[i];
  return a;
}
template <class V>
ACT_FN InDouble<V> operator-(InDouble<V> a, InDouble<V> b) {
  for (int i = 0; i < InDouble<V>::parts; ++i) a.part[i] = a.part[i] - b.part[i];
  return a;
}

// Adds x to a sum in double that is kept with what rounding took from it.
template <class D>
ACT_FN void accumulate(D& value, D& rest, D x) {
  const D sum = value + x, part = sum - value;
  rest = rest + ((value - (sum - part)) + (x - part));
  value = sum;
}
template <class T>
ACT_FN Pair<T> words_of(double value, double rest) {
  const T high = static_cast<T>(value);
  return {high, static_cast<T>((value - static_cast<double>(high)) + rest)};
}
template <class V>
ACT_FN Pair<V> words_of(InDouble<V> value, InDouble<V> rest) {
  const V high = value.rounded();
  return {high, ((value - InDouble<V>(high)) + rest).rounded()};
}

// What Group::sum gives, of lanes in memory in the order of the elements, which are overwritten.
template <class S, bool kWide>
ACT_FN double sum_of_lanes(Wide<S>* lanes) {
  int width = kLanes<S>;
  if (!kWide && kNeighboursFirst<S>) width = add_neighbours(lanes, width);
  if (!kWide) width = by_halves(lanes, width, 8);
  double sums[kLanes<S>];
  std::copy_n(lanes, width, sums);
  if (kWide && kNeighboursFirst<S>) width = add_neighbours(sums, width);
  by_halves(sums, width);
  return sums[0];
}

// kLanes elements of a row, in the registers that hold them.
template <class S>
struct Group {
  using V = typename Memory<S>::V;
  using T = Wide<S>;
  static constexpr int size = kLanes<S> / Memory<S>::size;
  V part[size];

  ACT_FN explicit Group(double constant = 0) {
    for (V& v : part) v = V(constant);
  }

#if defined(CPU_CAPABILITY_AVX512)
  template <bool kWide>
  ACT_FN __m512d sum_in_lanes() const {
    return eighths<kWide>(part[0].low, part[0].high);
  }
  ACT_FN Register<T> largest_in_lanes() const { return Larger()(part[0].low, part[0].high); }
#elif defined(CPU_CAPABILITY_AVX2)
  template <bool kWide>
  ACT_FN __m256d sum_in_lanes() const {
    const V &a = part[0], &b = part[1];
    if constexpr (kNeighbours<S>) return eighths<kWide>(a.low, a.high, b.low, b.high);
    return eighths<kWide>(a.low, b.low, a.high, b.high);
  }
  ACT_FN Register<T> largest_in_lanes() const {
    const Larger larger;
    return larger(larger(part[0].low, part[0].high), larger(part[1].low, part[1].high));
  }
#endif
  template <bool kWide>
  ACT_FN double sum() const {
#if defined(CPU_CAPABILITY_AVX512) || defined(CPU_CAPABILITY_AVX2)
    return across(sum_in_lanes<kWide>(), Add());
#else
    T lanes[kLanes<S>];
    for (int i = 0; i < size; ++i) Memory<T>::store(part[i], lanes + i * Memory<S>::size);
    return sum_of_lanes<S, kWide>(lanes);
#endif
  }

  ACT_FN T largest() const {
#if defined(CPU_CAPABILITY_AVX512) || defined(CPU_CAPABILITY_AVX2)
    return across(largest_in_lanes(), Larger());
#else
    T lanes[kLanes<S>];
    for (int i = 0; i < size; ++i) Memory<T>::store(part[i], lanes + i * Memory<S>::size);
    by_halves(lanes, kLanes<S>, 1, Larger());
    return lanes[0];
#endif
  }
};

// The largest elements and the sums of a vector of rows: one group is set for each row, and all are reduced at once.
// Rows that are not set get anything, which nobody reads.
template <class S>
class LargestOfRows {
  using V = typename Memory<S>::V;
  using T = Wide<S>;
  static constexpr int kRows = static_cast<int>(Memory<T>::size);
#if defined(CPU_CAPABILITY_AVX512) || defined(CPU_CAPABILITY_AVX2)

 public:
  ACT_FN void set(int row, const Group<S>& group) { rows_[row] = group.largest_in_lanes(); }
  // Of the first `count` rows.
  ACT_FN V all(int count) const {
    V all(0);
    all.low = across(rows_, Larger());
    if (count > kRows / 2) all.high = across(rows_ + kRows / 2, Larger());
    return all;
  }

 private:
  Register<T> rows_[kRows];
#else

 public:
  ACT_FN void set(int row, const Group<S>& group) { rows_[row] = group.largest(); }
  ACT_FN V all(int) const { return Memory<T>::load(rows_); }

 private:
  T rows_[kRows];
#endif
};
template <class S, bool kWide>
class SumsOfRows {
  using V = typename Memory<S>::V;
  using Double = InDouble<V>;

 public:
  static constexpr int kRows = static_cast<int>(Memory<Wide<S>>::size);
#if defined(CPU_CAPABILITY_AVX512) || defined(CPU_CAPABILITY_AVX2)
  // So many take no longer than one.
  static constexpr int kRowsPerStep = kRows / Double::parts;
  ACT_FN void set(int row, const Group<S>& group) { rows_[row] = group.template sum_in_lanes<kWide>(); }
  ACT_FN Double all(int count) const {
    Double all(V(0));
    for (int p = 0; p < Double::parts && p * kRowsPerStep < count; ++p) {
      all.part[p] = across(rows_ + p * kRowsPerStep, Add());
    }
    return all;
  }

 private:
  typename Double::Part rows_[kRows];
#else
  static constexpr int kRowsPerStep = kRows;
  ACT_FN void set(int row, const Group<S>& group) { rows_[row] = group.template sum<kWide>(); }
  ACT_FN Double all(int) const { return Double::load(rows_); }

 private:
  double rows_[kRows];
#endif
};

}  // namespace act_ext::CPU_CAPABILITY
