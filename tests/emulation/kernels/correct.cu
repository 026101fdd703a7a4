// Kernels that are right: in every order they give the same result. Each input is the index of its element.
#include "harness.h"

namespace higan_fast {

namespace {

constexpr unsigned ALL = 0xffffffffu;

__device__ int thread_of_block() { return int(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)); }

// Sums through shuffles, then through shared memory; all warps but the first leave before the second half.
__global__ void __launch_bounds__(NUM) block_sum_kernel(Output output) {
    SHARED_MEMORY(float, sums);
    const int thread = int(threadIdx.x), num_warps = int(blockDim.x) / 32;
    float x = float(thread);
    for (int distance = 16; distance > 0; distance /= 2) x += __shfl_xor_sync(ALL, x, distance);
    if (thread % 32 == 0) sums[thread / 32] = x;
    __syncthreads();
    if (thread >= 32) return;
    x = thread < num_warps ? sums[thread] : 0.0f;
    for (int distance = 16; distance > 0; distance /= 2) x += __shfl_down_sync(ALL, x, distance);
    if (thread == 0) output(int(blockIdx.x)) = x;
}

// Threads leave one after another while the rest goes on meeting at barriers of warp and block.
__global__ void early_exit_kernel(Output output) {
    SHARED_MEMORY(int, alive);
    const int thread = int(threadIdx.x);
    int rounds = 0;
    if (thread == 0) alive[0] = 0;
    __syncthreads();
    for (;; ++rounds) {
        if (thread < rounds * 40) break;
        atomicAdd(&alive[0], 1);
        __syncwarp();
        __syncthreads();
    }
    output(thread) = float(thread == int(blockDim.x) - 1 ? alive[0] : rounds);
}

// Moves the threads with a multiple of three to the front, warp by warp.
__global__ void ballot_kernel(Output output) {
    const int thread = int(threadIdx.x), lane = thread % 32;
    const bool chosen = thread % 3 == 0;
    const unsigned votes = __ballot_sync(ALL, chosen);
    const int before = __popc(votes & ((1u << lane) - 1u));
    if (chosen) output(thread - lane + before) = float(thread);
    if (__any_sync(ALL, thread == 40) && lane == 31) output(thread) = -1.0f;
    if (__all_sync(ALL, thread >= 224) && lane == 31) output(thread) = -2.0f;
}

__global__ void histogram_kernel(Output output) {
    SHARED_MEMORY(unsigned, counts);
    const int thread = int(threadIdx.x);
    if (thread < 16) counts[thread] = 0;
    __syncthreads();
    atomicAdd(&counts[thread * thread % 16], 1u);
    __syncthreads();
    if (thread < 16) atomicAdd(&output(thread), float(counts[thread]));
}

// A 16 x 16 matrix in tiles of 8 x 8, block (8, 4): each thread moves two elements.
__global__ void transpose_kernel(View<float, 2> output) {
    SHARED_MEMORY(float, tile);
    const int column = int(threadIdx.x), left = int(blockIdx.x) * 8, top = int(blockIdx.y) * 8;
    for (int row = int(threadIdx.y); row < 8; row += int(blockDim.y)) {
        tile[row * 9 + column] = float((top + row) * 16 + left + column);
    }
    __syncthreads();
    for (int row = int(threadIdx.y); row < 8; row += int(blockDim.y)) {
        output(left + row, top + column) = tile[column * 9 + row];
    }
}

// Prefix sums by two half-warps, each on its own mask and so on its own way.
__global__ void half_warps_kernel(Output output) {
    const int thread = int(threadIdx.x), lane = thread % 32;
    float sum = float(thread);
    if (lane < 16) {
        for (int distance = 1; distance < 16; distance *= 2) {
            const float below = __shfl_up_sync(0x0000ffffu, sum, unsigned(distance), 16);
            if (lane >= distance) sum += below;
        }
    } else {
        const float first = __shfl_sync(0xffff0000u, sum, 0, 16);
        sum -= first;
    }
    output(thread) = sum;
}

// Ping-pong between two buffers: one barrier for each of the steps.
__global__ void rotate_kernel(Output output) {
    SHARED_MEMORY(half_t, buffers);
    const int thread = int(threadIdx.x), num = int(blockDim.x);
    half_t x = narrow<half_t>(float(thread));
    for (int step = 0; step < 10; ++step) {
        half_t* const buffer = buffers + step % 2 * num;
        buffer[thread] = x;
        __syncthreads();
        x = buffer[(thread + 1) % num];
    }
    output(thread) = widen(x);
}

// Neighbours in a warp exchange through shared memory, with vectors of four to read and write global memory.
__global__ void reverse_fours_kernel(Output output) {
    SHARED_MEMORY(float, tile);
    const int thread = thread_of_block(), lane = thread % 32;
    auto& own = *reinterpret_cast<Vec<float, 4>*>(tile + 4 * thread);
    for (int i = 0; i < 4; ++i) own[i] = float(4 * thread + i);
    __syncwarp();
    const auto other = *reinterpret_cast<const Vec<float, 4>*>(tile + 4 * (thread - lane + 31 - lane));
    vec_at<4>(output, 0, 4 * thread) = other;
}

// The blocks of a three-dimensional grid, each of 2 x 2 x 2 threads.
__global__ void indices_kernel(Output output) {
    const int block = int(blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z));
    output(block * 8 + thread_of_block()) = float(blockIdx.x * 100 + blockIdx.y * 10 + blockIdx.z);
}

