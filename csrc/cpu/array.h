// Tensors as the CPU kernels see them: typed, checked, with 64-bit strides; and scratch buffers.
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

// The same for an optional tensor; if it is not given, the array converts to false.
template <class T, int R>
Array<T, R> optional_array(const Tensor& tensor, const char* name, const Index (&sizes)[R]) {
    return tensor.given() ? array<T>(tensor, name, sizes) : Array<T, R>{};
}

// Calls f(Type<T>{}) with the C++ type of a dtype. (With the version in dispatch.h the linker would have to choose
// among copies; see instruction_sets.cmake.)
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
        case DType::int64: break;
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

// A tensor [N, C] times gain with contiguous channels: the tensor itself or a copy. If it is not given: one row of
// `missing` times gain.
template <class S>
class Factors {
  public:
    Factors(const Tensor& tensor, const char* name, Index num, Index channels, S missing, S gain)
        : given_(optional_array<const S>(tensor, name, {num, channels})),
          stride_(given_ ? channels : 0),
          copy_(as_it_is(gain) ? 0 : given_ ? num * channels : channels),
          data_(copy_.data()) {
        if (as_it_is(gain)) {
            data_ = given_.data;
            stride_ = given_.strides[0];
            return;
        }
        for (Index n = 0; n < (given_ ? num : 1); ++n) {
            for (Index c = 0; c < channels; ++c) {
                copy_[n * stride_ + c] = (given_ ? *given_.at(n, c) : missing) * gain;
            }
        }
    }
    ALWAYS_INLINE const S* at(Index n, Index c) const { return data_ + n * stride_ + c; }

  private:
    bool as_it_is(S gain) const { return given_ && given_.strides[1] == 1 && gain == 1; }

    Array<const S, 2> given_;
    Index stride_;
    Buffer<S> copy_;
    const S* data_;
};

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
