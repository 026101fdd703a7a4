// Kernels each of which has one bug.
#include "harness.h"

namespace higan_fast {

namespace {

constexpr unsigned ALL = 0xffffffffu;

__device__ int thread() { return int(threadIdx.x); }

// --- Races

// A barrier is missing between the write and the read of a neighbour. In reverse order all goes well.
__global__ void missing_barrier_kernel(Output output) {
    SHARED_MEMORY(float, tile);
    tile[thread()] = float(thread());
    output(thread()) = tile[min(thread() + 1, NUM - 1)];
}

// The second barrier of each turn is missing: a neighbour may write the next value before this one is read.
__global__ void missing_second_barrier_kernel(Output output) {
    SHARED_MEMORY(float, tile);
    float x = float(thread());
    for (int turn = 0; turn < 3; ++turn) {
        tile[thread()] = x;
        __syncthreads();
        x = tile[(thread() + 1) % NUM] + 1.0f;
    }
    output(thread()) = x;
}

// An atomicAdd is missing. No order shows it, for no thread is disturbed between its read and its write.
__global__ void missing_atomic_kernel(Output output) {
    SHARED_MEMORY(float, sum);
    if (thread() == 0) sum[0] = 0.0f;
    __syncthreads();
    sum[0] += 1.0f;
    __syncthreads();
    output(thread()) = sum[0];
}

// A shuffle is no __syncwarp: it orders no memory.
__global__ void missing_syncwarp_kernel(Output output) {
    SHARED_MEMORY(float, tile);
    tile[thread()] = float(thread());
    const float one = __shfl_sync(ALL, 1.0f, 0);
    output(thread()) = tile[thread() ^ 1] * one;
}

// --- Out of bounds

__global__ void store_past_view_kernel(Output output) { output(thread() + 1) = 1.0f; }

__global__ void read_before_view_kernel(Output output) { output(thread()) = output(thread() - 1); }

__global__ void vector_past_view_kernel(Output output) {
    vec_at<4>(output, 0, 4 * thread() + 4) = Vec<float, 4>{};
}

__global__ void read_past_shared_kernel(Output output) {
    SHARED_MEMORY(float, tile);
    tile[thread()] = 0.0f;
    __syncthreads();
    output(thread()) = tile[thread() + 4];
}

__global__ void write_past_shared_kernel(Output output) {
    SHARED_MEMORY(float, tile);
    tile[thread() + 1] = 0.0f;
    output(thread()) = 0.0f;
}

__global__ void write_before_shared_kernel(Output output) {
    SHARED_MEMORY(float, tile);
    tile[thread() - 1] = 0.0f;
    output(thread()) = 0.0f;
}

__global__ void null_pointer_kernel(float* pointer) { *pointer = 1.0f; }

// --- Misaligned

__global__ void misaligned_vector_kernel(Output output) {
    vec_at<4>(output, 0, thread()) = Vec<float, 4>{};
}

__global__ void misaligned_shared_vector_kernel(Output output) {
    SHARED_MEMORY(float, tile);
    for (int i = thread(); i < NUM; i += int(blockDim.x)) tile[i] = 0.0f;
    __syncthreads();
    vec_at<4>(output, 0, 4 * thread()) = *reinterpret_cast<const Vec<float, 4>*>(tile + thread());
}

// --- Barriers and shuffles that not all reach

__global__ void divergent_barrier_kernel(Output output) {
    if (thread() < 100) {
        __syncthreads();
        output(thread()) = 1.0f;
    } else {
        __syncthreads();
        output(thread()) = 2.0f;
    }
}

__global__ void barrier_against_syncwarp_kernel(Output output) {
    if (thread() == 5) __syncthreads();
    __syncwarp();
    output(thread()) = 1.0f;
}

__global__ void shuffle_missing_lane_kernel(Output output) {
    float x = 1.0f;
    if (thread() != 7) x = __shfl_xor_sync(ALL, x, 1);
    __syncthreads();
    output(thread()) = x;
}

__global__ void shuffle_other_mask_kernel(Output output) {
    const unsigned mask = thread() % 32 < 16 ? ALL : 0xfffffff0u;
    output(thread()) = __shfl_xor_sync(mask, 1.0f, 16);
}

__global__ void shuffle_without_itself_kernel(Output output) {
    output(thread()) = __shfl_xor_sync(0x7fffffffu, 1.0f, 1);
}

// --- Values from nowhere

__global__ void uninitialised_shared_kernel(Output output) {
    SHARED_MEMORY(float, tile);
    if (thread() > 0) tile[thread()] = 1.0f;
    __syncthreads();
    output(thread()) = tile[thread()];
}

__global__ void uninitialised_count_kernel(Output output) {
    SHARED_MEMORY(int, count);
    atomicAdd(&count[0], 1);
    __syncthreads();
    output(thread()) = float(count[0]);
}

// Lane 0 has left: what a shuffle takes from it is undefined.
__global__ void shuffle_from_exited_kernel(Output output) {
    if (thread() % 32 == 0) return;
    output(thread()) = __shfl_sync(ALL, 1.0f, 0);
}

// --- The rest

__attribute__((noinline)) float deep(int depth) {
    volatile float here[1024];
    here[depth % 1024] = 1.0f;
    return depth == 0 ? here[0] : deep(depth - 1) + here[depth % 1024];
}

__global__ void stack_overflow_kernel(Output output) { output(thread()) = deep(1000); }

__global__ void division_by_zero_kernel(Output output, int zero) { output(thread()) = float(7 / zero); }

__global__ void any_kernel(Output output) { output(0) = 1.0f; }

// Counts its living instances.
struct Counted {
    static int alive;
    Counted() { ++alive; }
    Counted(const Counted&) = delete;
    ~Counted() { --alive; }
};
int Counted::alive = 0;

__global__ void unwinding_kernel(Output output) {
    const Counted counted;
    __syncthreads();
    output(thread() + 1) = 1.0f;
}

}  // namespace

#define WRONG_CASE(name, num_threads, shared_floats) \
    CASE(name) { LAUNCH(name##_kernel, 2, num_threads, (shared_floats) * 4, 0, output); }

WRONG_CASE(missing_barrier, NUM, NUM)
WRONG_CASE(missing_second_barrier, NUM, NUM)
WRONG_CASE(missing_atomic, NUM, 1)
WRONG_CASE(missing_syncwarp, NUM, NUM)
WRONG_CASE(store_past_view, NUM, 0)
WRONG_CASE(read_before_view, NUM, 0)
WRONG_CASE(vector_past_view, NUM / 4, 0)
WRONG_CASE(read_past_shared, NUM, NUM)
WRONG_CASE(write_past_shared, NUM, NUM)
WRONG_CASE(write_before_shared, NUM, NUM)
WRONG_CASE(misaligned_vector, NUM / 4, 0)
WRONG_CASE(misaligned_shared_vector, NUM / 4, NUM)
WRONG_CASE(divergent_barrier, NUM, 0)
WRONG_CASE(barrier_against_syncwarp, 32, 0)
WRONG_CASE(shuffle_missing_lane, NUM, 0)
WRONG_CASE(shuffle_other_mask, NUM, 0)
WRONG_CASE(shuffle_without_itself, NUM, 0)
WRONG_CASE(uninitialised_shared, NUM, NUM)
WRONG_CASE(uninitialised_count, NUM, 1)
WRONG_CASE(shuffle_from_exited, NUM, 0)
WRONG_CASE(stack_overflow, NUM, 0)
CASE(division_by_zero) { LAUNCH(division_by_zero_kernel, 1, NUM, 0, 0, output, 0); }
CASE(null_pointer) { LAUNCH(null_pointer_kernel, 1, NUM, 0, 0, nullptr); }
CASE(too_many_threads) { LAUNCH(any_kernel, 1, 1025, 0, 0, output); }
CASE(too_much_shared) { LAUNCH(any_kernel, 1, 1, 228 * 1024, 0, output); }
CASE(empty_grid) { LAUNCH(any_kernel, 0, 1, 0, 0, output); }
CASE(unwinding) {
    try {
        LAUNCH(unwinding_kernel, 1, NUM, 0, 0, output);
    } catch (...) {
        output(0) = float(Counted::alive);
        throw;
    }
}

}  // namespace higan_fast
