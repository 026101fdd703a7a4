// Images as runs: neighbouring channels of one pixel (channels-last) or neighbouring pixels of one row. If elements
// are not contiguous in memory, a run is gathered into a small copy and scattered from it.
#pragma once

#include "parallel.h"

namespace higan_fast::cpu::HIGAN_FAST_ISA {

constexpr int LONGEST_RUN = 512, FEWEST_CHANNELS = 8;

struct Sizes {
    Index num, channels, height, width;

    ALWAYS_INLINE Index elements() const { return num * channels * height * width; }
};

inline Sizes sizes_of(const Tensor& image, const char* name) {
    if (image.rank != 4) wrong_argument(name, image.rank, "rank 4");
    return {image.sizes[0], image.sizes[1], image.sizes[2], image.sizes[3]};
}

ALWAYS_INLINE Index smaller(Index a, Index b) { return a < b ? a : b; }
ALWAYS_INLINE Index parts(Index whole, Index part) { return (whole + part - 1) / part; }

// Whether runs go along the channels of a pixel, rather than the pixels of a row, for an op from x to out. With only a
// few channels, gathering pixels is faster.
template <class T, class U>
bool runs_along_channels(const Array<T, 4>& x, const Array<U, 4>& out, const Sizes& sizes) {
    const bool channels = x.strides[1] == 1 && out.strides[1] == 1;
    const bool pixels = x.strides[3] == 1 && out.strides[3] == 1;
    if (sizes.channels < FEWEST_CHANNELS && sizes.channels < sizes.width) return false;
    return channels == pixels ? sizes.channels >= sizes.width : channels;
}

// Calls f(std::true_type) or f(std::false_type).
template <class F>
ALWAYS_INLINE void with_bool(bool value, const F& f) {
    if (value) {
        f(std::true_type{});
    } else {
        f(std::false_type{});
    }
}

// Turns narrow images with contiguous rows into one long row, for runs along pixels. Images that are not given are
// ignored.
template <class... Images>
Sizes as_one_row(const Sizes& sizes, const Images&... images) {
    const auto follows = [&](const auto& image) {
        return !image || image.strides[2] == sizes.width * image.strides[3];
    };
    if (sizes.width >= LONGEST_RUN / 8 || !(... && follows(images))) return sizes;
    return {sizes.num, sizes.channels, 1, sizes.height * sizes.width};
}

// Calls body(n, c, h, w, length) for each run, which starts at that element.
template <bool CHANNELS, class Body>
ALWAYS_INLINE void for_each_run(Queue queue, const Sizes& sizes, const Body& body) {
    const auto length = [](Index left) { return int(smaller(left, LONGEST_RUN)); };
    if constexpr (CHANNELS) {
        parallel_for(queue, sizes.num * sizes.height, sizes.elements(), [&](Index job) {
            const Index h = job % sizes.height, n = job / sizes.height;
            for (Index w = 0; w < sizes.width; ++w) {
                for (Index c = 0; c < sizes.channels; c += LONGEST_RUN) {
                    body(n, c, h, w, length(sizes.channels - c));
                }
            }
        });
    } else {
        const Index across = parts(sizes.width, LONGEST_RUN), rows = sizes.num * sizes.channels * sizes.height;
        parallel_for(queue, rows * across, sizes.elements(), [&](Index job) {
            const Index w = job % across * LONGEST_RUN, row = job / across;
            const Index h = row % sizes.height, plane = row / sizes.height;
            body(plane / sizes.channels, plane % sizes.channels, h, w, length(sizes.width - w));
        });
    }
}

// Returns the run itself if its elements are contiguous, otherwise a copy in scratch.
template <class T>
ALWAYS_INLINE const T* gathered(const T* run, Index stride, int length, T* scratch) {
    if (stride == 1) return run;
    for (int i = 0; i < length; ++i) scratch[i] = run[i * stride];
    return scratch;
}

template <bool CHANNELS>
constexpr int ALONG = CHANNELS ? 1 : 3;  // the dimension of a run

// Calls write(run) with contiguous memory for `length` elements, then stores them in their places.
template <class T, class Write>
ALWAYS_INLINE void scattered(T* run, Index stride, int length, const Write& write) {
    T scratch[LONGEST_RUN];
    T* const neighbours = stride == 1 ? run : scratch;
    write(neighbours);
    if (stride == 1) return;
    for (int i = 0; i < length; ++i) run[i * stride] = scratch[i];
}

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
