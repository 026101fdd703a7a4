// A thread makes one pixel, all channels of it.
#include "image_to_input.cuh"

#include <algorithm>

#include "../include/dispatch.h"
#include "../include/expect.h"
#include "../include/warp.cuh"

namespace higan_fast {
namespace {

constexpr int THREADS_X = 32, THREADS_Y = 8;
constexpr int MOST_BLOCKS_YZ = 65535;

// ImageToInput with its types known.
template <class T, int K>
struct Resize {
    View<const T, 4> images;
    View<T, 4> out;
    float scale_h, scale_w;  // input pixels per output pixel
    float mean[K], inverse_std[K];
    bool round_to_uint8, antialias;
};

// Blocks are (columns, rows, samples). Images have three channels where K is 3, and else at most K.
template <class T, int K>
__global__ void __launch_bounds__(THREADS_X * THREADS_Y, 4) image_to_input_kernel(Resize<T, K> resize) {
    const int channels = K == 3 ? 3 : int(resize.out.sizes[1]);
    const int w = blockIdx.x * THREADS_X + threadIdx.x;
    if (w >= resize.out.sizes[3]) return;
    const TriangleTaps across(w, resize.scale_w, resize.images.sizes[3], resize.antialias);
    for (int h = blockIdx.y * THREADS_Y + threadIdx.y; h < resize.out.sizes[2]; h += gridDim.y * THREADS_Y) {
        const TriangleTaps down(h, resize.scale_h, resize.images.sizes[2], resize.antialias);
        for (int n = blockIdx.z; n < resize.out.sizes[0]; n += gridDim.z) {
            float sums[K] = {};
            for (int y = down.first; y < down.end; ++y) {
                float row[K] = {};
                for (int x = across.first; x < across.end; ++x) {
                    const float weight = across.weight(x);
                    UNROLL for (int k = 0; k < K; ++k) {
                        if (k >= channels) break;
                        row[k] += weight * to_unit(widen(resize.images(n, k, y, x)), resize.round_to_uint8);
                    }
                }
                const float weight = down.weight(y);
                UNROLL for (int k = 0; k < K; ++k) sums[k] += weight * row[k];
            }
            const float share = 1 / (across.total * down.total);
            UNROLL for (int k = 0; k < K; ++k) {
                if (k >= channels) break;
                resize.out(n, k, h, w) = narrow<T>((sums[k] * share - resize.mean[k]) * resize.inverse_std[k]);
            }
        }
    }
}

void check(const ImageToInput& params) {
    expect::rank(params.images, "images", 4);
    expect::rank(params.out, "out", 4);
    const std::int64_t* const in = params.images.sizes;
    const std::int64_t* const out = params.out.sizes;
    if (in[1] < 1 || in[1] > MOST_INPUT_CHANNELS) expect::refuse(params.images, "images", "1 to 4 channels");
    expect::shape(params.out, "out", {in[0], in[1], out[2], out[3]});
    if (params.out.num_elements() > 0 && params.images.num_elements() == 0) {
        expect::refuse(params.images, "images", "at least one pixel");
    }
}

template <class T, int K>
void launch(const ImageToInput& params, Queue queue) {
    Resize<T, K> resize = {};
    resize.images = view<const T, 4>(params.images, "images");
    resize.out = view<T, 4>(params.out, "out");
    resize.scale_h = float(resize.images.sizes[2]) / float(resize.out.sizes[2]);
    resize.scale_w = float(resize.images.sizes[3]) / float(resize.out.sizes[3]);
    for (int k = 0; k < K; ++k) {
        resize.mean[k] = float(params.mean[k]);
        resize.inverse_std[k] = float(1 / params.std[k]);
    }
    resize.round_to_uint8 = params.round_to_uint8;
    resize.antialias = params.antialias;
    const dim3 grid(ceil_div(resize.out.sizes[3], THREADS_X),
                    std::min(ceil_div(resize.out.sizes[2], THREADS_Y), MOST_BLOCKS_YZ),
                    std::min(resize.out.sizes[0], MOST_BLOCKS_YZ));
    LAUNCH((image_to_input_kernel<T, K>), grid, dim3(THREADS_X, THREADS_Y), 0, queue, resize);
}

}  // namespace

void cuda::image_to_input(const ImageToInput& params, Queue queue) {
    check(params);
    if (params.out.num_elements() == 0) return;
    dispatch(params.images.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        dispatch(params.images.sizes[1] == 3, [&](auto three) {
            launch<T, three.value ? 3 : MOST_INPUT_CHANNELS>(params, queue);
        });
    });
}

}  // namespace higan_fast
