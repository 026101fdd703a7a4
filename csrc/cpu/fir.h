// FIR filters on images: weighted sums of rows, then of columns.
#pragma once

#include "runs.h"

namespace higan_fast::cpu::HIGAN_FAST_ISA {

// sum[i] (+)= Σ_k weights[k]·sources[k][i], in the order of k; COUNT sources at once, so that sum stays in registers.
template <int COUNT, class T, class S>
ALWAYS_INLINE void weighted_sum_of(S* sum, bool add, const T* const* sources, const S* weights, int length) {
    const T* from[COUNT];
    Vector<S> factors[COUNT];
    for (int k = 0; k < COUNT; ++k) {
        from[k] = sources[k];
        factors[k] = broadcast(weights[k]);
    }
    for_vectors<S>(length, [&](int i, auto lanes) INLINE_LAMBDA {
        Vector<S> v = add ? load(sum + i, lanes) : Vector<S>{};
        for (int k = 0; k < COUNT; ++k) v = multiply_add(load(from[k] + i, lanes), factors[k], v);
        store(sum + i, v, lanes);
    });
}

constexpr int GROUP = 4;  // number of sources that are summed at once

// The same for 1 to GROUP sources, whose elements are `stride` apart.
template <class T, class S>
ALWAYS_INLINE void weighted_sum(S* sum, bool add, const T* const* sources, const S* weights, int count,
                                Index stride, int length) {
    const auto add_up = [&](S* part, const T* const* from, int size) {
        if (count == 4) weighted_sum_of<4>(part, add, from, weights, size);
        if (count == 3) weighted_sum_of<3>(part, add, from, weights, size);
        if (count == 2) weighted_sum_of<2>(part, add, from, weights, size);
        if (count == 1) weighted_sum_of<1>(part, add, from, weights, size);
    };
    if (stride == 1) return add_up(sum, sources, length);
    T scratch[GROUP][LONGEST_RUN];
    const T* copies[GROUP];
    for (int i = 0; i < length; i += LONGEST_RUN) {
        const int size = int(smaller(length - i, LONGEST_RUN));
        for (int k = 0; k < count; ++k) copies[k] = gathered(sources[k] + i * stride, stride, size, scratch[k]);
        add_up(sum + i, copies, size);
    }
}

ALWAYS_INLINE Index floor_div(Index a, Index b) { return a / b - (a % b < 0); }

// A filter [kh, kw]; a separable filter [k] is one column that is used for both axes.
template <class S>
struct Filter {
    const S* taps;
    Index row_stride, column_stride;
    int rows, columns;
};

template <class S>
Filter<S> filter_of(const Tensor& filter) {
    if (filter.rank < 1 || filter.rank > 2) wrong_argument("filter", filter.rank, "rank 1 or 2");
    const Index rows = filter.sizes[0], columns = filter.rank == 2 ? filter.sizes[1] : 1;
    if (rows * columns < 1) wrong_argument("filter", 0, "1 or more taps");
    if (filter.rank == 1) {
        const auto taps = array<const S>(filter, "filter", {rows});
        return {taps.data, taps.strides[0], 0, int(rows), 1};
    }
    const auto taps = array<const S>(filter, "filter", {rows, columns});
    return {taps.data, taps.strides[0], taps.strides[1], int(rows), int(columns)};
}

// One axis of a filter, upsampled and downsampled: out[o] = Σ_i tap[i]·X[o·down + i − pad], where X is the input
// with up − 1 zeros after each element. Most taps meet these zeros; the rest meet neighbours in the input.
template <class S>
class Axis {
  public:
    // tap[i] = gain · filter[k − 1 − i, j]; with flip, filter[i, j]. Each column j has its own sums.
    Axis(const Filter<S>& filter, bool flip, S gain, int up, int down, int pad)
        : num_taps_(filter.rows),
          up_(up),
          down_(down),
          pad_(pad),
          most_((num_taps_ - 1) / up + 1),
          taps_(Index(filter.columns) * up * most_) {
        for (int j = 0; j < filter.columns; ++j) {
            for (int i = 0; i < num_taps_; ++i) {
                const Index row = flip ? i : num_taps_ - 1 - i;
                const S* const tap = filter.taps + row * filter.row_stride + j * filter.column_stride;
                taps_[(Index(j) * up + i % up) * most_ + i / up] = *tap * gain;
            }
        }
    }

