// What the CUDA runtime says of this machine.
#pragma once

#include <string>
#include <vector>

namespace higan_fast::cuda {

struct Device {
    std::string name;
    int major = 0, minor = 0;  // compute capability
};

// Empty where there is no driver or no device: `problem` then says why.
std::vector<Device> devices(std::string& problem);

// 13000 for CUDA 13.0; 0 where there is no driver.
int driver_version();
int runtime_version();

}  // namespace higan_fast::cuda
