// What the CUDA runtime reports about this machine.
#pragma once

#include <string>
#include <vector>

namespace higan_fast::cuda {

struct Device {
    std::string name;
    int major = 0, minor = 0;  // compute capability
};

// Empty without a driver or a device; `problem` then says why.
std::vector<Device> devices(std::string& problem);

// 13000 for CUDA 13.0; 0 without a driver.
int driver_version();
int runtime_version();

}  // namespace higan_fast::cuda
