// The parts of the implicit GEMM: indexing, copies into shared memory, products, output. Its rows are output pixels and
// its columns output channels. Its depth runs over the taps of 32 input channels, then of the next 32 (of float32: 16).
#pragma once

#include "../include/split_float.cuh"
#include "../include/tensor_core.cuh"
#include "conv_epilogue.cuh"
#include "modulated_conv2d.h"

namespace higan_fast::implicit_gemm {

constexpr int VECTORS = 4;  // copies of 16 bytes in a row of a stage
template <class T>
constexpr int VECTOR = WIDEST<T>;  // numbers in such a copy
template <class T>
constexpr int DEPTH = VECTORS * VECTOR<T>;  // input channels in a stage of the pipeline
template <class T>
constexpr int SLICE = 2 * VECTOR<T>;  // the depth of one product

// The tile that a block computes, its division among the warps, the number of stages in shared memory, and the number
// of blocks for which a multiprocessor must have registers.
template <int ROWS_, int COLUMNS_, int WARP_ROWS_, int WARP_COLUMNS_, int STAGES_, int BLOCKS_>
struct Tile {
    static constexpr int ROWS = ROWS_, COLUMNS = COLUMNS_, STAGES = STAGES_, BLOCKS = BLOCKS_;
    static constexpr int WARP_ROWS = WARP_ROWS_, WARP_COLUMNS = WARP_COLUMNS_;
    static constexpr int WARPS_ACROSS = COLUMNS / WARP_COLUMNS;
    static constexpr int WARPS = ROWS / WARP_ROWS * WARPS_ACROSS;
    static constexpr int THREADS = WARPS * WARP;
};

// Numbers in a stage.
template <class T, class Tile>
constexpr int STAGE = (Tile::ROWS + Tile::COLUMNS) * DEPTH<T>;

// The tiles that a launch chooses from.
template <class T>
struct Tiles {
    using Wide = Tile<128, 128, 64, 64, 3, 2>;
    using Tall = Tile<256, 64, 64, 64, 3, 2>;
    using Small = Tile<64, 64, 32, 32, 4, 4>;
};

// Warps have half as many columns: numbers that are split take twice the registers.
template <>
struct Tiles<float> {
    using Wide = Tile<128, 128, 64, 32, 3, 1>;
    using Tall = Tile<128, 64, 64, 32, 3, 2>;
    using Small = Tile<64, 64, 32, 32, 4, 3>;
};

template <class T>
struct Problem {
    View<const T, 4> x, weight;
    View<const float, 2> styles;
    View<T, 4> out;
    TailView tail;
    int up;
    int repeat;       // number of samples of out per sample of x
    bool one_sample;  // whether all pixels of a tile belong to one sample (and share a style)
    bool vectors;     // out can be written 16 bytes at a time, after a tail with a rectifier

    // In the first phase, which has the most pixels: how many rows are divided into tiles at once, and how often.
    std::int64_t rows() const {
        const std::int64_t height = (out.sizes[2] + up - 1) / up, width = (out.sizes[3] + up - 1) / up;
        return height * width * (one_sample ? 1 : out.sizes[0]);
    }
    std::int64_t units() const { return one_sample ? out.sizes[0] : 1; }
};

// One axis of one phase. Output position q·up + parity, q < size, reads the input at q + shift + t·step with the weight
// at first + t·up, t < taps. For up = 1 this is a convolution with padding k / 2. For up = 2 it is the transposed
// convolution: output 2y + j gets weight j of input y. The parity determines the j, and each j its y.
struct Axis {
    int size, taps, first, shift, step;

    HOST_DEVICE Axis(int input_size, int k, int up, int parity)
        : size(up == 1 ? input_size : (2 * input_size + k - 1 - parity) / 2),
          taps(up == 1 ? k : (k + 1 - parity) / 2),
          first(parity),
          shift(up == 1 ? -(k / 2) : 0),
          step(up == 1 ? 1 : -1) {}
};

struct Pixel {
    int sample, y, x;  // within the phase; sample −1: the row is past the end
};

// Maps the rows of a tile to pixels.
struct Rows {
    int sample, first, num, height, width;

