// A leaky ReLU between two filters. A tile of the image is copied so that each vector holds one pixel of some channels:
// every tap then meets whole vectors, along both axes and whatever the image's layout. Of what is upsampled, only a few
// columns exist at a time.
#include "activation.h"
#include "fir.h"
#include "table.h"

namespace higan_fast::cpu::HIGAN_FAST_ISA {

namespace {

constexpr int TILE = 64;  // outputs of a tile along each axis, at most: input and output then share the L2 cache
constexpr int WIDTH = 4;  // upsampled columns at a time: what one step reads again then stays in the L1 cache

// One axis of a tile: its outputs, the upsampled numbers that they are sums of, and the inputs that those are sums of.
template <class S>
struct Span {
    using Neighbours = typename Axis<S>::Neighbours;

    Index out, num_out, num_up, in, num_in;
    Buffer<Neighbours> upsampled;  // of each upsampled number; `first` counts from `in`

    Span(const Axis<S>& up, int down, int num_taps, Index out, Index num_out)
        : out(out), num_out(num_out), num_up((num_out - 1) * down + num_taps), upsampled(num_up) {
        for (Index i = 0; i < num_up; ++i) upsampled[i] = up.at(out * down + i);
        const Neighbours& last = upsampled[num_up - 1];
        in = upsampled[0].first;
        num_in = last.first + last.count - in;
        for (Index i = 0; i < num_up; ++i) upsampled[i].first -= in;
    }
};

// The downsampling filter, in the order in which its taps meet pixels: [height] for both axes, or [height, width].
template <class S>
struct Down {
    bool separable;
    int factor, height, width;
    Buffer<S> taps;

    Down(const Tensor& tensor, const Filter<S>& filter, bool flip, int factor)
        : separable(tensor.rank == 1),
          factor(factor),
          height(filter.rows),
          width(separable ? filter.rows : filter.columns),
          taps(Index(height) * filter.columns) {
        const Axis<S> columns(filter, flip, 1, 1, 1, 0);
        for (int j = 0; j < filter.columns; ++j) {
            const S* const column = columns.at(0, flip ? j : filter.columns - 1 - j).taps;
            for (int i = 0; i < height; ++i) taps[Index(i) * filter.columns + j] = column[i];
        }
    }
};

// COUNT sums at once, of vectors: to[q·to_step] = finish(Σ_k taps[k] · from[q·from_step + k·tap_step]).
template <int COUNT, class S, class Finish>
ALWAYS_INLINE void sum_taps(S* to, Index to_step, const S* from, Index from_step, const S* taps, int num_taps,
                            Index tap_step, const Finish& finish) {
    Vector<S> sums[COUNT] = {};
    for (int k = 0; k < num_taps; ++k) {
        const Vector<S> tap = broadcast(taps[k]);
        for (int q = 0; q < COUNT; ++q) {
            sums[q] = multiply_add(load(from + q * from_step + k * tap_step, Full{}), tap, sums[q]);
        }
    }
    for (int q = 0; q < COUNT; ++q) store(to + q * to_step, finish(sums[q]), Full{});
}

// The same for taps [height, width], whose rows are row_step apart.
template <int COUNT, class S>
ALWAYS_INLINE void sum_plane(S* to, Index to_step, const S* from, Index from_step, const Down<S>& down,
                             Index row_step) {
    Vector<S> sums[COUNT] = {};
    const S* taps = down.taps.data();
    for (int i = 0; i < down.height; ++i) {
        for (int j = 0; j < down.width; ++j) {
            const Vector<S> tap = broadcast(*taps++);
            const S* const first = from + i * row_step + j * LANES<S>;
            for (int q = 0; q < COUNT; ++q) {
                sums[q] = multiply_add(load(first + q * from_step, Full{}), tap, sums[q]);
            }
        }
    }
    for (int q = 0; q < COUNT; ++q) store(to + q * to_step, sums[q], Full{});
}

// Calls body(i, count) for runs of 8, 4 and 1 that cover `num`, where count is a std::integral_constant.
template <class Body>
ALWAYS_INLINE void in_runs(Index num, const Body& body) {
    Index i = 0;
    for (; i + 8 <= num; i += 8) body(i, std::integral_constant<int, 8>{});
    for (; i + 4 <= num; i += 4) body(i, std::integral_constant<int, 4>{});
    for (; i < num; ++i) body(i, std::integral_constant<int, 1>{});
}

// What is done with one tile of LANES channels; a pixel is a vector. UP_TAPS: how many inputs each upsampled number
// meets, DOWN_TAPS: of the downsampling filter, along each axis; 0: known only at run time.
template <int UP_TAPS, int DOWN_TAPS, class S, class Activated>
class TileFilter {
    static constexpr int L = LANES<S>;

