// The implicit GEMM: a pipeline of copies and products, then the tail on the sums in registers.
//
// The weight is [O, k, k, I] in memory: the convolution's [O, I, k, k] in channels-last order, neither rotated nor
// transposed, for up = 1 and up = 2:
//     up = 1: out[m, o, y, x] = Σ_{a, b, i} weight[o, a, b, i] · v[m, i, y + a − k / 2, x + b − k / 2]
//     up = 2: out[m, o, 2y + a, 2x + b] += weight[o, a, b, i] · v[m, i, y, x] over all y, x, a, b, i
// with v[m, i] = x[m / P, i] · styles[m, i].
// Styles and x · styles are rounded to the dtype of x, as PyTorch rounds them; sums are float. In float32 a product is
// that of three products of TF32 numbers (../include/split_float.cuh).
#include "modulated_conv2d.cuh"

#include <algorithm>

#include "../include/dispatch.h"

namespace higan_fast {

namespace implicit_gemm {

// In shared memory until the last step has ended.
template <class T>
HOST_DEVICE int num_styles(int num_channels) {
    return (num_channels + DEPTH<T> - 1) / DEPTH<T> * DEPTH<T>;
}

template <class T, class Tile, bool MODULATED>
__global__ void __launch_bounds__(Tile::THREADS, Tile::BLOCKS) modulated_conv2d_kernel(const Problem<T> problem) {
    SHARED_MEMORY(T, stages);
    Source* const sources = reinterpret_cast<Source*>(stages + Tile::STAGES * STAGE<T, Tile>);
    Place* const place = reinterpret_cast<Place*>(sources + Tile::ROWS);
    T* const styles = reinterpret_cast<T*>(place + 1);

    const int k = problem.weight.sizes[1], channels_in = problem.x.sizes[1];
    const int parity_y = blockIdx.y / 2, parity_x = blockIdx.y % 2;
    const Axis vertical(problem.x.sizes[2], k, problem.up, parity_y);
    const Axis horizontal(problem.x.sizes[3], k, problem.up, parity_x);

    // Blocks that share rows of x are consecutive.
    const int num_tiles_across = (problem.weight.sizes[0] - 1) / Tile::COLUMNS + 1;
    const int first_column = blockIdx.x % num_tiles_across * Tile::COLUMNS;
    const int tile = blockIdx.x / num_tiles_across;
    const int num_samples = problem.out.sizes[0];
    const int num_rows = vertical.size * horizontal.size * (problem.one_sample ? 1 : num_samples);
    if (num_rows == 0) return;
    const int num_tiles = (num_rows - 1) / Tile::ROWS + 1;
    const int sample = tile / num_tiles;  // the first phase has the most tiles; in others some blocks are idle
    if (sample >= (problem.one_sample ? num_samples : 1)) return;
    const Rows rows{sample, tile % num_tiles * Tile::ROWS, num_rows, vertical.size, horizontal.size};
    if (threadIdx.x == 0) *place = {rows, first_column, parity_y, parity_x};

    Loader<T, Tile> loader(problem, {rows, first_column, parity_y, parity_x}, vertical, horizontal, sources);
    __syncthreads();
    AsyncCopies copies;
    const int num_taps = vertical.taps * horizontal.taps;
    const int num_steps = num_taps * ((channels_in - 1) / DEPTH<T> + 1);
    UNROLL for (int i = 0; i < Tile::STAGES - 1; ++i) {
        loader.load(copies, stages + i * STAGE<T, Tile>);
        copies.commit();
    }
    if (MODULATED) {
        for (int i = threadIdx.x; i < num_styles<T>(channels_in); i += Tile::THREADS) {
            styles[i] = narrow<T>(i < channels_in ? problem.styles(sample, i) : 0.0f);
        }
    }
    copies.wait<Tile::STAGES - 2>();
    __syncthreads();

    const int warp = threadIdx.x / WARP;
    const typename Fragments<T, Tile>::Addresses addresses(warp / Tile::WARPS_ACROSS * Tile::WARP_ROWS,
                                                           warp % Tile::WARPS_ACROSS * Tile::WARP_COLUMNS);
    float sums[Tile::WARP_ROWS / 16][Tile::WARP_COLUMNS / 8][4] = {};
    Fragments<T, Tile> now, next;  // the first slice of a stage, and the second
    int stage = 0, tap = 0;
    const auto load = [&](Fragments<T, Tile>& fragments, int slice) {
        fragments.load(stages + stage * STAGE<T, Tile>, slice, addresses);
    };
    const T* style = styles;
    const auto accumulate = [&](Fragments<T, Tile>& fragments, int slice) {
        if (MODULATED) fragments.modulate(style + slice * SLICE<T>);
        fragments.accumulate(sums);
    };
    load(now, 0);
    NO_UNROLL for (int step = 0; step < num_steps; ++step) {
        load(next, 1);
        const int freed = stage == 0 ? Tile::STAGES - 1 : stage - 1;  // all warps left it in the previous step
        loader.load(copies, stages + freed * STAGE<T, Tile>);
        copies.commit();
        accumulate(now, 0);

        copies.wait<Tile::STAGES - 2>();
        __syncthreads();
        stage = stage == Tile::STAGES - 1 ? 0 : stage + 1;
        load(now, 0);  // after the last step it loads unused zeros
        accumulate(next, 1);
        if (++tap == num_taps) {
            tap = 0;
            style += DEPTH<T>;
        }
    }
    copies.wait<0>();
    __syncthreads();
    write<T, Tile>(problem, *place, sums, stages);
}

template <class Tile, class T>
void launch(const Problem<T>& problem, Queue queue) {
    const int styles = problem.styles ? num_styles<T>(problem.x.sizes[1]) : 0;
    const int shared_bytes = (Tile::STAGES * STAGE<T, Tile> + styles) * int(sizeof(T)) +
                             Tile::ROWS * int(sizeof(Source)) + int(sizeof(Place));
    const std::int64_t num_tiles = problem.units() * ceil_div(problem.rows(), Tile::ROWS) *
                                   ceil_div(problem.weight.sizes[0], Tile::COLUMNS);
    const dim3 grid(num_blocks(num_tiles), problem.up * problem.up);
    dispatch(bool(problem.styles), [&](auto modulated) {
        LAUNCH((modulated_conv2d_kernel<T, Tile, modulated.value>), grid, Tile::THREADS, shared_bytes, queue,
               problem);
    });
}

// Whether tiles of this size have few empty rows and are numerous enough for a GPU with 100 multiprocessors.
template <class Tile, class T>
bool suits(const Problem<T>& problem) {
    const std::int64_t num_tiles = problem.units() * ceil_div(problem.rows(), Tile::ROWS) *
                                   ceil_div(problem.weight.sizes[0], Tile::COLUMNS) * problem.up * problem.up;
    return problem.rows() >= Tile::ROWS && num_tiles >= 128;
}

// Chooses the tile from the shapes alone.
template <class T>
void launch(const Problem<T>& problem, Queue queue) {
    const bool wide = ceil_div(problem.weight.sizes[0], 64) % 2 == 0;  // otherwise the last tile is half empty
    using Own = Tiles<T>;
    if (wide && suits<typename Own::Wide>(problem)) return launch<typename Own::Wide>(problem, queue);
    if (!wide && suits<typename Own::Tall>(problem)) return launch<typename Own::Tall>(problem, queue);
    launch<typename Own::Small>(problem, queue);
}

template <class T>
constexpr int MOST_CHANNELS = 2048 * VECTOR<T>;  // their styles must fit into shared memory
constexpr std::int64_t MOST_PIXELS = 0x7fffffff - 1024;  // must fit 32 bits, with a tile to spare

// Throws if the memory is not `fit`, or its address is not a multiple of 16 bytes.
inline void expect_memory(const Tensor& tensor, const char* name, bool fit, const char* expected) {
    const bool aligned = reinterpret_cast<std::uintptr_t>(tensor.data) % 16 == 0;
    if (fit && aligned) return;
    throw std::invalid_argument(std::string(name) + ": got strides " + expect::text(tensor.strides, tensor.rank) +
                                (aligned ? "" : " at an address that is not 16-byte aligned") + ", expected " +
                                expected + ", 16-byte aligned");
}

template <class T>
void expect_channels_last(const Tensor& x) {
    bool fit = x.strides[1] == 1;
    for (int i : {0, 2, 3}) fit = fit && (x.sizes[i] == 1 || x.strides[i] % VECTOR<T> == 0);
    const std::string multiples = std::to_string(VECTOR<T>);
    expect_memory(x, "x", fit, ("channels-last memory, its other strides multiples of " + multiples).c_str());
}

inline void expect_contiguous(const Tensor& weight) {
    bool fit = true;
    std::int64_t stride = 1;
    for (int i = 3; i >= 0; stride *= weight.sizes[i--]) {
        fit = fit && (weight.sizes[i] == 1 || weight.strides[i] == stride);
    }
    expect_memory(weight, "weight", fit, "contiguous memory");
}

// Rows of a tile are addressed in x by 32-bit offsets from the tile's first sample.
template <class T>
void expect_near(const Tensor& x, std::int64_t fewest_pixels) {
    constexpr int MOST_ROWS = std::max(Tiles<T>::Wide::ROWS, Tiles<T>::Tall::ROWS);
    const std::int64_t num_samples = std::min(x.sizes[0], (MOST_ROWS - 1) / fewest_pixels + 2);
    const std::int64_t last = (num_samples - 1) * x.strides[0] + (x.sizes[2] - 1) * x.strides[2] +
                              (x.sizes[3] - 1) * x.strides[3] + x.sizes[1];
    if (last / VECTOR<T> > 0x7fffffff) expect::refuse(x, "x", "strides under 2^33 elements within a few samples");
}

template <class T>
void expect_valid(const ModulatedConv2d& op) {
    expect::rank(op.x, "x", 4);
    expect::rank(op.weight, "weight", 4);
    expect::rank(op.out, "out", 4);
    if (op.up != 1 && op.up != 2) {
        throw std::invalid_argument("up: got " + std::to_string(op.up) + ", expected 1 or 2");
    }
    const std::int64_t n = op.x.sizes[0], i = op.x.sizes[1], k = op.weight.sizes[1], m = op.out.sizes[0];
    if (k != 1 && k != 3) expect::refuse(op.weight, "weight", "shape [O, k, k, I] with k = 1 or 3");
    if (i % VECTOR<T> != 0 || i > MOST_CHANNELS<T>) {
        expect::refuse(op.x, "x", "a number of channels that is a multiple of " + std::to_string(VECTOR<T>) +
                                      ", at most " + std::to_string(MOST_CHANNELS<T>));
    }
    expect::shape(op.weight, "weight", {op.weight.sizes[0], k, k, i});
    if (n == 0 ? m != 0 : m % n != 0) {
        expect::refuse(op.out, "out", "a multiple of x's " + std::to_string(n) + " samples");
    }
    expect::shape_if_given(op.styles, "styles", {m, i});
    const auto grown = [&](std::int64_t size) { return op.up == 1 ? size : 2 * size + k - 2; };
    expect::shape(op.out, "out", {m, op.weight.sizes[0], grown(op.x.sizes[2]), grown(op.x.sizes[3])});
    if (op.out.sizes[2] * op.out.sizes[3] > MOST_PIXELS) expect::refuse(op.out, "out", "under 2^31 pixels each");
    expect_tail(op.tail, m, op.weight.sizes[0], op.out.sizes[2], op.out.sizes[3]);
    const Tail& tail = op.tail;
    const bool has_tail = tail.demod.given() || tail.noise.given() || tail.bias.given() ||
                          tail.next_styles.given() || tail.activation != Activation::linear || tail.gain != 1 ||
                          tail.clamp >= 0;
    if (op.up == 2 && has_tail) throw std::invalid_argument("tail: got one with up = 2, expected none");
}

template <class T>
void run(const ModulatedConv2d& op, Queue queue) {
    expect_valid<T>(op);
    if (op.out.num_elements() == 0) return;
    if (op.x.sizes[1] == 0) expect::refuse(op.x, "x", "at least " + std::to_string(VECTOR<T>) + " channels");
    expect_channels_last<T>(op.x);
    expect_contiguous(op.weight);
    const std::int64_t m = op.out.sizes[0], height = op.out.sizes[2], width = op.out.sizes[3];
    const bool one_sample = op.styles.given() || m * height * width > MOST_PIXELS;
    const std::int64_t fewest_pixels = std::max<std::int64_t>(1, (height / op.up) * (width / op.up));
    expect_near<T>(op.x, fewest_pixels);
    launch(Problem<T>{view<const T, 4>(op.x, "x"), view<const T, 4>(op.weight, "weight"),
                      view<const float, 2>(op.styles, "styles"), view<T, 4>(op.out, "out"), tail_view(op.tail, m),
                      op.up, int(m / op.x.sizes[0]), one_sample,
                      can_vectorize(op.out, 1, VECTOR<T>, sizeof(T)) && is_rectifier(op.tail.activation)},
           queue);
}

}  // namespace implicit_gemm

namespace cuda {

void modulated_conv2d(const ModulatedConv2d& op, Queue queue) {
    if (op.x.dtype == DType::float16) return implicit_gemm::run<half_t>(op, queue);
    if (op.x.dtype == DType::bfloat16) return implicit_gemm::run<bfloat16_t>(op, queue);
    if (op.x.dtype == DType::float32) return implicit_gemm::run<float>(op, queue);
    throw std::invalid_argument("x: got dtype code " + std::to_string(int(op.x.dtype)) +
                                ", expected float16, bfloat16 or float32");
}

}  // namespace cuda
}  // namespace higan_fast
