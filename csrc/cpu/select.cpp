#include "select.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif

namespace higan_fast::cpu {

namespace baseline {
const Ops& table();
}
#ifdef __x86_64__
namespace avx2 {
const Ops& table();
}
namespace avx512 {
const Ops& table();
}
#endif

namespace {

struct InstructionSet {
    const char* name;
    const Ops& (*table)();
    bool (*runs_here)();
};

#ifdef __x86_64__
bool supports_avx2() {
    // not every clang knows "f16c" in __builtin_cpu_supports
    unsigned eax, ebx, ecx = 0, edx;
    const bool f16c = __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);
    return f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

bool supports_avx512() {
    return supports_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

// The most basic first; instruction_sets.cmake lists the compiler flags of each.
const InstructionSet SETS[] = {
    {"baseline", baseline::table, [] { return true; }},
#ifdef __x86_64__
    {"avx2", avx2::table, supports_avx2},
    {"avx512", avx512::table, supports_avx512},
#endif
};

const InstructionSet& best() {
    static const InstructionSet* const found = [] {
        const InstructionSet* last = SETS;
        for (const InstructionSet& set : SETS) {
            if (set.runs_here()) last = &set;
        }
        return last;
    }();
    return *found;
}

}  // namespace

const Ops& ops() { return best().table(); }

const char* isa() { return best().name; }

std::vector<const char*> compiled_isas() {
    std::vector<const char*> names;
    for (const InstructionSet& set : SETS) names.push_back(set.name);
    return names;
}

}  // namespace higan_fast::cpu
