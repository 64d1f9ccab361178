// How a block's threads share rows of any layout and go along them; what they make of the elements is in rows.cuh.
#pragma once

#include "../row_pass.h"
#include "kernel.cuh"

namespace act_ext::cuda {

// Threads of a block at the most: this leaves each 128 registers.
constexpr int kMostThreads = 512;

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

// How a block's threads share its rows. Along memory x is the place in a row, and z counts rows. Across it neighbouring
// threads have neighbouring rows, x, y is the place, and z counts such groups of rows. Threads of one z are a power of
// 2 below a warp, or whole warps, and then the whole block.
struct Places {
  int place, places;
  int64_t row;
  int first_offset, last_offset;  // between lanes of one row
  bool in_one_warp;

  __device__ Places(int64_t begin, bool across) {
    const int threads = blockDim.x * blockDim.y;  // of one z
    place = across ? threadIdx.y : threadIdx.x;
    places = across ? blockDim.y : blockDim.x;
    const int64_t block = begin + blockIdx.x;
    row = across ? (block * blockDim.z + threadIdx.z) * blockDim.x + threadIdx.x : block * blockDim.z + threadIdx.z;
    first_offset = across ? blockDim.x : 1;
    last_offset = threads < 32 ? threads : 32;
    in_one_warp = threads <= 32;
  }

  // Combines what the places of each row have; all of the block's threads call it. Every place gets the same bits: of
  // two partners in a shuffle both combine the same two values, and F is commutative.
  template <class T, class F>
  __device__ T combined(T value, F combine) const {
    for (int offset = first_offset; offset < last_offset; offset *= 2) {
      value = combine(value, __shfl_xor_sync(0xffffffff, value, offset));
    }
    if (in_one_warp) return value;
    // Each warp of the block has the same rows in the same lanes.
    __shared__ T values[kMostThreads / 32][32];
    const int thread = threadIdx.y * blockDim.x + threadIdx.x, lane = thread % 32;
    const int warps = static_cast<int>(blockDim.x * blockDim.y / 32);
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

// Where a row's operands begin.
template <int kOperands>
struct Row {
  char* data[kOperands];

  __device__ Row(const Rows<kOperands>& rows, int64_t number) {
    int64_t offset[kOperands] = {};
    add_offsets(rows.firsts, number, offset);
#pragma unroll
    for (int k = 0; k < kOperands; ++k) data[k] = rows.data[k] + offset[k];
  }
};

// A thread's way through a stretch of a row: access j of its place is the stretch's number j * places + place.
template <class S, class F, bool kPacked, int kItemsEach>
class Span {
 public:
  using V = Compute<S>;
  using Access = AccessOf<S, kPacked>;
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

}  // namespace act_ext::cuda
