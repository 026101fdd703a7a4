// A tile of the result at a time: what is upsampled for it exists in shared memory alone.
#include "filtered_lrelu.cuh"

#include <algorithm>

#include "../include/columns.cuh"
#include "../include/dispatch.h"
#include "../include/expect.h"
#include "bias_act.cuh"

namespace higan_fast {
namespace {

constexpr int THREADS = 256, LARGEST_TILE = 32;
constexpr int MOST_TAPS = 32, LARGEST_FACTOR = 4;  // so that a tile fits
constexpr int USUAL_BYTES = STATIC_SHARED_LIMIT, MOST_BYTES = 96 * 1024;  // of shared memory; all GPUs have the latter

// One axis of a tile: how many outputs, upsampled numbers and inputs it has. All tiles have the same.
struct TileAxis {
    int outputs, upsampled, inputs, num_tiles;

    TileAxis(int outputs, std::int64_t num_outputs, int up, int up_taps, int down, int down_taps)
        : outputs(outputs),
          upsampled((outputs - 1) * down + down_taps),
          inputs((upsampled + up_taps - 2) / up + 1),
          num_tiles(ceil_div(num_outputs, outputs)) {}
};

// Matrices have an odd number of numbers between rows, so that neighbouring threads may take neighbouring rows.
HOST_DEVICE int pitch(int width) { return width | 1; }

struct Plan {
    TileAxis rows, columns;
    int up, down, pad_left, pad_top, up_taps, down_height, down_width;
    bool separable, flip, channels_inside;
    float gain, slope, clamp;