  public:
    TileFilter(const Span<S>& rows, const Span<S>& columns, const Down<S>& down, const Activated& activated)
        : rows_(rows),
          columns_(columns),
          down_(down),
          activated_(activated),
          across_(rows.num_in * WIDTH * L),
          strip_rows_(3 * down.height + 16),
          strip_(strip_rows_ * WIDTH * L),
          pitch_(Index((WIDTH - 1) * down.factor + down.width) * L),
          kept_((down.separable ? rows.num_out : rows.num_up) * pitch_) {}

    // in: [rows.num_in, columns.num_in], out: [rows.num_out, columns.num_out]. Goes from left to right: a few columns
    // are upsampled and activated, and filtered downwards; of those, `kept_` has what the next outputs need.
    void run(const S* in, S* out) const {
        Index made = 0;
        for (Index o = 0; o < columns_.num_out; o += WIDTH) {
            const Index num = smaller(WIDTH, columns_.num_out - o), begin = o * down_.factor;
            const Index end = begin + (num - 1) * down_.factor + down_.width;
            if (made < begin) made = begin;  // no output meets those between
            while (made < end) {
                if (made + WIDTH <= end) {
                    make<WIDTH>(in, made, kept_.data() + (made - begin) * L);
                    made += WIDTH;
                } else {
                    make<1>(in, made, kept_.data() + (made - begin) * L);
                    ++made;
                }
            }
            if (down_.separable) {
                sum_across(out + o * L, num);
            } else {
                sum_planes(out + o * L, num);
            }
            move_left(num * down_.factor * L, (made - begin) * L);
        }
    }

  private:
    static int up_taps(const typename Span<S>::Neighbours& at) { return UP_TAPS ? UP_TAPS : at.count; }

    // Makes COUNT columns of kept_, from the upsampled column `first` on.
    template <int COUNT>
    void make(const S* in, Index first, S* to) const {
        const auto as_it_is = [](Vector<S> v) INLINE_LAMBDA { return v; };
        const Index in_pitch = columns_.num_in * L;
        for (int c = 0; c < COUNT; ++c) {
            const auto at = columns_.upsampled[first + c];
            in_runs(rows_.num_in, [&](Index row, auto num) INLINE_LAMBDA {
                sum_taps<num.value>(across_.data() + (row * COUNT + c) * L, COUNT * L,
                                    in + row * in_pitch + at.first * L, in_pitch, at.taps, up_taps(at), L, as_it_is);
            });
        }
        const auto upsample = [&](Index row, S* result) INLINE_LAMBDA {
            const auto at = rows_.upsampled[row];
            sum_taps<COUNT>(result, L, across_.data() + at.first * COUNT * L, L, at.taps, up_taps(at), COUNT * L,
                            activated_);
        };
        if (!down_.separable) {
            for (Index row = 0; row < rows_.num_up; ++row) upsample(row, to + row * pitch_);
            return;
        }
        Index top = 0, made = 0;  // strip_ has the upsampled rows from `top` on, as far as `made`
        for (Index o = 0; o < rows_.num_out; ++o) {
            const Index begin = o * down_.factor, end = begin + down_.height;
            if (end - top > strip_rows_) {
                if (made > begin) {
                    std::memmove(strip_.data(), strip_.data() + (begin - top) * COUNT * L,
                                 std::size_t((made - begin) * COUNT * L) * sizeof(S));
                }
                top = begin;
            }
            if (made < begin) made = begin;
            for (; made < end; ++made) upsample(made, strip_.data() + (made - top) * COUNT * L);
            sum_taps<COUNT>(to + o * pitch_, L, strip_.data() + (begin - top) * COUNT * L, L, down_.taps.data(),
                            DOWN_TAPS ? DOWN_TAPS : down_.height, COUNT * L, as_it_is);
        }
    }

