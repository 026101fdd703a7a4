// upfirdn2d by its definition, restricted to the taps that meet pixels.
#include "upfirdn2d.cuh"

#include "../include/columns.cuh"
#include "../include/dispatch.h"
#include "../include/expect.h"
#include "../include/vec.cuh"
#include "../include/warp.cuh"

namespace higan_fast {
namespace {

constexpr int ROWS = 4;  // outputs per thread, one below the other: a pixel is loaded once for all of them
constexpr int MOST_TAPS = 4096;

struct Geometry {
    int up, down, pad_left, pad_top;
    bool flip;
    float gain;
};

// Shared memory holds the filter in the order in which its taps meet the pixels. A separable filter ([k]) is applied
// across each row of pixels, then down the column.
template <class T, int V, bool SEPARABLE>
__global__ void __launch_bounds__(Columns::THREADS, 2)
    upfirdn2d_kernel(View<const T, 4> x, View<const float, SEPARABLE ? 1 : 2> filter, Geometry geometry,
                     View<T, 4> out, Columns columns) {
    const int height = filter.sizes[0], width = filter.sizes[SEPARABLE ? 0 : 1];
    SHARED_MEMORY(float, taps);
    const int num_taps = SEPARABLE ? width : height * width;
    for (int i = threadIdx.y * blockDim.x + threadIdx.x; i < num_taps; i += blockDim.x * blockDim.y) {
        if constexpr (SEPARABLE) {
            taps[i] = filter(geometry.flip ? i : width - 1 - i);
        } else {
            const int at = geometry.flip ? i : num_taps - 1 - i;
            taps[i] = filter(at / width, at % width);
        }
    }
    __syncthreads();
    const Columns::Place at = columns.place(V);
    if (!at.inside) return;

    const int up = geometry.up, down = geometry.down;
    const int left = at.w * down - geometry.pad_left, top = at.h * down - geometry.pad_top;
    const PixelRange xs(left, width, up, x.sizes[3]);
    const PixelRange ys(top, (ROWS - 1) * down + height, up, x.sizes[2]);
    float sums[ROWS][V] = {};
    for (int y = ys.begin; y < ys.end; ++y) {
        const int tap_y = y * up - top;  // of the first output
        float across[V] = {};
        for (int column = xs.begin; column < xs.end; ++column) {
            const int tap_x = column * up - left;
            const Vec<T, V> pixel = vec_at<V>(x, 1, at.n, at.c, y, column);
            if constexpr (SEPARABLE) {
                UNROLL for (int v = 0; v < V; ++v) across[v] += taps[tap_x] * widen(pixel[v]);
            } else {
                UNROLL for (int row = 0; row < ROWS; ++row) {
                    const int tap = tap_y - row * down;
                    if (unsigned(tap) >= unsigned(height)) continue;
                    const float factor = taps[tap * width + tap_x];
                    UNROLL for (int v = 0; v < V; ++v) sums[row][v] += factor * widen(pixel[v]);
                }
            }
        }
        if constexpr (SEPARABLE) {
            UNROLL for (int row = 0; row < ROWS; ++row) {
                const int tap = tap_y - row * down;
                if (unsigned(tap) >= unsigned(height)) continue;
                UNROLL for (int v = 0; v < V; ++v) sums[row][v] += taps[tap] * across[v];
            }
        }
    }
    UNROLL for (int row = 0; row < ROWS; ++row) {
        if (at.h + row >= out.sizes[2]) return;
        Vec<T, V> result;
        UNROLL for (int v = 0; v < V; ++v) result[v] = narrow<T>(sums[row][v] * geometry.gain);
        vec_at<V>(out, 1, at.n, at.c, at.h + row, at.w) = result;
    }
}

template <class T, int V, bool SEPARABLE>
void launch(const Upfirdn2d& op, Queue queue) {
    const bool channels_inside = op.out.sizes[1] > 1 && op.out.strides[1] == 1;
    const Columns shared = columns(op.out, V, channels_inside, ROWS);
    const Geometry geometry{op.up, op.down, op.pad_left, op.pad_top, op.flip, float(op.gain)};
    LAUNCH((upfirdn2d_kernel<T, V, SEPARABLE>), shared.grid, shared.block,
           int(op.filter.num_elements() * sizeof(float)), queue, view<const T, 4>(op.x, "x"),
           view<const float, SEPARABLE ? 1 : 2>(op.filter, "filter"), geometry, view<T, 4>(op.out, "out"), shared);
}

// Positions in the upsampled image must fit 31 bits, with room for overshoot.
void check_axis(const Upfirdn2d& op, int axis, std::int64_t pad) {
    const std::int64_t first = -pad, last = (op.out.sizes[axis] + ROWS) * op.down - pad + MOST_TAPS;
    const std::int64_t bound = 1 << 30;
    if (first < -bound || first > bound || last > bound || op.x.sizes[axis] * op.up > bound) {
        throw std::invalid_argument("x, up, down, pad: upsampled and padded, x has over 2^30 rows or columns");
    }
}

void check(const Upfirdn2d& op) {
    expect::rank(op.x, "x", 4);
    expect::rank(op.out, "out", 4);
    expect::shape(op.out, "out", {op.x.sizes[0], op.x.sizes[1], op.out.sizes[2], op.out.sizes[3]});
    expect::moderate_sizes(op.out, "out");
    if (op.filter.rank != 1 && op.filter.rank != 2) expect::refuse(op.filter, "filter", "[k] or [kh, kw]");
    if (op.filter.num_elements() < 1 || op.filter.num_elements() > MOST_TAPS) {
        expect::refuse(op.filter, "filter", "1 to " + std::to_string(MOST_TAPS) + " taps");
    }
    if (op.up < 1) throw std::invalid_argument("up: got " + std::to_string(op.up) + ", expected 1 or more");
    if (op.down < 1) throw std::invalid_argument("down: got " + std::to_string(op.down) + ", expected 1 or more");
    check_axis(op, 2, op.pad_top);
    check_axis(op, 3, op.pad_left);
}

}  // namespace

namespace cuda {

void upfirdn2d(const Upfirdn2d& op, Queue queue) {
    check(op);
    if (op.out.num_elements() == 0) return;
    dispatch(op.x.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        constexpr int V = WIDEST<T>;
        const bool wide = can_vectorize(op.x, 1, V, sizeof(T)) && can_vectorize(op.out, 1, V, sizeof(T));
        dispatch(op.filter.rank == 1, [&](auto separable) {
            dispatch(wide, [&](auto is_wide) { launch<T, is_wide.value ? V : 1, separable.value>(op, queue); });
        });
    });
}

}  // namespace cuda
}  // namespace higan_fast
