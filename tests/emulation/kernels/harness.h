// Small kernels by name, for test_emulator.py: it calls run() through ctypes.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "launch.h"
#include "tensor_view.h"
#include "vec.cuh"

namespace higan_fast {

constexpr int NUM = 256;  // elements of each case's output

using Output = View<float, 1>;

// What a case does: it launches its kernel so that it fills the output.
using Case = void (*)(Output);

inline std::map<std::string, Case>& cases() {
    static std::map<std::string, Case> all;
    return all;
}

struct Register {
    Register(const char* name, Case run) { cases()[name] = run; }
};

}  // namespace higan_fast

// CASE(name) { LAUNCH(name##_kernel, ...) }: the body sees `output`.
#define CASE(name)                                                        \
    static void run_##name(::higan_fast::Output output);                  \
    static const ::higan_fast::Register register_##name(#name, run_##name); \
    static void run_##name([[maybe_unused]] ::higan_fast::Output output)
