// What follows a modulated convolution: the FIR filter after upsampling, and the tail.
#include "conv_epilogue.cuh"

#include "../include/columns.cuh"
#include "../include/dispatch.h"
#include "../include/fold.h"

namespace higan_fast {
namespace {

constexpr int THREADS = 256;
constexpr int MOST_TAPS = 8;

// How threads divide the result without a filter. Vectors run along the channels or along the width. A thread walks
// over several rows of the other one, and loads only once what does not depend on the row.
struct Tiles {
    unsigned vectors, rows;  // tiles of vectors, and of rows
    unsigned repeat;         // number of samples of out per sample of x

    struct Place {
        int source, n, h;  // the sample of x and that of out
        int first, row;    // the vector's first element, the first row
    };

    __device__ Place place(int V, int rows_per_thread, unsigned height) const {
        unsigned tile = blockIdx.x;
        const int first = (tile % vectors * blockDim.x + threadIdx.x) * V;
        tile /= vectors;
        const int row = tile % rows * (blockDim.y * rows_per_thread) + threadIdx.y;
        tile /= rows;
        const unsigned n = tile / height;
        return {int(n / repeat), int(n), int(tile % height), first, row};
    }
};

// Vectors in flight at a time; fewer if the activation's code is long.
template <bool RECTIFIER>
constexpr int ROWS_PER_THREAD = RECTIFIER ? 4 : 1;

template <class T, int V, bool RECTIFIER>
__global__ void __launch_bounds__(THREADS)
    tail_along_channels(View<const T, 4> x, TailView tail, View<T, 4> out, Tiles tiles) {
    constexpr int ROWS = ROWS_PER_THREAD<RECTIFIER>;
    const auto [source, n, h, c, w] = tiles.place(V, ROWS, out.sizes[2]);
    if (c >= out.sizes[1]) return;
    Vec<T, V> values[ROWS] = {};
    float noise[ROWS] = {};
    UNROLL for (int i = 0; i < ROWS; ++i) {
        const int at = w + i * blockDim.y;
        if (at >= out.sizes[3]) continue;
        values[i] = vec_at<V>(x, 1, source, c, h, at);
        if (tail.noise) noise[i] = tail.noise(n, h, at);
    }
    const ChannelTail<V> channels(tail, n, c);
    UNROLL for (int i = 0; i < ROWS; ++i) {
        const int at = w + i * blockDim.y;
        if (at >= out.sizes[3]) return;
        UNROLL for (int v = 0; v < V; ++v) {
            values[i][v] = narrow<T>(channels.template apply<RECTIFIER>(tail, v, widen(values[i][v]), noise[i]));
        }
        vec_at<V>(out, 1, n, c, h, at) = values[i];
    }
}

template <class T, int V, bool RECTIFIER>
__global__ void __launch_bounds__(THREADS)
    tail_along_width(View<const T, 4> x, TailView tail, View<T, 4> out, Tiles tiles) {
    constexpr int ROWS = ROWS_PER_THREAD<RECTIFIER>;
    const auto [source, n, h, w, c] = tiles.place(V, ROWS, out.sizes[2]);
    if (w >= out.sizes[3]) return;
    Vec<T, V> values[ROWS] = {};
    UNROLL for (int i = 0; i < ROWS; ++i) {
        const int at = c + i * blockDim.y;
        if (at < out.sizes[1]) values[i] = vec_at<V>(x, 3, source, at, h, w);
    }
    float noise[V] = {};
    if (tail.noise) load_floats(noise, tail.noise, tail.wide_noise, w, n, h);
    UNROLL for (int i = 0; i < ROWS; ++i) {
        const int at = c + i * blockDim.y;
        if (at >= out.sizes[1]) return;
        const ChannelTail<1> channel(tail, n, at);
        UNROLL for (int v = 0; v < V; ++v) {
            values[i][v] = narrow<T>(channel.template apply<RECTIFIER>(tail, 0, widen(values[i][v]), noise[v]));
        }
        vec_at<V>(out, 3, n, at, h, w) = values[i];
    }
}

// A thread walks down a column of outputs. It filters each row of x across the K relevant columns, and adds the result
// to the K outputs that the row contributes to. The topmost is then complete; the others stay in registers.
template <class T, int V, int K, bool RECTIFIER>
__global__ void __launch_bounds__(Columns::THREADS)
    filter_and_tail(View<const T, 4> x, View<const float, 1> filter, int pad, TailView tail, View<T, 4> out,
                    Columns columns) {
    const Columns::Place at = columns.place(V);
    if (!at.inside) return;
    const int skip = K == 4 ? 0 : K - filter.sizes[0];  // a shorter filter has leading taps that must not be used
    float taps[K];
    UNROLL for (int k = 0; k < K; ++k) taps[k] = k < skip ? 0 : 2 * filter(K - 1 - k);  // 2 on each axis: 4
    const ChannelTail<V> channels(tail, at.n, at.c);

    const int left = at.w - pad - skip, below = K - 1 - skip - pad;  // from an output to the last row it needs
    Vec<T, V> row[K];
    float noise = 0;
    const auto load = [&](int h) {  // the row that completes output h
        const int y = h + below;
        UNROLL for (int k = 0; k < K; ++k) {
            const bool exists = unsigned(y) < unsigned(x.sizes[2]) && unsigned(left + k) < unsigned(x.sizes[3]);
            row[k] = exists && k >= skip ? vec_at<V>(x, 1, at.n, at.c, y, left + k) : Vec<T, V>{};
        }
        if (tail.noise && h >= at.h) noise = tail.noise(at.n, h, at.w);
    };
    const int end = min(at.h + columns.rows, out.sizes[2]);
    float unfinished[K - 1][V] = {};
    int h = at.h - (K - 1 - skip);
    load(h);
    for (; h < end; ++h) {
        float across[V] = {};
        UNROLL for (int k = 0; k < K; ++k) {
            UNROLL for (int v = 0; v < V; ++v) across[v] += taps[k] * widen(row[k][v]);
        }
        const float noise_here = noise;
        if (h + 1 < end) load(h + 1);  // overlaps with the arithmetic
        float finished[V] = {};
        UNROLL for (int k = 0; k < K; ++k) {  // output h + k
            UNROLL for (int v = 0; v < V; ++v) {
                float sum = k < K - 1 ? unfinished[k][v] : 0;
                if (K - 1 - k >= skip) sum += taps[K - 1 - k] * across[v];
                (k == 0 ? finished : unfinished[k - 1])[v] = sum;
            }
        }
        if (h < at.h) continue;
        Vec<T, V> result;
        UNROLL for (int v = 0; v < V; ++v) {
            result[v] = narrow<T>(channels.template apply<RECTIFIER>(tail, v, finished[v], noise_here));
        }
        vec_at<V>(out, 1, at.n, at.c, h, at.w) = result;
    }
}

template <class T, int V, bool RECTIFIER>
void launch_tail(const ConvEpilogue& op, int along, Queue queue) {
    const std::int64_t num = op.out.sizes[0], vectors = op.out.sizes[along] / V;
    const std::int64_t rows = op.out.sizes[along == 1 ? 3 : 1];
    const int across = power_of_two(vectors, THREADS), down = power_of_two(rows, THREADS / across);
    const Tiles tiles{unsigned(ceil_div(vectors, across)),
                      unsigned(ceil_div(rows, down * ROWS_PER_THREAD<RECTIFIER>)),
                      unsigned(num / op.x.sizes[0])};
    const dim3 grid = num_blocks(num * op.out.sizes[2] * tiles.vectors * tiles.rows), block(across, down);
    const auto x = view<const T, 4>(op.x, "x");
    const auto out = view<T, 4>(op.out, "out");
    const TailView tail = tail_view(op.tail, num);
    if (along == 1) {
        LAUNCH((tail_along_channels<T, V, RECTIFIER>), grid, block, 0, queue, x, tail, out, tiles);
    } else {
        LAUNCH((tail_along_width<T, V, RECTIFIER>), grid, block, 0, queue, x, tail, out, tiles);
    }
}

// Number of rows that a thread walks down. It reads K − 1 more, so long walks are better, but the GPU must be filled.
int rows_to_walk(const Tensor& out, int V) {
    constexpr std::int64_t ENOUGH_THREADS = 128 * 1024;
    const std::int64_t values = out.num_elements() / V;
    return values >= 16 * ENOUGH_THREADS ? 16 : values >= 8 * ENOUGH_THREADS ? 8 : 4;
}

template <class T, int V, int K, bool RECTIFIER>
void launch_filter(const ConvEpilogue& op, Queue queue) {
    const bool channels_inside = op.out.sizes[1] > 1 && op.out.strides[1] == 1;
    const Columns shared = columns(op.out, V, channels_inside, rows_to_walk(op.out, V));
    LAUNCH((filter_and_tail<T, V, K, RECTIFIER>), shared.grid, shared.block, 0, queue, view<const T, 4>(op.x, "x"),
           view<const float, 1>(op.filter, "filter"), op.pad, tail_view(op.tail, op.out.sizes[0]),
           view<T, 4>(op.out, "out"), shared);
}

template <class T>
void launch(ConvEpilogue op, Queue queue) {
    constexpr int V = WIDEST<T>;
    const auto can_lie_along = [&](int dim) {
        return can_vectorize(op.x, dim, V, sizeof(T)) && can_vectorize(op.out, dim, V, sizeof(T));
    };
    const bool rectifier = is_rectifier(op.tail.activation);
    if (op.filter.given()) {
        if (op.filter.sizes[0] != 4) return launch_filter<T, 1, MOST_TAPS, false>(op, queue);
        if (!rectifier) return launch_filter<T, 1, 4, false>(op, queue);
        if (!can_lie_along(1)) return launch_filter<T, 1, 4, true>(op, queue);
        return launch_filter<T, V, 4, true>(op, queue);
    }
    Tensor& noise = op.tail.noise;
    for (Tensor* tensor : {&op.x, &op.out, &noise}) drop_idle_strides(*tensor);
    fold({&op.x, &op.out, &noise}, 2, 3);
    const bool wide_channels = can_lie_along(1), wide = wide_channels || can_lie_along(3);
    const bool dense_channels = op.out.sizes[1] > 1 && op.out.strides[1] == 1;
    const int along = wide_channels || (!wide && dense_channels) ? 1 : 3;
    dispatch(rectifier, [&](auto is_rectifier) {
        dispatch(wide, [&](auto is_wide) {
            launch_tail<T, is_wide.value ? V : 1, is_rectifier.value>(op, along, queue);
        });
    });
}

void check(const ConvEpilogue& op) {
    expect::rank(op.x, "x", 4);
    expect::rank(op.out, "out", 4);
    expect::moderate_sizes(op.out, "out");
    const std::int64_t *from = op.x.sizes, *to = op.out.sizes;
    // Several consecutive samples of out can share one sample of x, as in modulate.
    const std::int64_t num = from[0] > 0 && to[0] % from[0] == 0 ? to[0] : from[0];
    if (op.filter.given()) {
        expect::rank(op.filter, "filter", 1);
        if (op.filter.sizes[0] < 1 || op.filter.sizes[0] > MOST_TAPS) {
            expect::refuse(op.filter, "filter", "1 to " + std::to_string(MOST_TAPS) + " taps");
        }
        expect::shape(op.out, "out", {from[0], from[1], to[2], to[3]});
    } else {
        expect::shape(op.out, "out", {num, from[1], from[2], from[3]});
    }
    expect_tail(op.tail, to[0], to[1], to[2], to[3]);
}

}  // namespace

namespace cuda {

void conv_epilogue(const ConvEpilogue& op, Queue queue) {
    check(op);
    if (op.out.num_elements() == 0) return;
    dispatch(op.x.dtype, [&](auto type) { launch<typename decltype(type)::type>(op, queue); });
}

}  // namespace cuda
}  // namespace higan_fast
