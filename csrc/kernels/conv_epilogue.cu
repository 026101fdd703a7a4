// What follows a modulated convolution: the FIR filter after upsampling, and the tail.
#include "conv_epilogue.cuh"

#include "../include/columns.cuh"
#include "../include/dispatch.h"
#include "../include/fold.h"
#include "../include/tensor_core.cuh"

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
        float wide[V];
        widen(wide, values[i]);
        channels.template apply<RECTIFIER>(tail, 0, wide, noise[i]);
        vec_at<V>(out, 1, n, c, h, at) = narrow_all<T>(wide);
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

// Any filter and layout. A thread walks down a column of outputs. It filters each row of x across the K relevant
// columns, and adds the result to the K outputs that the row contributes to. The topmost is then complete; the others
// stay in registers.
template <class T, int K, bool RECTIFIER>
__global__ void __launch_bounds__(Columns::THREADS)
    filter_and_tail(View<const T, 4> x, View<const float, 1> filter, int pad, TailView tail, View<T, 4> out,
                    Columns columns) {
    const Columns::Place at = columns.place(1);
    if (!at.inside) return;
    const int skip = K == 4 ? 0 : K - filter.sizes[0];  // a shorter filter has leading taps that must not be used
    float taps[K];
    UNROLL for (int k = 0; k < K; ++k) taps[k] = k < skip ? 0 : 2 * filter(K - 1 - k);  // 2 on each axis: 4
    const ChannelTail<1> channel(tail, at.n, at.c);

    const int left = at.w - pad - skip, below = K - 1 - skip - pad;  // from an output to the last row it needs
    T row[K];
    float noise = 0;
    const auto load = [&](int h) {  // the row that completes output h
        const int y = h + below;
        UNROLL for (int k = 0; k < K; ++k) {
            const bool exists = unsigned(y) < unsigned(x.sizes[2]) && unsigned(left + k) < unsigned(x.sizes[3]);
            row[k] = exists && k >= skip ? x(at.n, at.c, y, left + k) : narrow<T>(0);
        }
        if (tail.noise && h >= at.h) noise = tail.noise(at.n, h, at.w);
    };
    const int end = min(at.h + columns.rows, out.sizes[2]);
    float unfinished[K - 1] = {};
    int h = at.h - (K - 1 - skip);
    load(h);
    for (; h < end; ++h) {
        float across = 0;
        UNROLL for (int k = 0; k < K; ++k) across += taps[k] * widen(row[k]);
        const float noise_here = noise;
        if (h + 1 < end) load(h + 1);  // overlaps with the arithmetic
        float finished = 0;
        UNROLL for (int k = 0; k < K; ++k) {  // output h + k
            float sum = k < K - 1 ? unfinished[k] : 0;
            if (K - 1 - k >= skip) sum += taps[K - 1 - k] * across;
            (k == 0 ? finished : unfinished[k - 1]) = sum;
        }
        if (h < at.h) continue;
        out(at.n, at.c, h, at.w) = narrow<T>(channel.template apply<RECTIFIER>(tail, 0, finished, noise_here));
    }
}

// How many rows of x a block holds in shared memory while it filters: one is read, the others are on their way. A row
// is [vectors, columns]; as the number of columns is odd, neighbouring vectors are in different banks.
constexpr int RING = 6;

template <class T, int K>
int ring_bytes(dim3 block) {
    return int(RING * block.x * (block.y + K - 1) * sizeof(Vec<T, WIDEST<T>>));
}

