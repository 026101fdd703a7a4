// One kernel in three roles. Usually a block computes the moments of its planes and applies them in the same launch. If
// planes are large and few, one launch computes the moments of pieces, and a second merges and applies them.
#include "adain.cuh"

#include <algorithm>

#include "../include/dispatch.h"
#include "../include/fold.h"

namespace higan_fast {
namespace instance_norm {

constexpr int THREADS = 256;
constexpr int MOST_PIECES = 65535;  // CUDA's limit
constexpr int SLAB_BYTES = 64;      // of neighbouring channels-last values per block: whole sectors

enum class Role { gather_and_apply, gather, join_and_apply };

// Blocks are (samples and channels, pieces).
template <class T, int ALONG, int V>
__global__ void __launch_bounds__(THREADS, 2) adain_kernel(Problem<T> problem, Role role) {
    using Layer = NoiseBiasAct<T, ALONG, V>;
    constexpr int K = Layer::K;
    SHARED_MEMORY(float, shared);
    const Place<ALONG, V> place(problem.x.sizes[0], problem.x.sizes[1]);
    const int width = problem.x.sizes[3] / (V / K), vectors = problem.x.sizes[2] * width;
    const int first = blockIdx.y * problem.piece, end = min(first + problem.piece, vectors);

    Moments<K> moments;
    if (place.inside && role == Role::join_and_apply) {
        for (int i = place.rank; i < problem.pieces.sizes[2]; i += place.group) {
            Moments<K> piece;
            piece.count = float(max(0, min(problem.piece, vectors - i * problem.piece)) * (V / K));
            for (int k = 0; k < K; ++k) {
                piece.mean[k] = problem.pieces(place.n, place.c + k, i, 0);
                piece.squares[k] = problem.pieces(place.n, place.c + k, i, 1);
            }
            moments.add(piece);
        }
    } else if (place.inside) {
        const Layer tail(problem, place.n, place.c);
        walk_pixels(
            first + place.rank, end, place.group, width, [&](int h, int w) { return tail.load(h, w); },
            [&](int, int, const typename Layer::Loaded& loaded) {
                float values[V];
                tail.activations(values, loaded);
                if constexpr (K == V) {
                    moments.add(values);
                } else {
                    moments.add(moments_of(values));
                }
            });
    }
    join(moments, place, shared);
    if (!place.inside) return;

    if (role == Role::gather) {
        if (place.rank != 0) return;
        for (int k = 0; k < K; ++k) {
            problem.pieces(place.n, place.c + k, blockIdx.y, 0) = moments.mean[k];
            problem.pieces(place.n, place.c + k, blockIdx.y, 1) = moments.squares[k];
        }
        return;
    }

    float factor[K], shift[K];
    load_row(factor, problem.scale, place.c, place.n);
    load_row(shift, problem.shift, place.c, place.n);
    for (int k = 0; k < K; ++k) factor[k] *= rsqrtf(moments.squares[k] / moments.count + problem.epsilon);
    const Layer tail(problem, place.n, place.c);
    walk_pixels(
        first + place.rank, end, place.group, width, [&](int h, int w) { return tail.load(h, w); },
        [&](int h, int w, const typename Layer::Loaded& loaded) {
            float values[V];
            tail.activations(values, loaded);
            Vec<T, V> result;
            for (int v = 0; v < V; ++v) {
                result[v] = narrow<T>((values[v] - moments.mean[v % K]) * factor[v % K] + shift[v % K]);
            }
            if constexpr (ALONG == 1) {
                vec_at<V>(problem.out, 1, place.n, place.c, h, w) = result;
            } else {
                vec_at<V>(problem.out, 3, place.n, place.c, h, w * V) = result;
            }
        });
}

// The workspace, laid out so that threads that read it together read neighbours.
static View<float, 4> pieces_view(const Tensor& workspace, int along) {
    View<float, 4> pieces;
    if (!workspace.given()) return pieces;
    const int num_pieces = workspace.sizes[0], num = workspace.sizes[1], channels = workspace.sizes[2];
    pieces = {static_cast<float*>(workspace.data), {num, channels, num_pieces, 2}, {}};
    if (along == 1) {  // [P, N, 2, C] in memory
        const int strides[4] = {2 * channels, 1, num * 2 * channels, channels};
        std::copy(strides, strides + 4, pieces.strides);
    } else {  // [N, C, 2, P] in memory
        const int strides[4] = {channels * 2 * num_pieces, 2 * num_pieces, 1, num_pieces};
        std::copy(strides, strides + 4, pieces.strides);
    }
    return pieces;
}

template <int ALONG, int V, class T>
void launch_along(Problem<T> problem, const Tensor& workspace, Queue queue) {
    constexpr int K = ALONG == 1 ? V : 1;
    const int num = problem.x.sizes[0], channels = problem.x.sizes[1];
    const int vectors = problem.x.sizes[2] * problem.x.sizes[3] / (V / K);
    const int num_pieces = workspace.given() ? int(workspace.sizes[0]) : 1;
    problem.pieces = pieces_view(workspace, ALONG);
    problem.piece = ceil_div(vectors, num_pieces);

    dim3 block, grid;
    if constexpr (ALONG == 1) {
        const int most = SLAB_BYTES / int(sizeof(T)) / V;
        block.x = std::min(most, next_power_of_two(channels / V));
        block.y = std::min(THREADS / int(block.x), next_power_of_two(problem.piece));
        grid = dim3(num * ceil_div(channels / V, block.x), num_pieces);
    } else {
        block.x = std::min(THREADS, next_power_of_two(problem.piece));
        block.y = std::min(THREADS / int(block.x), next_power_of_two(num * channels));
        grid = dim3(ceil_div(num * channels, block.y), num_pieces);
    }
    const int shared_bytes = block.x * block.y * (1 + 2 * K) * sizeof(float);
    if (workspace.given()) {
        LAUNCH((adain_kernel<T, ALONG, V>), grid, block, shared_bytes, queue, problem, Role::gather);
        LAUNCH((adain_kernel<T, ALONG, V>), grid, block, shared_bytes, queue, problem, Role::join_and_apply);
    } else {
        LAUNCH((adain_kernel<T, ALONG, V>), grid, block, shared_bytes, queue, problem, Role::gather_and_apply);
    }
}

static void check(const Adain& params) {
    expect::rank(params.x, "x", 4);
    const std::int64_t num = params.x.sizes[0], channels = params.x.sizes[1];
    expect::shape_if_given(params.noise, "noise", {num, 1, params.x.sizes[2], params.x.sizes[3]});
    if (params.noise.given()) expect::shape(params.strength, "strength", {channels});
    expect::shape_if_given(params.bias, "bias", {channels});
    expect::shape(params.scale, "scale", {num, channels});
    expect::shape(params.shift, "shift", {num, channels});
    expect::shape(params.out, "out", {num, channels, params.x.sizes[2], params.x.sizes[3]});
    expect_countable_planes(params.x, "x");
    if (!params.workspace.given() || params.x.num_elements() == 0) return;
    expect::rank(params.workspace, "workspace", 4);
    const std::int64_t num_pieces = params.workspace.sizes[0];
    expect::shape(params.workspace, "workspace", {num_pieces, num, channels, 2});
    view<float, 4>(params.workspace, "workspace");  // its dtype
    const std::int64_t elements = params.workspace.num_elements(), *strides = params.workspace.strides;
    const bool contiguous = strides[3] == 1 && strides[2] == 2 && strides[1] == 2 * channels &&
                            strides[0] == 2 * channels * num;
    if (num_pieces < 1 || num_pieces > MOST_PIECES || elements > std::numeric_limits<int>::max() || !contiguous) {
        expect::refuse(params.workspace, "workspace",
                       "[P, N, C, 2], contiguous, with 1 ≤ P ≤ 65535 and fewer than 2^31 elements");
    }
}

}  // namespace instance_norm

void cuda::adain(const Adain& given, Queue queue) {
    using namespace instance_norm;
    check(given);
    if (given.x.num_elements() == 0) return;
    Adain params = given;
    drop_idle_strides(params.x);
    drop_idle_strides(params.out);
    dispatch(params.x.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        constexpr int V = WIDEST<T>;
        const Problem<T> problem = {
            view<const T, 4>(params.x, "x"),
            view<const float, 4>(params.noise, "noise"),
            view<const float, 1>(params.strength, "strength"),
            view<const float, 1>(params.bias, "bias"),
            view<const float, 2>(params.scale, "scale"),
            view<const float, 2>(params.shift, "shift"),
            view<T, 4>(params.out, "out"),
            params.activation,
            float(params.alpha),
            float(params.gain),
            float(params.epsilon),
            {},
            0,
        };
        const auto vectors = [&](int along) {
            return can_vectorize(params.x, along, V, sizeof(T)) && can_vectorize(params.out, along, V, sizeof(T));
        };
        const bool channels_last = params.x.strides[1] == 1 && params.out.strides[1] == 1;
        const bool rows = can_load_rows(params.strength) && can_load_rows(params.bias) &&
                          can_load_rows(params.scale) && can_load_rows(params.shift);
        const bool wide = channels_last ? vectors(1) && rows : vectors(3) && can_load_rows(params.noise);
        dispatch(wide, [&](auto wide) {
            constexpr int VECTOR = wide ? V : 1;
            channels_last ? launch_along<1, VECTOR>(problem, params.workspace, queue)
                          : launch_along<3, VECTOR>(problem, params.workspace, queue);
        });
    });
}

}  // namespace higan_fast