// What runs when.
__global__ void thread_order_kernel(Output output, int* counter) {
    output(int(blockIdx.x * blockDim.x + threadIdx.x)) = float(atomicAdd(counter, 1));
}

__global__ void numbers_kernel(Output output) {
    const float nan = std::nanf("");
    output(0) = min(2, 3.5f);
    output(1) = max(2, -1);
    output(2) = min(nan, 1.0f);
    output(3) = max(1.0f, nan);
    output(4) = rsqrtf(0.25f);
    output(5) = __shfl_sync(ALL, 1.0f, 9);  // of a lane that does not exist
}

// Arguments are converted as a call would.
template <class T, int FACTOR>
__global__ void converted_kernel(Output output, T x, std::int64_t wide) {
    output(int(threadIdx.x)) = float(x) * FACTOR + float(wide);
}

}  // namespace

CASE(block_sum) { LAUNCH(block_sum_kernel, 8, NUM, 8 * 4, 0, output); }
CASE(early_exit) { LAUNCH(early_exit_kernel, 1, NUM, 4, 0, output); }
CASE(ballot) { LAUNCH(ballot_kernel, 1, NUM, 0, 0, output); }
CASE(histogram) { LAUNCH(histogram_kernel, 3, NUM, 16 * 4, 0, output); }
CASE(half_warps) { LAUNCH(half_warps_kernel, 1, 64, 0, 0, output); }
CASE(rotate) { LAUNCH(rotate_kernel, 1, NUM, 2 * NUM * 2, 0, output); }
CASE(reverse_fours) { LAUNCH(reverse_fours_kernel, 1, dim3(16, 4), NUM * 4, 0, output); }
CASE(indices) { LAUNCH(indices_kernel, dim3(2, 4, 4), dim3(2, 2, 2), 0, 0, output); }
CASE(numbers) { LAUNCH(numbers_kernel, 1, 1, 0, 0, output); }
CASE(converted) { LAUNCH((converted_kernel<float, 2>), 1, NUM, 0, 0, output, 3, 4); }
CASE(transpose) {
    View<float, 2> square;
    square.data = output.data;
    square.sizes[0] = square.sizes[1] = square.strides[0] = 16;
    square.strides[1] = 1;
    LAUNCH(transpose_kernel, dim3(2, 2), dim3(8, 4), 8 * 9 * 4, 0, square);
}
CASE(thread_order) {
    int counter = 0;
    LAUNCH(thread_order_kernel, 4, 64, 0, 0, output, &counter);
}

}  // namespace higan_fast
