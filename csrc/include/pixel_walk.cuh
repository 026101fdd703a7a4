// Walks over the pixels of a plane without a division per pixel, and with loads that run ahead.
#pragma once

#include "expect.h"
#include "warp.cuh"

namespace higan_fast {

// The current place of a walk over positions first, first + step, ... of a plane: position p is at h = p / width and
// w = p % width.
struct PixelWalk {
    int h, w;
    int step_h, step_w, width;

    HOST_DEVICE PixelWalk(int first, int step, int width)
        : h(first / width), w(first % width), step_h(step / width), step_w(step % width), width(width) {}

    HOST_DEVICE void advance() {
        h += step_h;
        w += step_w;
        if (w >= width) {
            w -= width;
            ++h;
        }
    }
};

// Calls use(h, w, load(h, w)) for positions first, first + step, ... before end. Loads run some positions ahead; the
// compiler cannot do this itself, because stores may alias.
template <class Load, class Use>
__device__ __forceinline__ void walk_pixels(int first, int end, int step, int width, const Load& load,
                                            const Use& use) {
    constexpr int AHEAD = 3;
    PixelWalk here(first, step, width), ahead = here;
    decltype(load(0, 0)) loaded[AHEAD] = {};
    UNROLL for (int i = 0; i < AHEAD; ++i) {
        if (first + i * step < end) loaded[i] = load(ahead.h, ahead.w);
        ahead.advance();
    }
    NO_UNROLL for (int position = first; position < end; position += step) {
        const auto next = loaded[0];
        UNROLL for (int i = 0; i + 1 < AHEAD; ++i) loaded[i] = loaded[i + 1];
        if (position + AHEAD * step < end) loaded[AHEAD - 1] = load(ahead.h, ahead.w);
        ahead.advance();
        use(here.h, here.w, next);
        here.advance();
    }
}

// Throws unless the number of planes of an [N, C, H, W] tensor, and of pixels in each, fits an int, with room for a
// step past the last.
inline void expect_countable_planes(const Tensor& tensor, const char* name) {
    constexpr std::int64_t MOST = std::int64_t(1) << 30;
    if (tensor.sizes[0] * tensor.sizes[1] > MOST || tensor.sizes[2] * tensor.sizes[3] > MOST) {
        expect::refuse(tensor, name, "at most 2^30 planes of at most 2^30 pixels");
    }
}

inline int next_power_of_two(int x) {
    int power = 1;
    while (power < x) power *= 2;
    return power;
}

}  // namespace higan_fast
