#include "device.h"

#include <cuda_runtime.h>

namespace higan_fast::cuda {

std::vector<Device> devices(std::string& problem) {
    int num = 0;
    const cudaError_t code = cudaGetDeviceCount(&num);
    if (code != cudaSuccess) {
        cudaGetLastError();  // clears the error, so that no later launch reports it
        problem = cudaGetErrorString(code);
        return {};
    }
    std::vector<Device> found(num);
    for (int i = 0; i < num; ++i) {
        cudaDeviceProp properties{};
        if (cudaGetDeviceProperties(&properties, i) != cudaSuccess) continue;
        found[i] = {properties.name, properties.major, properties.minor};
    }
    return found;
}

int driver_version() {
    int version = 0;
    return cudaDriverGetVersion(&version) == cudaSuccess ? version : 0;
}

int runtime_version() {
    int version = 0;
    return cudaRuntimeGetVersion(&version) == cudaSuccess ? version : 0;
}

}  // namespace higan_fast::cuda
