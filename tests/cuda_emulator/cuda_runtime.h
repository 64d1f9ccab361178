// A stand-in for the CUDA runtime with which a C++ compiler builds the kernels for the CPU: a block's threads are
// contexts of one thread that take turns at barriers and shuffles. It stops the program at a deadlock, a barrier or
// shuffle that not all threads join, and a launch that no GPU would take.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)
#define __shared__ static

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(int64_t x = 1, int64_t y = 1, int64_t z = 1)
      : x(static_cast<unsigned>(x)), y(static_cast<unsigned>(y)), z(static_cast<unsigned>(z)) {}
};

using cudaStream_t = void*;
enum cudaError_t { cudaSuccess };
enum { cudaDevAttrMultiProcessorCount };
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline const char* cudaGetErrorString(cudaError_t) { return ""; }
inline void cudaGetDevice(int* device) { *device = 0; }
inline void cudaDeviceGetAttribute(int* value, int, int) { *value = 4; }

namespace emulator {

// In which order a block's threads take turns: what depends on it is a race. A warp goes on for as long as it can.
inline bool last_thread_first = false;

inline void require(bool holds, const char* otherwise) {
  if (holds) return;
  std::printf("%s\n", otherwise);
  std::exit(1);
}

struct Barrier {
  int arrived = 0, generation = 0;
};
constexpr int kWarp = 32, kMostThreads = 1024;
constexpr std::size_t kStack = 1 << 17;
// Contexts last from block to block. They are begun by makecontext and resumed by longjmp, which asks no system call.
struct Thread {
  ucontext_t context;
  std::unique_ptr<char[]> stack;
  jmp_buf place;
  dim3 index;
  int number;
  bool done;
};
inline std::vector<Thread> threads(kMostThreads);
inline Thread* current;
inline jmp_buf scheduler;
inline dim3 block_index, block_size, grid_size;
inline int count, progress;
inline Barrier block_barrier, warp_barriers[kMostThreads / kWarp];
inline char shuffled[kMostThreads][16];
inline std::function<void()> kernel;

inline void pause() {
  if (_setjmp(current->place) == 0) _longjmp(scheduler, 1);
}

inline void wait(Barrier& barrier, int for_threads) {
  const int generation = barrier.generation;
  if (++barrier.arrived == for_threads) {
    barrier.arrived = 0;
    ++barrier.generation;
    ++progress;
  }
  while (barrier.generation == generation) pause();
}

inline void run_thread() {
  for (;;) {
    kernel();
    current->done = true;
    ++progress;
    pause();
  }
}

inline void resume(Thread& thread) {
  current = &thread;
  if (_setjmp(scheduler) != 0) return;
  if (thread.stack != nullptr) _longjmp(thread.place, 1);
  thread.stack.reset(new char[kStack]);
  getcontext(&thread.context);
  thread.context.uc_stack.ss_sp = thread.stack.get();
  thread.context.uc_stack.ss_size = kStack;
  makecontext(&thread.context, run_thread, 0);
  setcontext(&thread.context);
}

// Gives how many of its threads are not done.
inline int run_warp(int warp) {
  const int lanes = count < kWarp ? count : kWarp;
  for (;;) {
    const int before = progress;
    int left = 0;
    for (int i = 0; i < lanes; ++i) {
      Thread& thread = threads[warp * kWarp + (last_thread_first ? lanes - 1 - i : i)];
      if (thread.done) continue;
      resume(thread);
      left += !thread.done;
    }
    if (left == 0 || progress == before) return left;
  }
}

inline void run_block() {
  for (int i = 0; i < count; ++i) {
    Thread& thread = threads[i];
    thread.index = dim3(i % block_size.x, i / block_size.x % block_size.y, i / (block_size.x * block_size.y));
    thread.number = i;
    thread.done = false;
  }
  const int warps = (count + kWarp - 1) / kWarp;
  for (int left = count; left > 0;) {
    const int before = progress;
    left = 0;
    for (int w = 0; w < warps; ++w) left += run_warp(last_thread_first ? warps - 1 - w : w);
    require(left == 0 || progress != before, "a block's threads wait for each other for ever");
  }
}

inline void launch(dim3 grid, dim3 block, std::function<void()> body) {
  count = static_cast<int>(block.x * block.y * block.z);
  require(count <= kMostThreads && block.z <= 64, "a block is too large");
  require(count <= kWarp || count % kWarp == 0, "a block's last warp is not full");
  require(grid.x > 0 && grid.x <= INT32_MAX && grid.y - 1 < 65535 && grid.z == 1, "a grid is empty or too large");
  grid_size = grid;
  block_size = block;
  kernel = std::move(body);
  for (unsigned y = 0; y < grid.y; ++y) {
    for (unsigned x = 0; x < grid.x; ++x) {
      block_index = dim3(x, y);
      run_block();
    }
  }
}

}  // namespace emulator

#define threadIdx emulator::current->index
#define blockIdx emulator::block_index
#define blockDim emulator::block_size
#define gridDim emulator::grid_size

inline void __syncthreads() { emulator::wait(emulator::block_barrier, emulator::count); }

template <class T>
T __shfl_xor_sync(unsigned, T value, int offset) {
  using namespace emulator;
  static_assert(sizeof(T) <= sizeof(shuffled[0]));
  const int me = current->number, lanes = count < kWarp ? count : kWarp, partner = me ^ offset;
  require(offset < lanes, "a shuffle asks for a lane that is not there");
  std::memcpy(shuffled[me], &value, sizeof(T));
  wait(warp_barriers[me / kWarp], lanes);
  std::memcpy(&value, shuffled[partner], sizeof(T));
  wait(warp_barriers[me / kWarp], lanes);
  return value;
}