    __device__ Pixel pixel(int row) const {
        row += first;
        if (row >= num) return {-1, 0, 0};
        const int line = row / width;
        return {sample + line / height, line % height, row % width};
    }
};

// What a block computes. It is kept in shared memory during the main loop, which needs every register.
struct Place {
    Rows rows;
    int first_column, parity_y, parity_x;
};

// The offset of a tile's row in x, in vectors from the tile's first sample (so that 32 bits reach 2^34 numbers), and a
// bit for each tap that reads inside x.
struct alignas(8) Source {
    int from;
    unsigned inside;
};

template <class T>
__device__ int vectors(int numbers) {
    return int(unsigned(numbers) / VECTOR<T>);
}

// The place of vector `vector` in a stage's row. Reading one vector of eight rows touches every bank once, and so does
// writing two rows.
template <class T>
__device__ int swizzled(int row, int vector) {
    return row * DEPTH<T> + (vector ^ (row / 2 % 4)) * VECTOR<T>;
}

// Fills the stages: each thread copies one vector of every STRIDE-th row, first from x, then from weight.
template <class T, class Tile>
class Loader {
public:
    // All threads of the block construct theirs together; a __syncthreads() must follow before the first load.
    __device__ Loader(const Problem<T>& problem, const Place& place, const Axis& vertical, const Axis& horizontal,
                      Source* sources)
        : vertical_(vertical),
          horizontal_(horizontal),
          x_(problem.x),
          weight_(problem.weight),
          sources_(sources),
          up_(problem.up) {
        const int first_sample = place.rows.pixel(0).sample / problem.repeat;
        skip(x_, first_sample);
        for (int i = threadIdx.x; i < Tile::ROWS; i += Tile::THREADS) {
            const Pixel pixel = place.rows.pixel(i);
            sources[i].from = (pixel.sample / problem.repeat - first_sample) * vectors<T>(x_.strides[0]) +
                              pixel.y * vectors<T>(x_.strides[2]) + pixel.x * vectors<T>(x_.strides[3]);
            sources[i].inside = taps_inside(pixel);
        }
        row_ = opaque(threadIdx.x / VECTORS);
        vector_ = threadIdx.x % VECTORS;
        to_ = opaque(swizzled<T>(row_, vector_));
        if (vertical.taps * horizontal.taps == 0) vector_ = vectors<T>(x_.sizes[1]);
        skip(weight_, place.first_column);
    }

    // Copies the next DEPTH channels of the next tap; writes zeros past the end.
    __device__ void load(AsyncCopies& copies, T* stage) {
        const bool has_channel = vector_ < vectors<T>(x_.sizes[1]);
        const unsigned tap = 1u << (tap_y_ * horizontal_.taps + tap_x_);
        const int x_tap = (vertical_.shift + tap_y_ * vertical_.step) * vectors<T>(x_.strides[2]) +
                          (horizontal_.shift + tap_x_ * horizontal_.step) * vectors<T>(x_.strides[3]) + vector_;
        constexpr int NUM = Tile::ROWS / STRIDE;
        Source sources[NUM];  // all are read before the first copy: the compiler cannot move a load across a copy
        UNROLL for (int i = 0; i < NUM; ++i) sources[i] = sources_[row_ + i * STRIDE];
        T* const rows = stage + to_;
        UNROLL for (int i = 0; i < NUM; ++i) {
            copies.copy(rows + i * STRIDE * DEPTH<T>, x_, sources[i].from + x_tap,
                        (sources[i].inside & tap) != 0 && has_channel);
        }
        const int weight_tap = (vertical_.first + tap_y_ * up_) * vectors<T>(weight_.strides[1]) +
                               (horizontal_.first + tap_x_ * up_) * vectors<T>(weight_.strides[2]) + vector_;
        T* const columns = rows + Tile::ROWS * DEPTH<T>;
        UNROLL for (int i = 0; i < Tile::COLUMNS / STRIDE; ++i) {
            const int column = row_ + i * STRIDE;
            copies.copy(columns + i * STRIDE * DEPTH<T>, weight_, column * vectors<T>(weight_.strides[0]) + weight_tap,
                        column < weight_.sizes[0] && has_channel);
        }
        next_tap();
    }

private:
    static constexpr int STRIDE = Tile::THREADS / VECTORS;
    static_assert(STRIDE % 8 == 0, "one swizzle for all rows of a thread");

    // Moves the start of the view to index `num` of its first dimension.
    __device__ static void skip(View<const T, 4>& view, int num) {
        view.data = opaque(view.data + view.offset(num, 0, 0, 0));
        view.sizes[0] -= num;
    }

