// Python's (address, dtype code, sizes, strides), or None → Tensor.
#pragma once

#include <pybind11/pybind11.h>

#include "../include/tensor_view.h"

namespace pybind11::detail {

template <>
struct type_caster<higan_fast::Tensor> {
    PYBIND11_TYPE_CASTER(higan_fast::Tensor, const_name("tuple[int, int, Sequence[int], Sequence[int]] | None"));

    bool load(handle source, bool) {
        value = {};
        if (source.is_none()) return true;
        if (!isinstance<tuple>(source)) return false;
        const auto parts = reinterpret_borrow<tuple>(source);
        if (parts.size() != 4) return false;
        const auto sizes = reinterpret_borrow<tuple>(parts[2]), strides = reinterpret_borrow<tuple>(parts[3]);
        if (sizes.size() != strides.size() || sizes.size() > higan_fast::MAX_RANK) {
            throw std::invalid_argument("a tensor of rank " + std::to_string(sizes.size()) + ", expected at most " +
                                        std::to_string(higan_fast::MAX_RANK));
        }
        value.data = reinterpret_cast<void*>(parts[0].cast<std::uintptr_t>());
        value.dtype = higan_fast::DType(parts[1].cast<int>());
        value.rank = int(sizes.size());
        for (int i = 0; i < value.rank; ++i) {
            value.sizes[i] = sizes[i].cast<std::int64_t>();
            value.strides[i] = strides[i].cast<std::int64_t>();
        }
        return true;
    }
};

}  // namespace pybind11::detail
