// Dimensions that need no loop of their own.
#pragma once

#include <initializer_list>

#include "tensor_view.h"

namespace higan_fast {

// Folds dimension `slow` into dimension `fast`, which becomes longer, if that is an even walk through each of
// these tensors (those not given do not mind). Dimension `slow` is left with one element and no stride.
inline bool fold(std::initializer_list<Tensor*> tensors, int slow, int fast) {
    for (const Tensor* tensor : tensors) {
        if (!tensor->given()) continue;
        const std::int64_t num_slow = tensor->sizes[slow], num_fast = tensor->sizes[fast];
        if (num_slow * num_fast > (1 << 30)) return false;
        const bool even = tensor->strides[slow] == num_fast * tensor->strides[fast];
        if (num_slow > 1 && num_fast > 1 && !even) return false;
    }
    for (Tensor* tensor : tensors) {
        if (!tensor->given()) continue;
        if (tensor->sizes[fast] == 1) tensor->strides[fast] = tensor->strides[slow];
        tensor->sizes[fast] *= tensor->sizes[slow];
        tensor->sizes[slow] = 1;
        tensor->strides[slow] = 0;
    }
    return true;
}

// Takes the strides from dimensions of one element, where they mean nothing and could only hinder.
inline void drop_idle_strides(Tensor& tensor) {
    for (int i = 0; i < tensor.rank; ++i) {
        if (tensor.sizes[i] == 1) tensor.strides[i] = 0;
    }
}

}  // namespace higan_fast