    // In shared memory: the taps; the upsampled tile; then the inputs and, beside them, the inputs upsampled across,
    // and later in their place the tile downsampled across.
    HOST_DEVICE int up_at() const { return up_taps + (separable ? down_width : down_height * down_width); }
    HOST_DEVICE int inputs_at() const { return up_at() + rows.upsampled * pitch(columns.upsampled); }
    HOST_DEVICE int across_at() const { return inputs_at() + rows.inputs * pitch(columns.inputs); }
    int num_floats() const {
        const int across = across_at() + rows.inputs * pitch(columns.upsampled);
        const int down_across = inputs_at() + rows.upsampled * pitch(columns.outputs);
        return separable ? std::max(across, down_across) : across;
    }
};

__device__ int floor_div(int a, int b) { return a / b - (a % b < 0); }

template <class Shape, class T, bool SEPARABLE>
__global__ void __launch_bounds__(THREADS, 2)
    filtered_lrelu_kernel(View<const T, 4> x, View<const float, 1> up_filter,
                          View<const float, SEPARABLE ? 1 : 2> down_filter, View<const float, 1> bias, View<T, 4> out,
                          Plan plan) {
    SHARED_MEMORY(float, memory);
    float *const up_taps = memory, *const down_taps = memory + plan.up_taps;
    unsigned tile = blockIdx.x;
    int c = 0;
    if (plan.channels_inside) c = tile % x.sizes[1], tile /= x.sizes[1];
    const int first_w = tile % plan.columns.num_tiles * plan.columns.outputs;
    tile /= plan.columns.num_tiles;
    const int first_h = tile % plan.rows.num_tiles * plan.rows.outputs;
    tile /= plan.rows.num_tiles;
    if (!plan.channels_inside) c = tile % x.sizes[1], tile /= x.sizes[1];
    const int n = tile;

    for (int i = threadIdx.x; i < plan.up_taps; i += THREADS) {
        up_taps[i] = up_filter(plan.flip ? i : plan.up_taps - 1 - i) * plan.up;
    }
    const int num_down_taps = SEPARABLE ? plan.down_width : plan.down_height * plan.down_width;
    for (int i = threadIdx.x; i < num_down_taps; i += THREADS) {
        const int at = plan.flip ? i : num_down_taps - 1 - i;
        if constexpr (SEPARABLE) {
            down_taps[i] = down_filter(at);
        } else {
            down_taps[i] = down_filter(at / plan.down_width, at % plan.down_width);
        }
    }

    // The first upsampled number is at `left` of what has zeros between the inputs; the first input from there is in_w.
    const int left = first_w * plan.down - plan.pad_left, top = first_h * plan.down - plan.pad_top;
    const int in_w = floor_div(left + plan.up - 1, plan.up), in_h = floor_div(top + plan.up - 1, plan.up);
    float* const inputs = memory + plan.inputs_at();
    const int in_pitch = pitch(plan.columns.inputs), up_pitch = pitch(plan.columns.upsampled);
    const float shift = bias ? bias(c) : 0;
    for (int i = threadIdx.x; i < plan.rows.inputs * plan.columns.inputs; i += THREADS) {
        const int row = i / plan.columns.inputs, column = i % plan.columns.inputs;
        const int h = in_h + row, w = in_w + column;
        const bool inside = unsigned(h) < unsigned(x.sizes[2]) && unsigned(w) < unsigned(x.sizes[3]);
        inputs[row * in_pitch + column] = inside ? widen(x(n, c, h, w)) + shift : 0;
    }
    __syncthreads();

    float *const across = memory + plan.across_at(), *const upsampled = memory + plan.up_at();
    const Lines input_rows{inputs, plan.rows.inputs, plan.columns.inputs, in_pitch, 1};
    upsample<Shape>(input_rows, plan.columns.upsampled, up_taps, plan.up_taps, plan.up, in_w * plan.up - left,
                    [&](int row, int column, float sum) { across[row * up_pitch + column] = sum; });
    __syncthreads();

    const Lines across_columns{across, plan.columns.upsampled, plan.rows.inputs, 1, up_pitch};
    upsample<Shape>(across_columns, plan.rows.upsampled, up_taps, plan.up_taps, plan.up, in_h * plan.up - top,
                    [&](int column, int row, float sum) {
                        upsampled[row * up_pitch + column] =
                            activate(Activation::lrelu, sum, plan.slope, plan.gain, plan.clamp);
                    });
    __syncthreads();

    const auto write = [&](int column, int row, float sum) {
        const int h = first_h + row, w = first_w + column;
        if (h < out.sizes[2] && w < out.sizes[3]) out(n, c, h, w) = narrow<T>(sum);
    };
    if constexpr (SEPARABLE) {
        float* const down_across = inputs;
        const int down_pitch = pitch(plan.columns.outputs);
        const Lines upsampled_rows{upsampled, plan.rows.upsampled, plan.columns.upsampled, up_pitch, 1};
        downsample<Shape>(upsampled_rows, plan.columns.outputs, down_taps, plan.down_width, plan.down,
                          [&](int row, int column, float sum) { down_across[row * down_pitch + column] = sum; });
        __syncthreads();
        const Lines down_columns{down_across, plan.columns.outputs, plan.rows.upsampled, 1, down_pitch};
        downsample<Shape>(down_columns, plan.rows.outputs, down_taps, plan.down_height, plan.down, write);
    } else {
        const Lines upsampled_columns{upsampled, plan.columns.upsampled, plan.rows.upsampled, 1, up_pitch};
        downsample_plane<Shape>(upsampled_columns, plan.columns.outputs, plan.rows.outputs, down_taps,
                                plan.down_height, plan.down_width, plan.down, write);
    }
}

// The largest tile for which the shared memory of several blocks fits a multiprocessor.
Plan plan_for(const FilteredLrelu& op) {
    const int up_taps = int(op.up_filter.sizes[0]), down_height = int(op.down_filter.sizes[0]);
    const bool separable = op.down_filter.rank == 1;
    const int down_width = int(op.down_filter.sizes[separable ? 0 : 1]);
    int height = power_of_two(op.out.sizes[2], LARGEST_TILE), width = power_of_two(op.out.sizes[3], LARGEST_TILE);
    while (true) {
        const Plan plan{TileAxis(height, op.out.sizes[2], op.up, up_taps, op.down, down_height),
                        TileAxis(width, op.out.sizes[3], op.up, up_taps, op.down, down_width),
                        op.up,
                        op.down,
                        op.pad_left,
                        op.pad_top,
                        up_taps,
                        down_height,
                        down_width,
                        separable,
                        op.flip,
                        op.out.sizes[1] > 1 && op.out.strides[1] == 1,
                        float(op.gain),
                        float(op.slope),
                        float(op.clamp)};
        const bool is_small = height * width <= 64;
        if (plan.num_floats() * int(sizeof(float)) <= (is_small ? MOST_BYTES : USUAL_BYTES)) return plan;
        if (height * width == 1) throw std::invalid_argument("down_filter: a tile does not fit shared memory");
        (height > width ? height : width) /= 2;
    }
}

template <class Shape, class T, bool SEPARABLE>
void launch(const FilteredLrelu& op, const Plan& plan, Queue queue) {
    const std::int64_t tiles = std::int64_t(plan.rows.num_tiles) * plan.columns.num_tiles;
    LAUNCH((filtered_lrelu_kernel<Shape, T, SEPARABLE>), num_blocks(op.out.sizes[0] * op.out.sizes[1] * tiles), THREADS,
           plan.num_floats() * int(sizeof(float)), queue, view<const T, 4>(op.x, "x"),
           view<const float, 1>(op.up_filter, "up_filter"),
           view<const float, SEPARABLE ? 1 : 2>(op.down_filter, "down_filter"), view<const float, 1>(op.bias, "bias"),
           view<T, 4>(op.out, "out"), plan);
}

// Calls f with the shapes of StyleGAN3's filters where `plan` has one of them.
template <class F>
void dispatch_shape(const Plan& plan, const F& f) {
    const bool usual = plan.down == 2 && plan.down_width == 12 && plan.down_height == 12;
    if (usual && plan.up == 2 && plan.up_taps == 12) return f(FilterShape<2, 12, 2, 12>{});
    if (usual && plan.up == 4 && plan.up_taps == 24) return f(FilterShape<4, 24, 2, 12>{});
    f(FilterShape<0, 0, 0, 0>{});
}

void check_filter(const Tensor& filter, const char* name, int most_axes) {
    const bool one = filter.rank == 1, two = filter.rank == 2 && most_axes == 2;
    bool fits = one || two;
    for (int i = 0; i < filter.rank && fits; ++i) fits = filter.sizes[i] >= 1 && filter.sizes[i] <= MOST_TAPS;
    if (!fits) expect::refuse(filter, name, most_axes == 2 ? "[k] or [kh, kw], sizes of 1 to 32" : "[k], 1 to 32 taps");
}

void check_factor(int factor, const char* name) {
    if (factor < 1 || factor > LARGEST_FACTOR) {
        throw std::invalid_argument(std::string(name) + ": got " + std::to_string(factor) + ", expected 1 to 4");
    }
}

// Positions in the upsampled image must fit 31 bits, with room for overshoot.
void check_axis(const FilteredLrelu& op, int axis, std::int64_t pad) {
    const std::int64_t bound = 1 << 30, last = (op.out.sizes[axis] + LARGEST_TILE) * op.down - pad + 2 * MOST_TAPS;
    if (pad < -bound || pad > bound || last > bound || op.x.sizes[axis] * op.up > bound) {
        throw std::invalid_argument("x, up, down, pad: upsampled and padded, x has over 2^30 rows or columns");
    }
}

void check(const FilteredLrelu& op) {
    expect::rank(op.x, "x", 4);
    expect::rank(op.out, "out", 4);
    expect::shape(op.out, "out", {op.x.sizes[0], op.x.sizes[1], op.out.sizes[2], op.out.sizes[3]});
    expect::moderate_sizes(op.out, "out");
    expect::shape_if_given(op.bias, "bias", {op.x.sizes[1]});
    check_filter(op.up_filter, "up_filter", 1);
    check_filter(op.down_filter, "down_filter", 2);
    check_factor(op.up, "up");
    check_factor(op.down, "down");
    check_axis(op, 2, op.pad_top);
    check_axis(op, 3, op.pad_left);
}

}  // namespace

namespace cuda {

void filtered_lrelu(const FilteredLrelu& op, Queue queue) {
    check(op);
    if (op.out.num_elements() == 0) return;
    const Plan plan = plan_for(op);
    dispatch(op.x.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        dispatch_shape(plan, [&](auto shape) {
            dispatch(plan.separable, [&](auto separable) {
                launch<decltype(shape), T, separable.value>(op, plan, queue);
            });
        });
    });
}

}  // namespace cuda
}  // namespace higan_fast
