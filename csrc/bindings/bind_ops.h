// One backend's table of ops → one Python submodule with a function for each.
#pragma once

#include <pybind11/pybind11.h>

#include "../kernels/ops.h"

namespace higan_fast {

// Every function takes its tensors and numbers in the order of the op's struct, then the queue: a CUDA stream's
// address, or the number of CPU threads. The GIL is released while it runs. An op that the backend lacks is left out.
void bind_ops(pybind11::module_ module, const Ops& ops);

}  // namespace higan_fast
