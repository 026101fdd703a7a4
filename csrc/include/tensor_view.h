// Tensors as kernels see them: a pointer with sizes and strides, in a type-erased form and as a typed view.
#pragma once

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "number.h"

#ifdef HIGAN_FAST_EMULATION
#include "../emulation/bounds.h"
#endif

namespace higan_fast {

constexpr int MAX_RANK = 4;

// No op computes in int64: it is for indices.
enum class DType : int { float32 = 0, float16 = 1, bfloat16 = 2, float64 = 3, int64 = 4 };

// inline: without it g++ 16 gives each source an external definition, and they do not link (C++'s issue CWG 2387).
template <class T>
inline constexpr DType dtype_of = DType::float32;
template <>
inline constexpr DType dtype_of<half_t> = DType::float16;
template <>
inline constexpr DType dtype_of<bfloat16_t> = DType::bfloat16;
template <>
inline constexpr DType dtype_of<double> = DType::float64;
template <>
inline constexpr DType dtype_of<std::int64_t> = DType::int64;

// A tensor of any dtype, as the caller passes it. Strides count elements; a broadcast dimension has stride 0. An
// argument that was not given has null data and rank 0; an empty tensor may have null data as well.
struct Tensor {
    void* data = nullptr;
    DType dtype = DType::float32;
    int rank = 0;
    std::int64_t sizes[MAX_RANK] = {};
    std::int64_t strides[MAX_RANK] = {};

    HOST_DEVICE bool given() const { return rank > 0; }
    HOST_DEVICE std::int64_t num_elements() const {
        std::int64_t num = given() ? 1 : 0;
        for (int i = 0; i < rank; ++i) num *= sizes[i];
        return num;
    }
};

// A typed view of rank R. Sizes and strides fit 32 bits, so computing an offset takes a few wide multiply-adds.
template <class T, int R>
struct View {
    T* data = nullptr;
    int sizes[R] = {};
    int strides[R] = {};

    HOST_DEVICE explicit operator bool() const { return data != nullptr; }

    template <class... Index>
    HOST_DEVICE std::int64_t offset(Index... index) const {
        static_assert(sizeof...(Index) == R, "one index for each dimension");
        const int at[R] = {int(index)...};
        std::int64_t sum = 0;
        for (int i = 0; i < R; ++i) sum += std::int64_t(at[i]) * strides[i];
        return sum;
    }

    template <class... Index>
    HOST_DEVICE T& operator()(Index... index) const {
#ifdef HIGAN_FAST_EMULATION
        emulation::check_bounds({int(index)...}, sizes, R, 1, 0);
#endif
        return data[offset(index...)];
    }
};

// Returns the typed view of a tensor; for an argument that was not given, a view that converts to false.
template <class T, int R>
View<T, R> view(const Tensor& tensor, const char* name) {
    View<T, R> typed;
    if (!tensor.given()) return typed;
    if (tensor.rank != R) {
        throw std::invalid_argument(std::string(name) + ": got rank " + std::to_string(tensor.rank) +
                                    ", expected " + std::to_string(R));
    }
    if (tensor.dtype != dtype_of<std::remove_const_t<T>>) {
        throw std::invalid_argument(std::string(name) + ": got dtype code " +
                                    std::to_string(int(tensor.dtype)) + ", expected " +
                                    std::to_string(int(dtype_of<std::remove_const_t<T>>)));
    }
    typed.data = static_cast<T*>(tensor.data);
    for (int i = 0; i < R; ++i) {
        if (tensor.sizes[i] > std::numeric_limits<int>::max() ||
            tensor.strides[i] > std::numeric_limits<int>::max() || tensor.strides[i] < 0) {
            throw std::invalid_argument(std::string(name) + ": a size or stride does not fit 31 bits");
        }
        typed.sizes[i] = int(tensor.sizes[i]);
        typed.strides[i] = int(tensor.strides[i]);
    }
    return typed;
}

}  // namespace higan_fast
