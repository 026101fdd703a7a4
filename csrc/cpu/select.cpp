#include "select.h"

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

// The most basic first; instruction_sets.cmake lists the compiler flags of each.
const InstructionSet SETS[] = {
    {"baseline", baseline::table, [] { return true; }},
#ifdef __x86_64__
    {"avx2", avx2::table,
     [] {
         return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
     }},
    {"avx512", avx512::table,
     [] {
         return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
     }},
#endif
};

const InstructionSet& best() {
    static const InstructionSet& found = []() -> const InstructionSet& {
        const InstructionSet* last = SETS;
        for (const InstructionSet& set : SETS) {
            if (set.runs_here()) last = &set;
        }
        return *last;
    }();
    return found;
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
