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
        T* const first = out.at(tile.n, tile.c, h, w);
        scattered(first, out.strides[ALONG<CHANNELS>], length, [&](T* to) INLINE_LAMBDA {
            for_vectors<S>(length, [&](int i, auto lanes) INLINE_LAMBDA {
                store(to + i, load(row + i, lanes), lanes);
            });
        });
        row += length;
    }
}

// Filters both axes. A separable filter sums rows, then columns. A general filter is the sum of its columns: each sums
// rows with its own taps, followed by a single tap of 1 on the other axis.
template <class S>
struct Axes {
    bool separable;
    int num_columns;
    Axis<S> rows, across;

    Axes(const Upfirdn2d& op, const Filter<S>& filter)
        : separable(op.filter.rank == 1),
          num_columns(filter.columns),
          rows(filter, op.flip, separable ? S(1) : S(op.gain), op.up, op.down, op.pad_top),
          across(separable ? filter : Filter<S>{&ONE, 0, 0, filter.columns, 1}, op.flip,
                 separable ? S(op.gain) : S(1), op.up, op.down, op.pad_left) {}

  private:
    static constexpr S ONE = 1;
};

template <bool CHANNELS, class T, class S>
void filter_tile(const Plane<T>& plane, const Array<T, 4>& out, const Tile& tile, const Axes<S>& axes, bool flip) {
    const int width = int(tile.w_end - tile.w), inner = tile.inner;
    const Index column = axes.across.begin(tile.w);
    const int num_columns = int(axes.across.end(tile.w_end - 1) - column);
    Buffer<S> columns(Index(num_columns) * inner), row(Index(width) * inner);
    for (Index h = tile.h; h < tile.h_end; ++h) {
        for (int j = 0; j < axes.num_columns; ++j) {
            const auto rows = axes.rows.at(h, flip ? j : axes.num_columns - 1 - j);
            sum_rows(columns.data(), plane, rows, column, num_columns);
            const auto sum = [&](const auto& at) {
                sum_columns(row.data(), j > 0, columns.data(), column, axes.across, at, tile.w, width, inner);
            };
            if (axes.separable) {
                sum([&](Index w) { return axes.across.at(w); });
            } else {
                sum([&](Index w) { return axes.across.tap(w, j); });
            }
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
        const Axes<S> axes(op, filter_of<S>(op.filter));
        with_bool(runs_along_channels(x, out, sizes), [&](auto channels) {
            for_each_tile<channels>(queue, sizes, [&](const Tile& tile) {
                filter_tile<channels>(plane_of(x, before, tile), out, tile, axes, op.flip);
            });
        });
    });
}

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
