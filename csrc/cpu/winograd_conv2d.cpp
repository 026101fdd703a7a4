// A 3×3 convolution by Winograd's F(4×4, 3×3): tiles of the input become 36 matrices [tiles, I], each is multiplied by
// one of the weight's, and 36 matrices [tiles, O] become tiles of the result.
#include "../kernels/winograd_conv2d.h"

#include "table.h"
#include "tail.h"

namespace higan_fast::cpu::HIGAN_FAST_ISA {

namespace {

using V = Vector<float>;
constexpr int SIZE = WINOGRAD_SIZE, TILE = WINOGRAD_TILE, POINTS = WINOGRAD_POINTS, PANEL = WINOGRAD_PANEL;
constexpr float A = float(WINOGRAD_NEAR), B = float(WINOGRAD_FAR), A2 = A * A, B2 = B * B;

// So many output channels are multiplied and transformed at once, and so many tiles.
constexpr int CHUNK = 2 * PANEL, MOST_TILES = 48;
// Numbers between matrices and rows, so that neighbours of both do not compete for the same lines of a cache.
constexpr int GAP = 16;
constexpr int ROWS = VECTOR_BYTES == 64 ? 12 : 4, WIDTH = 2 * LANES<float>;

// Bᵀ d of one column or row of a tile.
ALWAYS_INLINE void to_points(V (&t)[SIZE], const V (&d)[SIZE]) {
    const V far_even = multiply_add(d[2], broadcast(-B2), d[4]), far_odd = multiply_add(d[1], broadcast(-B2), d[3]);
    const V near_even = multiply_add(d[2], broadcast(-A2), d[4]), near_odd = multiply_add(d[1], broadcast(-A2), d[3]);
    t[0] = multiply_add(d[0], broadcast(A2 * B2), multiply_add(d[2], broadcast(-A2 - B2), d[4]));
    t[1] = multiply_add(far_odd, broadcast(A), far_even);
    t[2] = multiply_add(far_odd, broadcast(-A), far_even);
    t[3] = multiply_add(near_odd, broadcast(B), near_even);
    t[4] = multiply_add(near_odd, broadcast(-B), near_even);
    t[5] = multiply_add(d[1], broadcast(A2 * B2), multiply_add(d[3], broadcast(-A2 - B2), d[5]));
}

// Aᵀ m of one column or row of a tile.
ALWAYS_INLINE void from_points(V (&y)[TILE], const V (&m)[SIZE]) {
    const V near_sum = m[1] + m[2], near_difference = m[1] - m[2];
    const V far_sum = m[3] + m[4], far_difference = m[3] - m[4];
    y[0] = m[0] + near_sum + far_sum;
    y[1] = multiply_add(near_difference, broadcast(A), far_difference * B);
    y[2] = multiply_add(near_sum, broadcast(A2), far_sum * B2);
    y[3] = multiply_add(near_difference, broadcast(A2 * A), multiply_add(far_difference, broadcast(B2 * B), m[5]));
}

// One axis of G g Gᵀ, for some outputs at once.
ALWAYS_INLINE void weight_to_points(Vector<double> (&t)[SIZE], const Vector<double> (&g)[3]) {
    constexpr double a = WINOGRAD_NEAR, b = WINOGRAD_FAR, a2 = a * a, b2 = b * b;
    constexpr double near = 1 / (2 * a2 * (a2 - b2)), far = 1 / (2 * b2 * (b2 - a2));
    t[0] = g[0] * (1 / (a2 * b2));
    t[1] = (g[0] + a2 * g[2] + a * g[1]) * near;
    t[2] = (g[0] + a2 * g[2] - a * g[1]) * near;
    t[3] = (g[0] + b2 * g[2] + b * g[1]) * far;
    t[4] = (g[0] + b2 * g[2] - b * g[1]) * far;
    t[5] = g[2];
}

// out[r, j] = Σ_k rows[r, k]·weight[k, j] for WIDTH columns; rows are `pitch` apart, those of out CHUNK, of weight PANEL.
// Indices are constants, not variables of loops: GCC would keep the sums in memory.
template <std::size_t... R>
ALWAYS_INLINE void multiply_rows(float* out, const float* rows, Index pitch, const float* weight, int length,
                                 std::index_sequence<R...>) {
    constexpr int COUNT = sizeof...(R), TOGETHER = 4;  // rows whose addresses need one register
    const float* from[COUNT / TOGETHER];
    for (int g = 0; g < COUNT / TOGETHER; ++g) from[g] = rows + g * TOGETHER * pitch;
    V sums[COUNT] = {}, others[COUNT] = {};
    for (int k = 0; k < length; ++k, weight += PANEL) {
        const V left = load(weight, Full{}), right = load(weight + LANES<float>, Full{});
        const auto add = [&](V& sum, V& other, float factor) INLINE_LAMBDA {
            sum = multiply_add(broadcast(factor), left, sum);
            other = multiply_add(broadcast(factor), right, other);
        };
        (add(sums[R], others[R], from[R / TOGETHER][k + Index(R % TOGETHER) * pitch]), ...);
    }
    ((store(out + R * CHUNK, sums[R], Full{}), store(out + R * CHUNK + LANES<float>, others[R], Full{})), ...);
}

template <int COUNT>
void multiply(float* out, const float* rows, Index pitch, const float* weight, int length) {
    multiply_rows(out, rows, pitch, weight, length, std::make_index_sequence<COUNT>());
}

// The same for any number of rows, of which the memory has a multiple of four.
void multiply_all(float* out, const float* rows, Index pitch, const float* weight, int length, int num_rows) {
    const int groups = (num_rows + ROWS - 1) / ROWS, each = ((num_rows + groups - 1) / groups + 3) / 4 * 4;
    for (int r = 0; r < num_rows; r += each) {
        const int count = int(smaller(each, num_rows - r));
        float* const to = out + Index(r) * CHUNK;
        const float* const from = rows + r * pitch;
        if constexpr (ROWS > 4) {
            if (count > 8) {
                multiply<12>(to, from, pitch, weight, length);
                continue;
            }
            if (count > 4) {
                multiply<8>(to, from, pitch, weight, length);
                continue;
            }
        }
        multiply<4>(to, from, pitch, weight, length);
    }
}

struct Place {
    Index m, h, w;  // sample of the result, first pixel of the tile
};

// The convolution of some tiles, one after the other in memory, for some of the outputs.
class Block {
  public:
    Block(const WinogradConv2d& op, const Sizes& sizes)
        : sizes_(sizes),
          inputs_(op.x.sizes[1]),
          per_sample_(op.x.sizes[0] ? sizes.num / op.x.sizes[0] : 1),
          down_(parts(sizes.height, TILE)),
          across_(parts(sizes.width, TILE)),
          x_(array<const float>(op.x, "x", {op.x.sizes[0], inputs_, sizes.height, sizes.width})),
          weight_(array<const float>(op.weight, "weight", {parts(sizes.channels, PANEL), POINTS, inputs_, PANEL})),
          out_(array<float>(op.out, "out", {sizes.num, sizes.channels, sizes.height, sizes.width})),
          styles_(op.styles, "styles", sizes.num, inputs_, 1, 1),
          styled_(op.styles.given()),
          tail_(op.tail, sizes),
          zeros_(inputs_) {
        for (Index i = 0; i < inputs_; ++i) zeros_[i] = 0;
    }

