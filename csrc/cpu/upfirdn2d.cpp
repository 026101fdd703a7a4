// Insert zeros, pad, convolve with an FIR filter, keep every down-th pixel.
#include "fir.h"
#include "table.h"

namespace higan_fast::cpu::HIGAN_FAST_ISA {

namespace {

template <bool CHANNELS, class T, class S>
void store_row(const S* row, const Array<T, 4>& out, const Tile& tile, Index h) {
    const int width = int(tile.w_end - tile.w);
    const bool whole = !CHANNELS || (out.strides[1] == 1 && out.strides[3] == tile.inner);
    const int length = whole ? width * tile.inner : tile.inner;
    for (Index w = tile.w; w < (whole ? tile.w + 1 : tile.w_end); ++w) {
        scattered(out.at(tile.n, tile.c, h, w), out.strides[ALONG<CHANNELS>], length, [&](T* to) INLINE_LAMBDA {
            for_vectors<S>(length, [&](int i, auto lanes) INLINE_LAMBDA { store(to + i, load(row + i, lanes), lanes); });
        });
        row += length;
    }
}

template <class S>
struct Geometry {
    int up, down, pad_left, pad_top;
    bool flip;
    S gain;
};

// A separable filter: sums of rows, then of columns. One that is not is the sum of its columns: each makes sums of
// rows of its own, which then meet a single tap.
template <bool CHANNELS, class T, class S>
void filter_tile(const Plane<T>& plane, const Array<T, 4>& out, const Tile& tile, const Filter<S>& filter,
                 bool separable, const Geometry<S>& g) {
    const S one = 1;
    const int taps_across = separable ? filter.rows : filter.columns;
    const Axis<S> rows(filter, g.flip, separable ? S(1) : g.gain, g.up, g.down, g.pad_top);
    const auto tap_across = [&](int j) { return Axis<S>(Filter<S>{&one, 0, 0, 1, 1}, true, 1, g.up, g.down, g.pad_left - j); };
    const Axis<S> across(filter, g.flip, g.gain, g.up, g.down, g.pad_left);
    const int width = int(tile.w_end - tile.w), inner = tile.inner;
    const Index column = tap_across(0).begin(tile.w);
    const int num_columns = int(tap_across(taps_across - 1).end(tile.w_end - 1) - column);
    Buffer<S> columns(Index(num_columns) * inner), row(Index(width) * inner);
    for (Index h = tile.h; h < tile.h_end; ++h) {
        for (int j = 0; j < filter.columns; ++j) {
            sum_rows(columns.data(), plane, rows.at(h, g.flip ? j : filter.columns - 1 - j), column, num_columns);
            const auto sum = [&](const Axis<S>& axis) {
                sum_columns(row.data(), j > 0, columns.data(), column, axis, tile.w, width, inner);
            };
            separable ? sum(across) : sum(tap_across(j));
        }
        store_row<CHANNELS>(row.data(), out, tile, h);
    }
}

}  // namespace

void upfirdn2d(const Upfirdn2d& op, Queue queue) {
    const Sizes sizes = sizes_of(op.out, "out"), before = sizes_of(op.x, "x");
    if (sizes.elements() == 0) return;
    if (op.up < 1) wrong_argument("up", op.up, "1 or more");
    if (op.down < 1) wrong_argument("down", op.down, "1 or more");
    with_type(op.x.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        using S = accumulator_t<T>;
        const auto x = array<const T>(op.x, "x", {sizes.num, sizes.channels, before.height, before.width});
        const auto out = array<T>(op.out, "out", {sizes.num, sizes.channels, sizes.height, sizes.width});
        const auto filter = filter_of<S>(op.filter);
        const Geometry<S> geometry{op.up, op.down, op.pad_left, op.pad_top, op.flip, S(op.gain)};
        with_bool(runs_along_channels(x, out, sizes), [&](auto channels) {
            for_each_tile<channels>(queue, sizes, [&](const Tile& tile) {
                filter_tile<channels>(plane_of(x, before, tile), out, tile, filter, op.filter.rank == 1, geometry);
            });
        });
    });
}

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