    void sum_across(S* out, Index num) const {
        const auto as_it_is = [](Vector<S> v) INLINE_LAMBDA { return v; };
        for (Index row = 0; row < rows_.num_out; ++row) {
            in_runs(num, [&](Index o, auto count) INLINE_LAMBDA {
                sum_taps<count.value>(out + (row * columns_.num_out + o) * L, L,
                                      kept_.data() + row * pitch_ + o * down_.factor * L, down_.factor * L,
                                      down_.taps.data(), DOWN_TAPS ? DOWN_TAPS : down_.width, L, as_it_is);
            });
        }
    }

    void sum_planes(S* out, Index num) const {
        const Index out_pitch = columns_.num_out * L;
        in_runs(rows_.num_out, [&](Index row, auto count) INLINE_LAMBDA {
            for (Index o = 0; o < num; ++o) {
                sum_plane<count.value>(out + row * out_pitch + o * L, out_pitch,
                                       kept_.data() + row * down_.factor * pitch_ + o * down_.factor * L,
                                       down_.factor * pitch_, down_, pitch_);
            }
        });
    }

    // Moves the rest of the `used` numbers of each row of kept_ to its begin.
    void move_left(Index by, Index used) const {
        if (used <= by) return;
        const Index num_rows = down_.separable ? rows_.num_out : rows_.num_up;
        for (Index row = 0; row < num_rows; ++row) {
            S* const first = kept_.data() + row * pitch_;
            std::memmove(first, first + by, std::size_t(used - by) * sizeof(S));
        }
    }