// The same for K taps, vectors of channels and a rectifier. A block's threads take neighbouring columns and walk down
// the same rows. Each row of x comes into shared memory once, some rows ahead of its use: how many bytes are on their
// way does not depend on the number of registers, and a pixel is not loaded K times. Indices are carried along.
template <class T, int K>
__global__ void __launch_bounds__(Columns::THREADS, 2)
    filter_rows_and_tail(View<const T, 4> x, View<const float, 1> filter, int pad, TailView tail, View<T, 4> out,
                         Columns columns) {
    constexpr int V = WIDEST<T>;
    using Vector = Vec<T, V>;
    SHARED_MEMORY(Vector, ring);
    AsyncCopies copies;
    const Columns::Place at = columns.place(V);
    const int num_rows = min(columns.rows, out.sizes[2] - at.h) + K - 1;  // row i completes output i − (K − 1)
    const int num_columns = opaque(blockDim.y + K - 1), size = opaque(blockDim.x * num_columns);
    const int mine = opaque(threadIdx.x * num_columns + threadIdx.y);  // the leftmost column that this thread reads
    const int more = opaque(num_columns - threadIdx.y);                // and how many there are from it on

    const int left = at.w - pad, end = at.c < x.sizes[1] ? x.sizes[3] : 0;
    int y = at.h - pad;
    int vector = at.n * (x.strides[0] / V) + y * (x.strides[2] / V) + left * (x.strides[3] / V) + at.c / V;
    const auto fetch = [&](int i, int slot) {  // row i of the walk
        if (i < num_rows) {
            const bool exists = unsigned(y) < unsigned(x.sizes[2]);
            copies.copy(ring[slot].values, x, vector, exists && unsigned(left) < unsigned(end));
            NO_UNROLL for (int w = blockDim.y; w < more; w += blockDim.y) {
                copies.copy(ring[slot + w].values, x, vector + w * (x.strides[3] / V),
                            exists && unsigned(left + w) < unsigned(end));
            }
        }
        copies.commit();
        ++y, vector += x.strides[2] / V;
    };
    NO_UNROLL for (int i = 0; i < RING - 1; ++i) fetch(i, i * size + mine);

    float taps[K];
    UNROLL for (int k = 0; k < K; ++k) taps[k] = 2 * filter(K - 1 - k);  // 2 on each axis: 4
    const ChannelTail<V> channels(tail, at.n, at.inside ? at.c : 0);
    const bool noisy = tail.noise && at.inside;
    std::int64_t noise_at = noisy ? tail.noise.offset(at.n, at.h, at.w) : 0;
    std::int64_t out_at = out.offset(at.n, at.c, at.h, at.w);
    float unfinished[K - 1][V] = {}, next_noise = 0;
    const int last = opaque((RING - 1) * size);
    int here = mine, before = last + mine;
    NO_UNROLL for (int i = 0; i < num_rows; ++i) {
        const float noise = next_noise;
        if (noisy && i >= K - 2 && i < num_rows - 1) {
            next_noise = vec_at_offset<1>(tail.noise, noise_at)[0];
            noise_at += tail.noise.strides[1];
        }
        copies.wait<RING - 2>();
        __syncthreads();  // row i is there, and nobody reads row i − 1 any more
        fetch(i + RING - 1, before);
        float across[V] = {};
        UNROLL for (int k = 0; k < K; ++k) {
            const Vector row = ring[here + k];
            UNROLL for (int v = 0; v < V; ++v) across[v] += taps[k] * widen(row[v]);
        }
        before = here;
        here = here >= last ? mine : here + size;
        float finished[V];
        UNROLL for (int v = 0; v < V; ++v) {  // unfinished[k] belongs to the output k + 1 below
            finished[v] = unfinished[0][v] + taps[K - 1] * across[v];
            UNROLL for (int k = 1; k < K; ++k) {
                const float sum = k < K - 1 ? unfinished[k][v] : 0;
                unfinished[k - 1][v] = sum + taps[K - 1 - k] * across[v];
            }
        }
        if (i < K - 1 || !at.inside) continue;
        channels.template apply<true>(tail, 0, finished, noise);
        vec_at_offset<V>(out, out_at) = narrow_all<T>(finished);
        out_at += out.strides[2];
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
    constexpr std::int64_t ENOUGH_THREADS = 256 * 1024;
    const std::int64_t values = out.num_elements() / V;
    for (int rows = 32; rows > 4; rows /= 2) {
        if (values >= rows * ENOUGH_THREADS) return rows;
    }
    return 4;
}

// Whether a 32-bit number can count the vectors of V elements from x's first element to its last.
bool vectors_can_be_counted(const Tensor& x, int V) {
    std::int64_t last = 0;
    for (int i = 0; i < x.rank; ++i) last += (x.sizes[i] - 1) * x.strides[i];
    return last / V < (1 << 30);
}

template <class T>
void launch_rows(const ConvEpilogue& op, Queue queue) {
    constexpr int V = WIDEST<T>, K = 4;
    const Columns shared = columns(op.out, V, true, rows_to_walk(op.out, V));
    LAUNCH((filter_rows_and_tail<T, K>), shared.grid, shared.block, (ring_bytes<T, K>(shared.block)), queue,
           view<const T, 4>(op.x, "x"), view<const float, 1>(op.filter, "filter"), op.pad,
           tail_view(op.tail, op.out.sizes[0]), view<T, 4>(op.out, "out"), shared);
}

template <class T, int K, bool RECTIFIER>
void launch_filter(const ConvEpilogue& op, Queue queue) {
    const bool channels_inside = op.out.sizes[1] > 1 && op.out.strides[1] == 1;
    const Columns shared = columns(op.out, 1, channels_inside, rows_to_walk(op.out, 1));
    LAUNCH((filter_and_tail<T, K, RECTIFIER>), shared.grid, shared.block, 0, queue, view<const T, 4>(op.x, "x"),
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
        if (op.filter.sizes[0] != 4) return launch_filter<T, MOST_TAPS, false>(op, queue);
        if (!rectifier) return launch_filter<T, 4, false>(op, queue);
        if (!can_lie_along(1) || !vectors_can_be_counted(op.x, V)) return launch_filter<T, 4, true>(op, queue);
        return launch_rows<T>(op, queue);
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
