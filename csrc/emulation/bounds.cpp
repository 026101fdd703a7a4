// Error messages for accesses that a tensor view refuses.
#include "bounds.h"

#include <cstdio>
#include <string>

#include "waits.h"

namespace higan_fast::emulation {

namespace {

std::string list(const int* numbers, int num) {
    std::string text;
    for (int i = 0; i < num; ++i) text += (i > 0 ? ", " : "") + std::to_string(numbers[i]);
    return "[" + text + "]";
}

}  // namespace

void fail_bounds(const int* index, const int* sizes, int rank, int width, int along) {
    std::string what = "index " + list(index, rank);
    if (width > 1) what += " and " + std::to_string(width) + " elements along dimension " + std::to_string(along);
    fail(what + " out of bounds: sizes " + list(sizes, rank));
}

void fail_alignment(const void* address, std::size_t size) {
    char text[32];
    std::snprintf(text, sizeof text, "%p", address);
    fail("misaligned access: address " + std::string(text) + " is no multiple of " + std::to_string(size) +
         " bytes");
}

}  // namespace higan_fast::emulation
