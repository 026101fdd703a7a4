// The extension module: submodules `cpu` and, if compiled, `cuda`, each with the ops and build information.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "../cpu/select.h"
#include "bind_ops.h"

#ifdef HIGAN_FAST_CUDA_ARCHS
#include "../kernels/device.h"
#include "../kernels/table.h"
#endif

namespace py = pybind11;

PYBIND11_MODULE(_extension, m) {
    m.doc() = "higan_fast's kernels. Use them through higan_fast.ops.";

    py::module_ cpu = m.def_submodule("cpu");
    higan_fast::bind_ops(cpu, higan_fast::cpu::ops());
    cpu.attr("instruction_set") = higan_fast::cpu::isa();
    cpu.attr("compiled_instruction_sets") = higan_fast::cpu::compiled_isas();

#ifdef HIGAN_FAST_CUDA_ARCHS
    py::module_ cuda = m.def_submodule("cuda");
    higan_fast::bind_ops(cuda, higan_fast::cuda::ops());
    cuda.attr("architectures") = HIGAN_FAST_CUDA_ARCHS;
    cuda.def("driver_version", &higan_fast::cuda::driver_version);
    cuda.def("runtime_version", &higan_fast::cuda::runtime_version);
    // (devices as (name, major, minor), why there are none or "")
    cuda.def("devices", [] {
        std::string problem;
        std::vector<std::tuple<std::string, int, int>> found;
        for (const auto& device : higan_fast::cuda::devices(problem)) {
            found.emplace_back(device.name, device.major, device.minor);
        }
        return std::make_pair(found, problem);
    });
#endif
}
