#include "checks.h"

namespace higan_fast::cpu {

namespace {

constexpr const char* DTYPE_NAMES[] = {"float32", "float16", "bfloat16", "float64"};

std::string name_of(DType dtype) {
    const int code = int(dtype);
    return code >= 0 && code < 4 ? DTYPE_NAMES[code] : "code " + std::to_string(code);
}

std::string shape(int rank, const std::int64_t* sizes) {
    std::string text = "[";
    for (int i = 0; i < rank; ++i) text += (i ? ", " : "") + std::to_string(sizes[i]);
    return text + "]";
}

}  // namespace

void check_tensor(const Tensor& tensor, const char* name, DType dtype, int rank, const std::int64_t* sizes) {
    bool fits = tensor.dtype == dtype && tensor.rank == rank;
    for (int i = 0; fits && i < rank; ++i) fits = tensor.sizes[i] == sizes[i] && tensor.strides[i] >= 0;
    if (!fits) {
        throw std::invalid_argument(std::string(name) + ": got " + name_of(tensor.dtype) + " " +
                                    shape(tensor.rank, tensor.sizes) + ", expected " + name_of(dtype) + " " +
                                    shape(rank, sizes) + " with strides of 0 or more");
    }
}

void unknown_dtype(DType dtype) {
    throw std::invalid_argument("dtype: got " + name_of(dtype) +
                                ", expected float32, float16, bfloat16 or float64");
}

void wrong_argument(const char* name, std::int64_t got, const char* expected) {
    throw std::invalid_argument(std::string(name) + ": got " + std::to_string(got) + ", expected " + expected);
}

}  // namespace higan_fast::cpu