    // out[o] = Σ_k taps[k]·input[first + k], k < count.
    struct Neighbours {
        const S* taps;
        int count;
        Index first;
    };
    ALWAYS_INLINE Neighbours at(Index o, int j = 0) const {
        const Index start = floor_div(o * down_ - pad_ + up_ - 1, up_);  // the first element at or after tap 0
        const Index tap = start * up_ - (o * down_ - pad_);
        const S* const taps = taps_.data() + (j * up_ + tap) * most_;
        return {taps, int(tap < num_taps_ ? (num_taps_ - 1 - tap) / up_ + 1 : 0), start};
    }
    // The same for tap i only.
    ALWAYS_INLINE Neighbours tap(Index o, int i) const {
        const Index at = o * down_ - pad_ + i, first = floor_div(at, up_);
        return {taps_.data() + i % up_ * most_ + i / up_, first * up_ == at, first};
    }
    ALWAYS_INLINE Index begin(Index o) const { return floor_div(o * down_ - pad_, up_); }
    ALWAYS_INLINE Index end(Index o) const { return floor_div(o * down_ - pad_ + num_taps_ - 1, up_) + 1; }
    ALWAYS_INLINE int up() const { return up_; }
    ALWAYS_INLINE int down() const { return down_; }

  private:
    int num_taps_, up_, down_, pad_, most_;
    Buffer<S> taps_;  // [columns][up][most]: the taps that meet input elements, contiguous
};

// One plane of an image whose pixels are `inner` numbers each: some channels of a channels-last image, or 1.
template <class T>
struct Plane {
    const T* data;
    Index height, width;
    Index row_stride, pixel_stride, inner_stride;
    int inner;
};

// Prefetches `num` pixels of a row, from w on.
template <class T>
ALWAYS_INLINE void prefetch(const Plane<T>& plane, Index row, Index w, int num) {
    constexpr int LINE = 64 / int(sizeof(T));
    const T* const from = plane.data + row * plane.row_stride + w * plane.pixel_stride;
    for (int i = 0; i < num * plane.inner; i += LINE) __builtin_prefetch(from + i, 0, 2);
}

// columns[u, c] = Σ_k taps[k]·plane[first + k, column + u, c] for `num` pixels; the plane is zero outside.
template <class T, class S>
void sum_rows(S* columns, const Plane<T>& plane, typename Axis<S>::Neighbours rows, Index column, int num) {
    const Index begin = column < 0 ? 0 : column;
    const Index end = smaller(column + num, plane.width);
    Index k = rows.first < 0 ? -rows.first : 0;
    const Index k_end = smaller(rows.count, plane.height - rows.first);
    if (begin >= end || k >= k_end) {
        std::memset(columns, 0, std::size_t(num) * plane.inner * sizeof(S));
        return;
    }
    std::memset(columns, 0, std::size_t(begin - column) * plane.inner * sizeof(S));
    const std::size_t beyond = std::size_t(column + num - end) * plane.inner;
    std::memset(columns + (end - column) * plane.inner, 0, beyond * sizeof(S));
    // one run if pixels are contiguous in memory, otherwise one per pixel
    Index num_runs = end - begin, stride = plane.inner_stride;
    int length = plane.inner;
    if (plane.inner == 1) {
        stride = plane.pixel_stride;
        length = int(num_runs);
        num_runs = 1;
    } else if (plane.inner_stride == 1 && plane.pixel_stride == plane.inner) {
        length *= int(num_runs);
        num_runs = 1;
    }
    S* const sum = columns + (begin - column) * plane.inner;
    for (bool add = false; k < k_end; k += GROUP, add = true) {
        const int count = int(smaller(k_end - k, GROUP));
        const T* sources[GROUP];
        for (int i = 0; i < count; ++i) {
            sources[i] = plane.data + (rows.first + k + i) * plane.row_stride + begin * plane.pixel_stride;
        }
        for (Index run = 0; run < num_runs; ++run) {
            weighted_sum(sum + run * length, add, sources, rows.taps + k, count, stride, length);
            for (int i = 0; i < count; ++i) sources[i] += plane.pixel_stride;
        }
    }
}

// sum_columns for pixels of one number: every up-th output has its inputs `down` apart.
template <class S, class At>
void sum_combs(S* row, bool add, const S* columns, Index column, const Axis<S>& axis, const At& at_output,
               Index begin, int num) {
    S comb[LONGEST_RUN];
    const int up = axis.up(), down = axis.down();
    for (int first = 0; first < up; ++first) {
        for (int o = first; o < num; o += LONGEST_RUN * up) {
            const auto at = at_output(begin + o);
            const int length = int(smaller((num - o - 1) / up + 1, LONGEST_RUN));
            if (at.count == 0) std::memset(comb, 0, sizeof comb);
            for (int k = 0; k < at.count; k += GROUP) {
                const int count = int(smaller(at.count - k, GROUP));
                const S* sources[GROUP];
                for (int i = 0; i < count; ++i) sources[i] = columns + (at.first + k + i - column);
                weighted_sum(comb, k > 0, sources, at.taps + k, count, down, length);
            }
            for (int i = 0; i < length; ++i) row[o + i * up] = comb[i] + (add ? row[o + i * up] : S(0));
        }
    }
}

// row[o, c] (+)= Σ_k taps[k]·columns[first + k, c] for `num` pixels from o = begin on, where at_output(o) are the
// neighbours of o, all or some of them, and columns[0] is the input's pixel `column`.
template <class S, class At>
void sum_columns(S* row, bool add, const S* columns, Index column, const Axis<S>& axis, const At& at_output,
                 Index begin, int num, int inner) {
    // Without up and down, neighbouring outputs are sums of neighbouring inputs: one long sum. Otherwise pixels are
    // summed one by one or, if a pixel is one number, in `up` interleaved combs.
    const bool whole = axis.up() == 1 && axis.down() == 1;
    if (!whole && inner == 1) return sum_combs(row, add, columns, column, axis, at_output, begin, num);
    const int num_sums = whole ? 1 : num, length = whole ? num * inner : inner;
    for (int o = 0; o < num_sums; ++o) {
        const auto at = at_output(begin + o);
        S* const sum = row + Index(o) * inner;
        if (at.count == 0 && !add) std::memset(sum, 0, std::size_t(length) * sizeof(S));
        for (int k = 0; k < at.count; k += GROUP) {
            const int count = int(smaller(at.count - k, GROUP));
            const S* sources[GROUP];
            for (int i = 0; i < count; ++i) sources[i] = columns + (at.first + k + i - column) * inner;
            weighted_sum(sum, add || k > 0, sources, at.taps + k, count, 1, length);
        }
    }
}

template <class S>
void sum_columns(S* row, const S* columns, Index column, const Axis<S>& axis, Index begin, int num, int inner) {
    const auto at = [&](Index o) { return axis.at(o); };
    sum_columns(row, false, columns, column, axis, at, begin, num, inner);
}

// A part of the result with some of the channels (along pixels: with one).
struct Tile {
    Index n, c, h, h_end, w, w_end;
    int inner;
};

// Rows long enough for the hardware prefetcher, and short enough that a few of them fit the L2 cache.
constexpr int TILE_NUMBERS = 16 * 1024, TALLEST_TILE = 32, LOWEST_TILE = 4;

// Calls body(tile) until the tiles cover the result.
template <bool CHANNELS, class Body>
void for_each_tile(Queue queue, const Sizes& sizes, const Body& body) {
    const Index inner = CHANNELS ? smaller(sizes.channels, LONGEST_RUN) : 1;
    const Index width = CHANNELS ? TILE_NUMBERS / inner : LONGEST_RUN;
    const Index blocks = sizes.num * parts(sizes.channels, inner), across = parts(sizes.width, width);
    Index height = TALLEST_TILE;
    while (height > LOWEST_TILE && blocks * across * parts(sizes.height, height) < 4 * queue) height /= 2;
    const Index down = parts(sizes.height, height);
    parallel_for(queue, blocks * down * across, sizes.elements(), [&](Index job) {
        const Index w = job % across * width, h = job / across % down * height, block = job / (across * down);
        const Index n = block % sizes.num, c = block / sizes.num * inner;
        const Index h_end = smaller(h + height, sizes.height), w_end = smaller(w + width, sizes.width);
        body(Tile{n, c, h, h_end, w, w_end, int(smaller(inner, sizes.channels - c))});
    });
}

template <class T>
ALWAYS_INLINE Plane<T> plane_of(const Array<const T, 4>& x, const Sizes& sizes, const Tile& tile) {
    const T* const data = x.at(tile.n, tile.c, 0, 0);
    return {data, sizes.height, sizes.width, x.strides[2], x.strides[3], x.strides[1], tile.inner};
}

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
