// Which part of a tensor a thread normalises, what it reads there, and how moments are accumulated.
#pragma once

#include "../include/pixel_walk.cuh"
#include "../include/vec.cuh"
#include "adain.h"
#include "bias_act.cuh"

namespace higan_fast::instance_norm {

// Adain with its types known.
template <class T>
struct Problem {
    View<const T, 4> x;
    View<const float, 4> noise;
    View<const float, 1> strength, bias;
    View<const float, 2> scale, shift;
    View<T, 4> out;
    Activation activation;
    float alpha, gain, epsilon;
    View<float, 4> pieces;  // [N, C, P, 2]: mean and sum of squares of each piece of a plane
    int piece;              // number of vectors in a piece
};

// The channels and sample of a thread, and its group: the `group` threads that work on the same channels. The thread
// has number `rank` in its group; the group's threads are `stride` apart in the block. Vectors of a channels-last
// tensor run along the channels (ALONG = 1), and threads along y divide the pixels. Otherwise vectors run along the
// rows (ALONG = 3), and threads along x divide the pixels.
template <int ALONG, int V>
struct Place {
    int n, c, rank, group, stride;
    bool inside;

    __device__ Place(int num, int channels) {
        if constexpr (ALONG == 1) {
            const int slab = blockDim.x * V, slabs = (channels + slab - 1) / slab;
            n = blockIdx.x / slabs;
            c = blockIdx.x % slabs * slab + threadIdx.x * V;
            inside = c < channels;
            rank = threadIdx.y, group = blockDim.y, stride = blockDim.x;
        } else {
            const int plane = blockIdx.x * blockDim.y + threadIdx.y;
            n = plane / channels;
            c = plane % channels;
            inside = n < num;
            rank = threadIdx.x, group = blockDim.x, stride = 1;
        }
    }
};

// What is applied to x before its moments are taken, for K neighbouring channels.
template <class T, int ALONG, int V>
struct NoiseBiasAct {
    static constexpr int K = ALONG == 1 ? V : 1;
    const Problem<T>& problem;
    const int n, c;
    float strength[K] = {}, bias[K] = {};

    __device__ NoiseBiasAct(const Problem<T>& problem, int n, int c) : problem(problem), n(n), c(c) {
        if (problem.noise) load_row(strength, problem.strength, c);
        if (problem.bias) load_row(bias, problem.bias, c);
    }

    // Loads x and noise of one vector.
    struct Loaded {
        Vec<T, V> x;
        float noise[V / K] = {};
    };
    __device__ Loaded load(int h, int w) const {
        Loaded loaded;
        if constexpr (ALONG == 1) {
            loaded.x = vec_at<V>(problem.x, 1, n, c, h, w);
        } else {
            loaded.x = vec_at<V>(problem.x, 3, n, c, h, w * V);
        }
        if (problem.noise) load_row(loaded.noise, problem.noise, w * (V / K), n, 0, h);
        return loaded;
    }

    __device__ void activations(float (&values)[V], const Loaded& loaded) const {
        for (int v = 0; v < V; ++v) {
            values[v] = widen(loaded.x[v]) + (loaded.noise[v / K] * strength[v % K] + bias[v % K]);
        }
        activate(problem.activation, values, problem.alpha, problem.gain);
    }
};

// Running mean and variance of K channels with equal counts. Welford's update and Chan's merge stay accurate when the
// mean is large compared with the deviation.
template <int K>
struct Moments {
    float count = 0, mean[K] = {}, squares[K] = {};  // squares: Σ (value − mean)²

    // Adds one value to each channel.
    HOST_DEVICE void add(const float (&values)[K]) {
        count += 1;
        const float share = 1 / count;
        for (int k = 0; k < K; ++k) {
            const float distance = values[k] - mean[k];
            mean[k] += distance * share;
            squares[k] += distance * (values[k] - mean[k]);
        }
    }

    HOST_DEVICE void add(const Moments& other) {
        const float total = count + other.count;
        if (total == 0) return;
        const float share = other.count / total;
        for (int k = 0; k < K; ++k) {
            const float distance = other.mean[k] - mean[k];
            mean[k] += distance * share;
            squares[k] += other.squares[k] + distance * distance * (count * share);
        }
        count = total;
    }
};

// V values of the same channel.
template <int V>
HOST_DEVICE Moments<1> moments_of(const float (&values)[V]) {
    Moments<1> moments;
    float sum = 0;
    for (int v = 1; v < V; ++v) sum += values[v] - values[0];  // exact if all values are equal
    moments.count = V;
    moments.mean[0] = values[0] + sum / V;
    for (int v = 0; v < V; ++v) {
        const float distance = values[v] - moments.mean[0];
        moments.squares[0] += distance * distance;
    }
    return moments;
}

// Returns the moments of the whole group to each of its threads, by a tree reduction in shared memory. The whole
// block must call it.
template <int K, class Place>
__device__ void join(Moments<K>& moments, const Place& place, float* shared) {
    const int threads = blockDim.x * blockDim.y, thread = threadIdx.y * blockDim.x + threadIdx.x;
    const auto write = [&] {
        shared[thread] = moments.count;
        for (int k = 0; k < K; ++k) {
            shared[(1 + k) * threads + thread] = moments.mean[k];
            shared[(1 + K + k) * threads + thread] = moments.squares[k];
        }
    };
    const auto read = [&](int rank) {
        const int from = thread + (rank - place.rank) * place.stride;
        Moments<K> other;
        other.count = shared[from];
        for (int k = 0; k < K; ++k) {
            other.mean[k] = shared[(1 + k) * threads + from];
            other.squares[k] = shared[(1 + K + k) * threads + from];
        }
        return other;
    };
    for (int half = place.group / 2; half > 0; half /= 2) {
        if (place.rank >= half && place.rank < 2 * half) write();
        __syncthreads();
        if (place.rank < half) moments.add(read(place.rank + half));
    }
    if (place.rank == 0) write();
    __syncthreads();
    moments = read(0);
}

}  // namespace higan_fast::instance_norm