    Index num_tiles() const { return sizes_.num * down_ * across_; }

    // Tiles from `first` on, outputs from `channel` to `channel_end`.
    void run(Index first, int num, Index channel, Index channel_end) const {
        const Index pitch = inputs_ + GAP, matrix = parts(num, 4) * 4 * pitch + GAP, product = parts(num, 4) * 4 * CHUNK + GAP;
        Buffer<float> tiles(POINTS * matrix), products(POINTS * product);
        for (int t = 0; t < num; ++t) {
            const Place place = place_of(first + t);
            if (styled_) {
                read_tile<true>(tiles.data() + t * pitch, matrix, place);
            } else {
                read_tile<false>(tiles.data() + t * pitch, matrix, place);
            }
        }
        for (Index c = channel; c < channel_end; c += CHUNK) {
            for (int p = 0; p < POINTS; ++p) {
                for (Index j = 0; j < smaller(CHUNK, parts(sizes_.channels - c, PANEL) * PANEL); j += WIDTH) {
                    const float* const weight = weight_.at((c + j) / PANEL, p, 0, j % PANEL);
                    multiply_all(products.data() + p * product + j, tiles.data() + p * matrix, pitch, weight,
                                 int(inputs_), num);
                }
            }
            const int length = int(smaller(CHUNK, sizes_.channels - c));
            for (int t = 0; t < num; ++t) {
                write_tile(products.data() + Index(t) * CHUNK, product, place_of(first + t), c, length);
            }
        }
    }