    __device__ unsigned taps_inside(const Pixel& pixel) const {
        if (pixel.sample < 0) return 0;
        unsigned bits = 0, bit = 1;
        for (int i = 0; i < vertical_.taps; ++i) {
            const int y = pixel.y + vertical_.shift + i * vertical_.step;
            for (int j = 0; j < horizontal_.taps; ++j, bit *= 2) {
                const int x = pixel.x + horizontal_.shift + j * horizontal_.step;
                if (y >= 0 && y < x_.sizes[2] && x >= 0 && x < x_.sizes[3]) bits += bit;
            }
        }
        return bits;
    }

    __device__ void next_tap() {
        const bool line_ends = ++tap_x_ >= horizontal_.taps;
        tap_x_ = line_ends ? 0 : tap_x_;
        tap_y_ += line_ends;
        const bool taps_end = tap_y_ >= vertical_.taps;
        tap_y_ = taps_end ? 0 : tap_y_;
        vector_ += taps_end ? VECTORS : 0;
    }

    const Axis &vertical_, &horizontal_;
    View<const T, 4> x_, weight_;  // starting at the first sample and column of the tile
    const Source* sources_;
    int up_, row_, to_;
    int vector_;  // of the input channels
    int tap_y_ = 0, tap_x_ = 0;
};

// The operands of one product of a warp: a slice of its rows and columns.
template <class T, class Tile>
struct Fragments {
    static constexpr int DOWN = Tile::WARP_ROWS / 16, ACROSS = Tile::WARP_COLUMNS / 8;

    Pair x[DOWN][4], weight[ACROSS][2];

    // Computes where a lane reads its row of the first matrix of x and of weight, in the first slice of a stage.
    struct Addresses {
        int x, weight;

        __device__ Addresses(int warp_row, int warp_column) {
            const int lane = threadIdx.x % WARP;
            x = opaque(swizzled<T>(warp_row + lane % 16, lane / 16));
            weight = opaque(Tile::ROWS * DEPTH<T> + swizzled<T>(warp_column + lane / 16 * 8 + lane % 8, lane / 8 % 2));
        }
    };

    __device__ void load(const T* stage, int slice, const Addresses& addresses) {
        const int flip = slice * SLICE<T>;  // equivalent to swizzling two vectors further
        UNROLL for (int i = 0; i < DOWN; ++i) load_matrices(x[i], stage + (addresses.x ^ flip) + i * 16 * DEPTH<T>);
        UNROLL for (int i = 0; i < ACROSS; i += 2) {
            Pair both[4];
            load_matrices(both, stage + (addresses.weight ^ flip) + i * 8 * DEPTH<T>);
            UNROLL for (int j = 0; j < 4; ++j) weight[i + j / 2][j % 2] = both[j];
        }
    }

    // Multiplies x by the styles of the slice's channels.
    __device__ void modulate(const T* styles) {
        const int lane = threadIdx.x % WARP;
        UNROLL for (int j = 0; j < 4; ++j) {
            const Pair style = load_pair(styles + (lane % 4 + j / 2 * 4) * (sizeof(Pair) / sizeof(T)));
            UNROLL for (int i = 0; i < DOWN; ++i) x[i][j] = multiply_pairs<T>(x[i][j], style);
        }
    }

    __device__ void accumulate(float (&sums)[DOWN][ACROSS][4]) const {
        if constexpr (std::is_same_v<T, float>) {
            multiply_split(sums, x, weight);
        } else {
            UNROLL for (int i = 0; i < DOWN; ++i) {
                UNROLL for (int j = 0; j < ACROSS; ++j) multiply_matrices<T>(sums[i][j], x[i], weight[j]);
            }
        }
    }
};

// Where a row of a tile is written, and what is added to all its channels.
struct alignas(16) Target {
    int sample, y, x;  // sample −1: not written
    float noise;
};

// Writes 16 rows of a warp, whose sums are in shared memory: each lane takes VECTOR neighbouring channels of some rows.
template <class T, class Tile>
struct Writer {
    static constexpr int NUM = VECTOR<T>;
    static constexpr int LANES = Tile::WARP_COLUMNS / NUM;  // per row
    static constexpr int WIDTH = Tile::WARP_COLUMNS + 8;    // pitch of a row of sums: no bank conflicts

    const Problem<T>& problem;
    int channel;

