// Turns a backend's table of ops into a Python submodule with one function per op.
#pragma once

#include <pybind11/pybind11.h>

#include "../kernels/ops.h"

namespace higan_fast {

// A function takes tensors and numbers in the order of the op's struct, then the queue: the address of a CUDA stream or
// the number of CPU threads. It releases the GIL while it runs. Ops that the backend lacks are left out.
void bind_ops(pybind11::module_ module, const Ops& ops);

}  // namespace higan_fast
