// Several neighbouring elements in one load or store of up to 16 bytes.
#pragma once

#include "tensor_view.h"

namespace higan_fast {

template <class T, int V>
struct alignas(sizeof(T) * V) Vec {
    T values[V];

    HOST_DEVICE T& operator[](int i) { return values[i]; }
    HOST_DEVICE const T& operator[](int i) const { return values[i]; }
};

// All elements of a vector as floats, and back.
template <class T, int V>
HOST_DEVICE void widen(float (&to)[V], const Vec<T, V>& from) {
    for (int v = 0; v < V; ++v) to[v] = widen(from[v]);
}

template <class T, int V>
HOST_DEVICE Vec<T, V> narrow_all(const float (&from)[V]) {
    Vec<T, V> to;
    for (int v = 0; v < V; ++v) to[v] = narrow<T>(from[v]);
    return to;
}

// Number of elements in 16 bytes.
template <class T>
constexpr int WIDEST = 16 / int(sizeof(T));

// The V elements along dimension `along` (whose stride is 1) from the given index on. The address must be a multiple
// of the vector's size; launch functions ensure this with can_vectorize.
template <int V, class T, int R, class... Index>
HOST_DEVICE Vec<std::remove_const_t<T>, V>& vec_at(const View<T, R>& view, int along, Index... index) {
#ifdef HIGAN_FAST_EMULATION
    emulation::check_bounds({int(index)...}, view.sizes, R, V, along);
    emulation::check_alignment(view.data + view.offset(index...), sizeof(T) * V);
#else
    (void)along;
#endif
    using Plain = std::remove_const_t<T>;
    return *reinterpret_cast<Vec<Plain, V>*>(const_cast<Plain*>(view.data + view.offset(index...)));
}

// The V elements at a precomputed offset from the first. Emulation checks this against the tensor as a whole only:
// crossing the end of a dimension goes unnoticed.
template <int V, class T, int R>
HOST_DEVICE Vec<std::remove_const_t<T>, V>& vec_at_offset(const View<T, R>& view, std::int64_t offset) {
#ifdef HIGAN_FAST_EMULATION
    std::int64_t last = 0;
    for (int i = 0; i < R; ++i) last += std::int64_t(view.sizes[i] - 1) * view.strides[i];
    const int vectors[1] = {int((last + 1) / V)};
    emulation::check_bounds({int(offset < 0 ? -1 : offset / V)}, vectors, 1, 1, 0);
    emulation::check_alignment(view.data + offset, sizeof(T) * V);
#endif
    using Plain = std::remove_const_t<T>;
    return *reinterpret_cast<Vec<Plain, V>*>(const_cast<Plain*>(view.data + offset));
}

// Whether all vectors of V elements along dimension `along` are aligned and stay within the dimension.
inline bool can_vectorize(const Tensor& tensor, int along, int V, int element_size) {
    if (!tensor.given()) return true;
    if (tensor.strides[along] != 1 || tensor.sizes[along] % V != 0) return false;
    if (reinterpret_cast<std::uintptr_t>(tensor.data) % std::uintptr_t(V * element_size) != 0) return false;
    for (int i = 0; i < tensor.rank; ++i) {
        if (i != along && tensor.strides[i] % V != 0) return false;
    }
    return true;
}

// Loads K elements along the last dimension of a float tensor, from the given index on, four at a time. If K is not 1,
// the launch function must have checked can_load_rows.
template <int K, int R, class... Lead>
HOST_DEVICE void load_row(float (&to)[K], const View<const float, R>& from, int first, Lead... lead) {
    constexpr int V = K < 4 ? K : 4;
    for (int i = 0; i < K; i += V) {
        const Vec<float, V> some = vec_at<V>(from, R - 1, lead..., first + i);
        for (int j = 0; j < V; ++j) to[i + j] = some[j];
    }
}

// Loads four elements of a row, V at a time; zeros past the end of the row or of the matrix.
template <int V>
HOST_DEVICE Vec<float, 4> load_four(const View<const float, 2>& rows, int row, int c) {
    Vec<float, 4> four = {};
    if (row >= rows.sizes[0]) return four;
    for (int v = 0; v < 4; v += V) {
        if (c + v >= rows.sizes[1]) break;
        const Vec<float, V> some = vec_at<V>(rows, 1, row, c + v);
        for (int i = 0; i < V; ++i) four[v + i] = some[i];
    }
    return four;
}

inline bool can_load_rows(const Tensor& tensor) {
    return can_vectorize(tensor, tensor.rank - 1, 4, sizeof(float));
}

}  // namespace higan_fast