    const Span<S>&rows_, &columns_;
    const Down<S>& down_;
    const Activated& activated_;
    Buffer<S> across_;  // [rows.num_in, some columns]
    Index strip_rows_;
    Buffer<S> strip_;  // [strip_rows_, some columns]
    Index pitch_;
    Buffer<S> kept_;  // rows of pitch_ numbers: filtered downwards, or not yet filtered if the filter is not separable
};

// Copies a tile of `num` channels from c on, plus the bias, as pixels of LANES channels; zero outside of the image.
template <class T, class S>
void gather_tile(S* to, const Array<const T, 4>& x, const Sizes& sizes, const Array<const S, 1>& bias, Index n, Index c,
                 int num, const Span<S>& rows, const Span<S>& columns) {
    constexpr int L = LANES<S>;
    const Index begin = smaller(columns.in < 0 ? -columns.in : 0, columns.num_in);
    const Index inside = smaller(columns.num_in, sizes.width - columns.in);
    const Index end = inside < begin ? begin : inside;
    S shifts[L] = {};
    if (bias) {
        for (int i = 0; i < num; ++i) shifts[i] = *bias.at(c + i);
    }
    for (Index row = 0; row < rows.num_in; ++row, to += columns.num_in * L) {
        const Index h = rows.in + row;
        const bool empty = h < 0 || h >= sizes.height || begin == end;
        const Index zeros = empty ? columns.num_in : begin;
        std::memset(to, 0, std::size_t(zeros * L) * sizeof(S));
        if (empty) continue;
        std::memset(to + end * L, 0, std::size_t((columns.num_in - end) * L) * sizeof(S));
        const T* const from = x.at(n, c, h, columns.in + begin);
        if (x.strides[1] == 1) {
            const Vector<S> shift = load(shifts, Full{});
            for (Index i = begin; i < end; ++i) {
                const T* const pixel = from + (i - begin) * x.strides[3];
                const Vector<S> v = num == L ? load(pixel, Full{}) : load(pixel, Partial{num});
                store(to + i * L, v + shift, Full{});
            }
            continue;
        }
        for (int lane = 0; lane < L; ++lane) {
            const T* const channel = from + (lane < num ? lane : 0) * x.strides[1];  // the rest is not stored
            for (Index i = begin; i < end; ++i) {
                to[i * L + lane] = widen(channel[(i - begin) * x.strides[3]]) + shifts[lane];
            }
        }
    }
}

template <class T, class S>
void scatter_tile(const S* from, const Array<T, 4>& out, Index n, Index c, int num, const Span<S>& rows,
                  const Span<S>& columns) {
    constexpr int L = LANES<S>;
    for (Index row = 0; row < rows.num_out; ++row, from += columns.num_out * L) {
        T* const to = out.at(n, c, rows.out + row, columns.out);
        if (out.strides[1] == 1) {
            for (Index i = 0; i < columns.num_out; ++i) {
                T* const pixel = to + i * out.strides[3];
                const Vector<S> v = load(from + i * L, Full{});
                if (num == L) {
                    store(pixel, v, Full{});
                } else {
                    store(pixel, v, Partial{num});
                }
            }
            continue;
        }
        for (int lane = 0; lane < num; ++lane) {
            for (Index i = 0; i < columns.num_out; ++i) {
                to[lane * out.strides[1] + i * out.strides[3]] = narrow<T>(from[i * L + lane]);
            }
        }
    }
}

}  // namespace

void filtered_lrelu(const FilteredLrelu& op, Queue queue) {
    const Sizes sizes = sizes_of(op.out, "out"), before = sizes_of(op.x, "x");
    if (sizes.elements() == 0) return;
    if (op.up < 1) wrong_argument("up", op.up, "1 or more");
    if (op.down < 1) wrong_argument("down", op.down, "1 or more");
    if (op.up_filter.rank != 1) wrong_argument("up_filter", op.up_filter.rank, "rank 1");
    with_type(op.x.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        using S = accumulator_t<T>;
        constexpr int L = LANES<S>;
        const auto x = array<const T>(op.x, "x", {sizes.num, sizes.channels, before.height, before.width});
        const auto out = array<T>(op.out, "out", {sizes.num, sizes.channels, sizes.height, sizes.width});
        const auto bias = optional_array<const S>(op.bias, "bias", {sizes.channels});
        const PreparedActivation<S> activation(Activation::lrelu, op.slope, op.gain, op.clamp);
        const Filter<S> up = filter_of<S>(op.up_filter);
        const Axis<S> up_rows(up, op.flip, S(op.up) * activation.before(), op.up, 1, op.pad_top);
        const Axis<S> up_columns(up, op.flip, S(op.up), op.up, 1, op.pad_left);
        const Down<S> down(op.down_filter, filter_of<S>(op.down_filter), op.flip, op.down);
        // StyleGAN3's filters; loops over their taps are unrolled.
        const bool usual = up.rows == 6 * op.up && down.height == 12 && down.width == 12;

        const Index tiles_down = parts(sizes.height, TILE), tiles_across = parts(sizes.width, TILE);
        const Index height = parts(sizes.height, tiles_down), width = parts(sizes.width, tiles_across);
        const Index blocks = parts(sizes.channels, L), jobs = sizes.num * blocks * tiles_down * tiles_across;
        parallel_for(queue, jobs, sizes.elements() * op.down * op.down, [&](Index job) {
            // Blocks of channels first: of channels-last pixels, each cache line and page is then read once.
            const Index c = job % blocks * L, tile = job / blocks, n = tile / (tiles_across * tiles_down);
            const Index w = tile % tiles_across * width, h = tile / tiles_across % tiles_down * height;
            if (h >= sizes.height || w >= sizes.width) return;  // of sizes that do not divide evenly
            const Span<S> rows(up_rows, op.down, down.height, h, smaller(height, sizes.height - h));
            const Span<S> columns(up_columns, op.down, down.width, w, smaller(width, sizes.width - w));
            const int num = int(smaller(L, sizes.channels - c));
            const Buffer<S> in(rows.num_in * columns.num_in * L), result(rows.num_out * columns.num_out * L);
            gather_tile(in.data(), x, before, bias, n, c, num, rows, columns);
            activation.with([&](const auto activated) {
                with_bool(usual, [&](auto is_usual) {
                    constexpr int UP_TAPS = is_usual ? 6 : 0, DOWN_TAPS = is_usual ? 12 : 0;
                    TileFilter<UP_TAPS, DOWN_TAPS, S, std::decay_t<decltype(activated)>>(rows, columns, down, activated)
                        .run(in.data(), result.data());
                });
            });
            scatter_tile(result.data(), out, n, c, num, rows, columns);
        });
    });
}

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
