// What to_rgb does after summing over the channels of a pixel: bias, clamp, RGB of the previous block.
#pragma once

#include "../include/warp.cuh"
#include "to_rgb.h"
#include "upfirdn2d.cuh"

namespace higan_fast {

struct RgbTail {
    View<const float, 1> bias;    // [K]
    View<const float, 4> rgb;     // [N, K, H, W] or [N, K, H / 2, W / 2]
    View<const float, 1> filter;  // [t]
    View<float, 4> out;           // [N, K, H, W]
    float limit;                  // the bound of the clamp; infinity without one

    // Adds the previous block's RGB at pixel (h, w) to `values`, upsampled if it is smaller.
    template <int K>
    __device__ void add_rgb(float (&values)[K], int n, int h, int w) const {
        const int num = out.sizes[1];
        if (rgb.sizes[2] == out.sizes[2]) {
            UNROLL for (int k = 0; k < K; ++k) {
                if (k < num) values[k] += rgb(n, k, h, w);
            }
            return;
        }
        const int taps = filter.sizes[0], top = h - taps / 2, left = w - taps / 2;
        const PixelRange ys(top, taps, 2, rgb.sizes[2]), xs(left, taps, 2, rgb.sizes[3]);
        for (int y = ys.begin; y < ys.end; ++y) {
            const float down = 4 * filter(taps - 1 - (2 * y - top));
            for (int x = xs.begin; x < xs.end; ++x) {
                const float factor = down * filter(taps - 1 - (2 * x - left));
                UNROLL for (int k = 0; k < K; ++k) {
                    if (k < num) values[k] += factor * rgb(n, k, y, x);
                }
            }
        }
    }

    // Writes pixel `pixel` of sample n from its sums; out has at most K channels.
    template <int K>
    __device__ void write(float (&sums)[K], int n, int pixel) const {
        const int num = out.sizes[1], h = pixel / out.sizes[3], w = pixel % out.sizes[3];
        UNROLL for (int k = 0; k < K; ++k) {
            if (bias && k < num) sums[k] += bias(k);
            sums[k] = sums[k] > limit ? limit : sums[k] < -limit ? -limit : sums[k];
        }
        if (rgb) add_rgb(sums, n, h, w);
        UNROLL for (int k = 0; k < K; ++k) {
            if (k < num) out(n, k, h, w) = sums[k];
        }
    }
};

}  // namespace higan_fast
