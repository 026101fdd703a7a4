// Runs a launch from its configuration to its last block, and holds the global state that kernels use.
#include "grid.h"

#include <mutex>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "block.h"
#include "faults.h"
#include "order.h"
#include "schedule.h"
#include "waits.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace higan_fast::emulation {

namespace {

// Stacks and shared memory are reused by later launches.
struct Machine {
    std::mutex busy;
    Order order = Order::shuffled;
    std::uint64_t seed = 0;
    Block block;
    const Launch* launch = nullptr;  // the running launch
} machine;

std::string triple(unsigned x, unsigned y, unsigned z) {
    return "(" + std::to_string(x) + ", " + std::to_string(y) + ", " + std::to_string(z) + ")";
}

// The kernel's name as passed to LAUNCH, without the parentheses around a name with commas.
std::string kernel_name(const Launch& launch) {
    const std::string name = launch.kernel;
    return name.front() == '(' ? name.substr(1, name.size() - 2) : name;
}

// Rejects configurations that no supported GPU accepts.
void check_configuration(const Launch& launch) {
    const dim3 &grid = launch.grid, &block = launch.block;
    const bool valid = block.volume() >= 1 && block.x <= 1024 && block.y <= 1024 && block.z <= 64 &&
                       block.volume() <= 1024 && grid.x >= 1 && grid.x <= 0x7fffffffu && grid.y >= 1 &&
                       grid.y <= 0xffffu && grid.z >= 1 && grid.z <= 0xffffu && launch.shared_bytes >= 0 &&
                       std::size_t(launch.shared_bytes) <= SharedMemory::MOST_BYTES;
    if (!valid) {
        throw std::runtime_error(kernel_name(launch) + ": invalid configuration: grid " +
                                 triple(grid.x, grid.y, grid.z) + ", block " + triple(block.x, block.y, block.z) +
                                 ", " + std::to_string(launch.shared_bytes) + " bytes of shared memory");
    }
}

}  // namespace

void set_order(Order order, std::uint64_t seed) {
    const std::lock_guard<std::mutex> lock(machine.busy);
    machine.order = order;
    machine.seed = seed;
}

void run(const Launch& launch) {
    check_configuration(launch);
    const std::lock_guard<std::mutex> lock(machine.busy);
    struct Current {
        explicit Current(const Launch& launch) { machine.launch = &launch; }
        ~Current() { machine.launch = nullptr; }
    } const current(launch);
    const FaultCatcher catcher;
    Schedule schedule(machine.order, machine.seed);
    blockDim = launch.block;
    gridDim = launch.grid;

    std::vector<int> blocks(gridDim.volume());
    std::iota(blocks.begin(), blocks.end(), 0);
    schedule.arrange(blocks);
    for (const int block : blocks) {
        const unsigned i = unsigned(block);
        blockIdx = {i % gridDim.x, i / gridDim.x % gridDim.y, i / gridDim.x / gridDim.y};
        machine.block.run(launch, schedule);
    }
}

void wait_for_block(Place place) { machine.block.wait_for_block(place); }

void wait_for_warp(unsigned mask, const char* name, WarpOperation operation, void* argument, Place place) {
    machine.block.wait_for_warp(mask, name, operation, argument, place);
}

void note_access(const void* address, std::size_t bytes, std::size_t alignment, Access access) {
    machine.block.note_access(address, bytes, alignment, access);
}

unsigned char* shared_memory() { return machine.block.shared().begin(); }

void fail(const std::string& message) {
    const Launch* const launch = machine.launch;
    if (launch == nullptr) throw std::runtime_error("outside of any kernel: " + message);
    std::string what = kernel_name(*launch) + ": " + message + "; block " +
                       triple(blockIdx.x, blockIdx.y, blockIdx.z);
    if (machine.block.in_thread()) what += ", thread " + triple(threadIdx.x, threadIdx.y, threadIdx.z);
    throw std::runtime_error(what);
}

}  // namespace higan_fast::emulation
