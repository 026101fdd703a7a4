// The CUDA kernels under emulation, for tests: the same `cuda` submodule as in the extension, but on host memory.
#include <pybind11/pybind11.h>

#include "../emulation/order.h"
#include "../kernels/table.h"
#include "bind_ops.h"

namespace py = pybind11;

PYBIND11_MODULE(higan_fast_emulated, m) {
    py::module_ cuda = m.def_submodule("cuda");
    higan_fast::bind_ops(cuda, higan_fast::cuda::ops());

    using higan_fast::emulation::Order;
    py::enum_<Order>(m, "Order")
        .value("forward", Order::forward)
        .value("reverse", Order::reverse)
        .value("shuffled", Order::shuffled);
    m.def("set_order", &higan_fast::emulation::set_order, py::arg("order"), py::arg("seed") = 0);
}
