// Shape checks for launch functions; errors name the tensor.
#pragma once

#include <initializer_list>

#include "tensor_view.h"

namespace higan_fast::expect {

inline std::string text(const std::int64_t* sizes, int rank) {
    std::string joined = "[";
    for (int i = 0; i < rank; ++i) joined += (i == 0 ? "" : ", ") + std::to_string(sizes[i]);
    return joined + "]";
}

[[noreturn]] inline void refuse(const Tensor& tensor, const char* name, const std::string& expected) {
    throw std::invalid_argument(std::string(name) + ": got " +
                                (tensor.given() ? "shape " + text(tensor.sizes, tensor.rank) : "nothing") +
                                ", expected " + expected);
}

// For a required tensor.
inline void shape(const Tensor& tensor, const char* name, std::initializer_list<std::int64_t> sizes) {
    bool same = tensor.rank == int(sizes.size());
    for (int i = 0; same && i < tensor.rank; ++i) same = tensor.sizes[i] == sizes.begin()[i];
    if (!same) refuse(tensor, name, "shape " + text(sizes.begin(), int(sizes.size())));
}

// For an optional tensor.
inline void shape_if_given(const Tensor& tensor, const char* name, std::initializer_list<std::int64_t> sizes) {
    if (tensor.given()) shape(tensor, name, sizes);
}

inline void rank(const Tensor& tensor, const char* name, int expected) {
    if (tensor.rank != expected) refuse(tensor, name, "rank " + std::to_string(expected));
}

// Ensures that an index past the end of a dimension, by less than a grid's last tile, still fits 32 bits.
inline void moderate_sizes(const Tensor& tensor, const char* name) {
    for (int i = 0; i < tensor.rank; ++i) {
        if (tensor.sizes[i] > (1 << 30)) refuse(tensor, name, "sizes of at most 2^30");
    }
}

}  // namespace higan_fast::expect
