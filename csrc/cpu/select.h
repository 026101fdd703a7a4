// The CPU's ops, compiled for the best instruction set that this machine has.
#pragma once

#include <vector>

#include "../kernels/ops.h"

namespace higan_fast::cpu {

const Ops& ops();
const char* isa();                         // "baseline", "avx2" or "avx512"
std::vector<const char*> compiled_isas();  // all in this build, the most basic first

}  // namespace higan_fast::cpu
