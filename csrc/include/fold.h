// Merges dimensions that need no loop of their own.
#pragma once

#include <initializer_list>

#include "tensor_view.h"

namespace higan_fast {

// Merges dimension `slow` into dimension `fast` if one stride then traverses both in each of these tensors (tensors
// that are not given are ignored). Dimension `slow` is left with one element and stride 0.
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

// Sets the strides of one-element dimensions to 0: they are meaningless and could only get in the way.
inline void drop_idle_strides(Tensor& tensor) {
    for (int i = 0; i < tensor.rank; ++i) {
        if (tensor.sizes[i] == 1) tensor.strides[i] = 0;
    }
}

}  // namespace higan_fast
