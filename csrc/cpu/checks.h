// Tensor checks that all ops share. Compiled once, for the baseline instruction set: see instruction_sets.cmake.
#pragma once

#include "../include/tensor_view.h"

namespace higan_fast::cpu {

// Throws std::invalid_argument with the argument's name unless the tensor has this dtype and these sizes.
void check_tensor(const Tensor& tensor, const char* name, DType dtype, int rank, const std::int64_t* sizes);

// Throws std::invalid_argument: no kernel is compiled for this dtype.
[[noreturn]] void unknown_dtype(DType dtype);

// Throws std::invalid_argument with the value that came and what was `expected`.
[[noreturn]] void wrong_argument(const char* name, std::int64_t got, const char* expected);

}  // namespace higan_fast::cpu
