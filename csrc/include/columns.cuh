// How the threads of an FIR filter divide a result [N, C, H, W]: each takes V neighbouring channels of one column and
// walks down some rows. Neighbouring threads take neighbouring channels if these are dense in memory (blocks are then
// 128 bytes of channels wide), and neighbouring columns otherwise.
#pragma once

#include "launch.h"
#include "tensor_view.h"

namespace higan_fast {

struct Columns {
    static constexpr int THREADS = 256;

    bool channels_inside;
    int num_channels, width, rows;
    unsigned inner_tiles, outer_tiles, row_tiles;
    dim3 block, grid;

    // The position of a thread; `inside` is false past an edge.
    struct Place {
        int n, c, h, w;
        bool inside;
    };

    __device__ Place place(int V) const {
        unsigned tile = blockIdx.x;
        const int inner = (tile % inner_tiles) * blockDim.x + threadIdx.x;
        tile /= inner_tiles;
        const int outer = (tile % outer_tiles) * blockDim.y + threadIdx.y;
        tile /= outer_tiles;
        const int h = (tile % row_tiles) * rows;
        const int c = (channels_inside ? inner : outer) * V, w = channels_inside ? outer : inner;
        return {int(tile / row_tiles), c, h, w, c < num_channels && w < width};
    }
};

// Returns the smallest power of two ≥ `least`, at most `most` (a power of two itself).
inline int power_of_two(std::int64_t least, int most) {
    int power = 1;
    while (power < least && power < most) power *= 2;
    return power;
}

inline Columns columns(const Tensor& out, int V, bool channels_inside, int rows) {
    const std::int64_t vectors = out.sizes[1] / V, width = out.sizes[3];
    const std::int64_t inner = channels_inside ? vectors : width, outer = channels_inside ? width : vectors;
    const int across = power_of_two(inner, V > 1 && channels_inside ? 8 : 32);
    const int down = power_of_two(outer, Columns::THREADS / across);
    Columns columns{channels_inside, int(out.sizes[1]), int(width), rows, 0, 0, 0, dim3(across, down), dim3()};
    columns.inner_tiles = ceil_div(inner, across);
    columns.outer_tiles = ceil_div(outer, down);
    columns.row_tiles = ceil_div(out.sizes[2], rows);
    columns.grid = num_blocks(out.sizes[0] * columns.inner_tiles * columns.outer_tiles * columns.row_tiles);
    return columns;
}

}  // namespace higan_fast