  private:
    Place place_of(Index tile) const {
        const Index w = tile % across_, row = tile / across_;
        return {row / down_, row % down_ * TILE, w * TILE};
    }

    // The points of one tile, those of each channel `matrix` apart.
    template <bool STYLED>
    void read_tile(float* points, Index matrix, const Place& place) const {
        const float* pixels[SIZE][SIZE];
        for (int i = 0; i < SIZE; ++i) {
            for (int j = 0; j < SIZE; ++j) {
                const Index h = place.h + i - 1, w = place.w + j - 1;
                const bool inside = h >= 0 && h < sizes_.height && w >= 0 && w < sizes_.width;
                pixels[i][j] = inside ? x_.at(place.m / per_sample_, 0, h, w) : zeros_.data();
            }
        }
        const float* const styles = styles_.at(place.m, 0);
        for_vectors<float>(int(inputs_), [&](int c, auto lanes) INLINE_LAMBDA {
            V half[SIZE][SIZE];  // [column][point]
            for (int j = 0; j < SIZE; ++j) {
                V column[SIZE];
                for (int i = 0; i < SIZE; ++i) column[i] = load(pixels[i][j] + c, lanes);
                to_points(half[j], column);
            }
            const V style = STYLED ? load(styles + c, lanes) : V{};
            for (int i = 0; i < SIZE; ++i) {
                V row[SIZE], done[SIZE];
                for (int j = 0; j < SIZE; ++j) row[j] = half[j][i];
                to_points(done, row);
                for (int j = 0; j < SIZE; ++j) {
                    store(points + (i * SIZE + j) * matrix + c, STYLED ? done[j] * style : done[j], lanes);
                }
            }
        });
    }

    // The pixels of one tile from its products, those of each point `product` apart, with the tail.
    void write_tile(const float* products, Index product, const Place& place, Index channel, int length) const {
        float pixels[TILE * TILE][CHUNK];
        for (int c = 0; c < length; c += LANES<float>) {
            V half[SIZE][TILE];  // [column][pixel]
            for (int j = 0; j < SIZE; ++j) {
                V column[SIZE];
                for (int i = 0; i < SIZE; ++i) column[i] = load(products + (i * SIZE + j) * product + c, Full{});
                from_points(half[j], column);
            }
            for (int i = 0; i < TILE; ++i) {
                V row[SIZE], done[TILE];
                for (int j = 0; j < SIZE; ++j) row[j] = half[j][i];
                from_points(done, row);
                for (int j = 0; j < TILE; ++j) store(pixels[i * TILE + j] + c, done[j], Full{});
            }
        }
        for (Index h = place.h; h < smaller(place.h + TILE, sizes_.height); ++h) {
            for (Index w = place.w; w < smaller(place.w + TILE, sizes_.width); ++w) {
                const float* const pixel = pixels[(h - place.h) * TILE + (w - place.w)];
                tail_.template finish<true>(out_.at(place.m, channel, h, w), place.m, channel, h, w, length,
                                            [&](int i, auto lanes) INLINE_LAMBDA { return load(pixel + i, lanes); });
            }
        }
    }