    // The fast path: whole vectors and a cheap activation.
    __device__ void write_vectors(const Target* targets, const float* sums) const {
        const int lane = threadIdx.x % WARP;
        int sample = targets[lane / LANES].sample;
        if (sample < 0 || channel >= problem.out.sizes[1]) return;
        ChannelTail<NUM> factors(problem.tail, sample, channel);
        NO_UNROLL for (int row = lane / LANES; row < 16; row += WARP / LANES) {
            const Target target = targets[row];
            if (target.sample < 0) return;
            if (target.sample != sample) {
                sample = target.sample;
                factors = ChannelTail<NUM>(problem.tail, sample, channel);
            }
            Vec<T, NUM> results;
            UNROLL for (int i = 0; i < NUM; i += 4) {
                const auto values = *reinterpret_cast<const Vec<float, 4>*>(sums + row * WIDTH + i);
                UNROLL for (int j = 0; j < 4; ++j) {
                    results[i + j] = narrow<T>(factors.template apply<true>(problem.tail, i + j, values[j],
                                                                            target.noise));
                }
            }
            vec_at<NUM>(problem.out, 1, sample, channel, target.y, target.x) = results;
        }
    }

    // The general path.
    __device__ void write_numbers(const Target* targets, const float* sums) const {
        const int lane = threadIdx.x % WARP;
        NO_UNROLL for (int i = 0; i < 16 * LANES / WARP * NUM; ++i) {
            const int row = lane / LANES + i / NUM * (WARP / LANES), c = channel + i % NUM;
            const Target target = targets[row];
            if (target.sample < 0 || c >= problem.out.sizes[1]) continue;
            const ChannelTail<1> factors(problem.tail, target.sample, c);
            problem.out(target.sample, c, target.y, target.x) = narrow<T>(
                factors.template apply<false>(problem.tail, 0, sums[row * WIDTH + i % NUM], target.noise));
        }
    }
};

// Applies the tail to a block's sums and writes them, 16 rows of each warp at a time.
template <class T, class Tile>
__device__ void write(const Problem<T>& problem, const Place& place,
                      const float (&sums)[Tile::WARP_ROWS / 16][Tile::WARP_COLUMNS / 8][4], void* shared) {
    using Out = Writer<T, Tile>;
    constexpr int DOWN = Tile::WARP_ROWS / 16, ACROSS = Tile::WARP_COLUMNS / 8;
    static_assert(Tile::ROWS * sizeof(Target) + Tile::WARPS * 16 * Out::WIDTH * sizeof(float) <=
                  Tile::STAGES * STAGE<T, Tile> * sizeof(T));
    Target* const targets = static_cast<Target*>(shared);
    for (int i = threadIdx.x; i < Tile::ROWS; i += Tile::THREADS) {
        const Pixel pixel = place.rows.pixel(i);
        const int y = pixel.y * problem.up + place.parity_y, x = pixel.x * problem.up + place.parity_x;
        const bool noisy = pixel.sample >= 0 && problem.tail.noise;
        targets[i] = {pixel.sample, y, x, noisy ? problem.tail.noise(pixel.sample, y, x) : 0};
    }
    __syncthreads();

    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const Target* const warp_targets = targets + warp / Tile::WARPS_ACROSS * Tile::WARP_ROWS;
    float* const staged = reinterpret_cast<float*>(targets + Tile::ROWS) + warp * 16 * Out::WIDTH;
    const int column = lane % Out::LANES * Out::NUM;
    const Out writer{problem, place.first_column + warp % Tile::WARPS_ACROSS * Tile::WARP_COLUMNS + column};
    NO_UNROLL for (int part = 0; part < DOWN; ++part) {
        UNROLL for (int i = 0; i < DOWN; ++i) {
            if (i != part) continue;
            UNROLL for (int j = 0; j < ACROSS * 2; ++j) {  // in the places that multiply_matrices names
                float* const to = staged + (lane / 4 + j % 2 * 8) * Out::WIDTH + j / 2 * 8 + lane % 4 * 2;
                const float* const two = sums[i][j / 2] + j % 2 * 2;
                *reinterpret_cast<Vec<float, 2>*>(to) = {{two[0], two[1]}};
            }
        }
        __syncwarp();
        if (problem.vectors) {
            writer.write_vectors(warp_targets + part * 16, staged + column);
        } else {
            writer.write_numbers(warp_targets + part * 16, staged + column);
        }
        __syncwarp();
    }
}

}  // namespace higan_fast::implicit_gemm
