// The tail of a convolution, alone or after the FIR filter of an upsampling convolution.
#include "fir.h"
#include "table.h"
#include "tail.h"

namespace higan_fast::cpu::HIGAN_FAST_ISA {

namespace {

// Row by row: sums rows, then the columns of each run in registers, and applies the tail there.
template <bool CHANNELS, class T, class S>
void filter_tile(const Plane<T>& plane, const Array<T, 4>& out, const Tile& tile, const Axis<S>& axis,
                 const PreparedTail<S>& tail) {
    const int inner = plane.inner, width = int(tile.w_end - tile.w), length = CHANNELS ? inner : width;
    const Index column = axis.begin(tile.w);
    const int num_columns = int(axis.end(tile.w_end - 1) - column);
    const auto taps = axis.at(tile.w);
    const bool four = taps.count == 4;
    Buffer<S> columns(Index(num_columns) * inner), row(four ? 0 : Index(width) * inner);
    for (Index h = tile.h; h < tile.h_end; ++h) {
        sum_rows(columns.data(), plane, axis.at(h), column, num_columns);
        if (!four) sum_columns(row.data(), columns.data(), column, axis, tile.w, width, inner);
        const Index next = axis.end(h);  // the additional row that the tile's next row will need
        const bool comes = h + 1 < tile.h_end && next >= 0 && next < plane.height;
        for (Index w = tile.w; w < (CHANNELS ? tile.w_end : tile.w + 1); ++w) {
            if (comes && w < plane.width) prefetch(plane, next, w, CHANNELS ? 1 : width);
            const S* const from = (four ? columns.data() : row.data()) + (w - tile.w) * inner;
            T* const first = out.at(tile.n, tile.c, h, w);
            scattered(first, out.strides[ALONG<CHANNELS>], length, [&](T* to) INLINE_LAMBDA {
                const auto finish = [&](const auto& values) INLINE_LAMBDA {
                    tail.template finish<CHANNELS>(to, tile.n, tile.c, h, w, length, values);
                };
                if (!four) return finish([&](int i, auto lanes) INLINE_LAMBDA { return load(from + i, lanes); });
                const S t0 = taps.taps[0], t1 = taps.taps[1], t2 = taps.taps[2], t3 = taps.taps[3];
                finish([&](int i, auto lanes) INLINE_LAMBDA {
                    Vector<S> v = load(from + i, lanes) * t0;
                    v = multiply_add(load(from + i + inner, lanes), broadcast(t1), v);
                    v = multiply_add(load(from + i + 2 * inner, lanes), broadcast(t2), v);
                    return multiply_add(load(from + i + 3 * inner, lanes), broadcast(t3), v);
                });
            });
        }
    }
}

}  // namespace

void conv_epilogue(const ConvEpilogue& op, Queue queue) {
    const Sizes sizes = sizes_of(op.out, "out");
    if (sizes.elements() == 0) return;
    if (op.filter.rank > 1) wrong_argument("filter", op.filter.rank, "rank 1");
    const Sizes before = op.filter.given() ? sizes_of(op.x, "x") : sizes;
    with_type(op.x.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        using S = accumulator_t<T>;
        const auto x = array<const T>(op.x, "x", {sizes.num, sizes.channels, before.height, before.width});
        const auto out = array<T>(op.out, "out", {sizes.num, sizes.channels, sizes.height, sizes.width});
        const PreparedTail<S> tail(op.tail, sizes);
        with_bool(runs_along_channels(x, out, sizes), [&](auto channels) {
            if (op.filter.given()) {
                const Axis<S> axis(filter_of<S>(op.filter), false, S(2), 1, 1, op.pad);
                for_each_tile<channels>(queue, sizes, [&](const Tile& tile) {
                    filter_tile<channels>(plane_of(x, before, tile), out, tile, axis, tail);
                });
            } else {
                const Sizes rows = channels ? sizes : as_one_row(sizes, x, out, tail.noise());
                apply_tail<channels>(x, out, rows, tail, queue);
            }
        });
    });
}

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