    Sizes sizes_;
    Index inputs_, per_sample_, down_, across_;
    Array<const float, 4> x_, weight_;
    Array<float, 4> out_;
    Factors<float> styles_;
    bool styled_;
    PreparedTail<float> tail_;
    Buffer<float> zeros_;
};

}  // namespace

void winograd_weight(const WinogradWeight& op, Queue queue) {
    if (op.weight.rank != 4) wrong_argument("weight", op.weight.rank, "rank 4");
    const Index outputs = op.weight.sizes[0], inputs = op.weight.sizes[1], panels = parts(outputs, PANEL);
    const auto weight = array<const float>(op.weight, "weight", {outputs, inputs, 3, 3});
    const auto out = array<float>(op.out, "out", {panels, POINTS, inputs, PANEL});
    constexpr Index TOGETHER = 8;  // inputs, so that each of the 36 places gets more than a few cache lines at a time
    const Index groups = parts(inputs, TOGETHER);
    parallel_for(queue, panels * groups, outputs * inputs * POINTS, [&](Index job) {
        const Index panel = job / groups, first = job % groups * TOGETHER, num = smaller(TOGETHER, inputs - first);
        float points[POINTS][TOGETHER][PANEL];
        for (Index i = 0; i < num; ++i) {
            double given[9][PANEL] = {};
            for (Index lane = 0; lane < smaller(PANEL, outputs - panel * PANEL); ++lane) {
                const float* const g = weight.at(panel * PANEL + lane, first + i, 0, 0);
                for (int k = 0; k < 9; ++k) given[k][lane] = g[k / 3 * weight.strides[2] + k % 3 * weight.strides[3]];
            }
            for (int lane = 0; lane < PANEL; lane += LANES<double>) {
                Vector<double> half[3][SIZE];
                for (int k = 0; k < 3; ++k) {
                    Vector<double> column[3];
                    for (int j = 0; j < 3; ++j) column[j] = load(given[3 * j + k] + lane, Full{});
                    weight_to_points(half[k], column);
                }
                for (int p = 0; p < SIZE; ++p) {
                    const Vector<double> row[3] = {half[0][p], half[1][p], half[2][p]};
                    Vector<double> done[SIZE];
                    weight_to_points(done, row);
                    for (int q = 0; q < SIZE; ++q) {
                        float* const to = points[p * SIZE + q][i] + lane;
                        for (int l = 0; l < LANES<double>; ++l) to[l] = float(done[q][l]);
                    }
                }
            }
        }
        for (int p = 0; p < POINTS; ++p) {
            std::memcpy(out.at(panel, p, first, 0), points[p], std::size_t(num) * PANEL * sizeof(float));
        }
    });
}

void winograd_conv2d(const WinogradConv2d& op, Queue queue) {
    const Sizes sizes = sizes_of(op.out, "out");
    if (sizes.elements() == 0) return;
    const Index num = sizes_of(op.x, "x").num;
    if (num == 0 || sizes.num % num != 0) wrong_argument("x", num, "a number of samples that divides the results'");
    if (op.x.strides[1] != 1) wrong_argument("x", op.x.strides[1], "a stride of 1 between channels");
    if (op.out.strides[1] != 1) wrong_argument("out", op.out.strides[1], "a stride of 1 between channels");
    const Block block(op, sizes);
    // With few tiles, threads share their outputs; each then reads the tiles anew.
    const Index blocks = parts(block.num_tiles(), MOST_TILES), chunks = parts(sizes.channels, CHUNK);
    const Index wanted = queue > 1 && blocks < 4 * queue ? parts(4 * queue, blocks) : 1;
    const Index each = parts(chunks, smaller(wanted, chunks)) * CHUNK, shares = parts(sizes.channels, each);
    parallel_for(queue, blocks * shares, sizes.elements() * 16, [&](Index job) {
        const Index first = job / shares * MOST_TILES, channel = job % shares * each;
        block.run(first, int(smaller(MOST_TILES, block.num_tiles() - first)), channel,
                  smaller(channel + each, sizes.channels));
    });
}

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
