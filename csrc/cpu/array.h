// Tensors as the CPU's kernels see them: typed, checked, with 64-bit strides; and memory of our own.
#pragma once

#include <new>

#include "checks.h"
#include "simd.h"

namespace higan_fast::cpu::HIGAN_FAST_ISA {

using Index = std::int64_t;

template <class T, int R>
struct Array {
    T* data = nullptr;
    Index strides[R] = {};

    ALWAYS_INLINE explicit operator bool() const { return data != nullptr; }

    template <class... I>
    ALWAYS_INLINE T* at(I... index) const {
        static_assert(sizeof...(I) == R, "one index for each dimension");
        const Index each[R] = {Index(index)...};
        T* p = data;
        for (int i = 0; i < R; ++i) p += each[i] * strides[i];
        return p;
    }
};

// A tensor that must have these sizes.
template <class T, int R>
Array<T, R> array(const Tensor& tensor, const char* name, const Index (&sizes)[R]) {
    check_tensor(tensor, name, dtype_of<std::remove_const_t<T>>, R, sizes);
    Array<T, R> typed;
    typed.data = static_cast<T*>(tensor.data);
    for (int i = 0; i < R; ++i) typed.strides[i] = tensor.strides[i];
    return typed;
}

// The same for one that may be not given: then the array is false.
template <class T, int R>
Array<T, R> optional_array(const Tensor& tensor, const char* name, const Index (&sizes)[R]) {
    return tensor.given() ? array<T>(tensor, name, sizes) : Array<T, R>{};
}

// Calls f(Type<T>{}) with the type that a dtype stands for. (dispatch.h's own would leave the linker copies to
// choose among; see instruction_sets.cmake.)
template <class T>
struct Type {
    using type = T;
};

template <class F>
ALWAYS_INLINE void with_type(DType dtype, const F& f) {
    switch (dtype) {
        case DType::float32: return f(Type<float>{});
        case DType::float16: return f(Type<half_t>{});
        case DType::bfloat16: return f(Type<bfloat16_t>{});
        case DType::float64: return f(Type<double>{});
    }
    unknown_dtype(dtype);
}

// Uninitialised numbers, aligned to a cache line.
template <class S>
class Buffer {
  public:
    explicit Buffer(Index length)
        : data_(static_cast<S*>(::operator new(std::size_t(length) * sizeof(S), std::align_val_t(64)))) {}
    ~Buffer() { ::operator delete(data_, std::align_val_t(64)); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    ALWAYS_INLINE S* data() const { return data_; }
    ALWAYS_INLINE S& operator[](Index i) const { return data_[i]; }

  private:
    S* data_;
};

// A copy of a small tensor [N, C] times gain, channels side by side; one row of `missing` if it is not given.
template <class S>
class Factors {
  public:
    Factors(const Tensor& tensor, const char* name, Index num, Index channels, S missing, S gain)
        : stride_(tensor.given() ? channels : 0), values_(tensor.given() ? num * channels : channels) {
        const auto given = optional_array<const S>(tensor, name, {num, channels});
        for (Index n = 0; n < (given ? num : 1); ++n) {
            for (Index c = 0; c < channels; ++c) {
                values_[n * stride_ + c] = (given ? *given.at(n, c) : missing) * gain;
            }
        }
    }
    ALWAYS_INLINE const S* at(Index n, Index c) const { return values_.data() + n * stride_ + c; }

  private:
    Index stride_;
    Buffer<S> values_;
};

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
