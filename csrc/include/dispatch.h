// Turns run-time values into template parameters.
#pragma once

#include "tensor_view.h"

namespace higan_fast {

template <class T>
struct Type {
    using type = T;
};

// Calls f(Type<T>{}) with the C++ type of a dtype; only the CPU supports float64.
template <class F>
void dispatch(DType dtype, F&& f) {
    switch (dtype) {
        case DType::float32: return f(Type<float>{});
        case DType::float16: return f(Type<half_t>{});
        case DType::bfloat16: return f(Type<bfloat16_t>{});
#if !defined(__CUDACC__) && !defined(HIGAN_FAST_EMULATION)
        case DType::float64: return f(Type<double>{});
#endif
        default: break;
    }
    throw std::invalid_argument("dtype: got code " + std::to_string(int(dtype)) +
                                ", expected float32, float16 or bfloat16");
}

// Calls f(std::true_type) or f(std::false_type).
template <class F>
void dispatch(bool value, F&& f) {
    if (value) {
        f(std::true_type{});
    } else {
        f(std::false_type{});
    }
}

}  // namespace higan_fast
