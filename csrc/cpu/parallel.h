// Loops over independent jobs, on the number of threads in the queue.
#pragma once

#include "../include/launch.h"
#include "array.h"

namespace higan_fast::cpu::HIGAN_FAST_ISA {

constexpr Index ONE_THREADS_WORK = 32 * 1024;  // elements that one thread finishes before others have woken up

// Calls body(job) for each job, in any order. A job's result must depend on its index alone, so that the number
// of threads never changes a result. `elements`: the number that all jobs touch together.
template <class Body>
void parallel_for(Queue queue, Index jobs, Index elements, const Body& body) {
    if (queue <= 1 || jobs <= 1 || elements < ONE_THREADS_WORK) {
        for (Index job = 0; job < jobs; ++job) body(job);
        return;
    }
    const int threads = int(queue < jobs ? queue : jobs);
    const Index chunk = jobs / (threads * 8) + 1;  // small enough that a core slowed down by other work gets less
#pragma omp parallel for num_threads(threads) schedule(dynamic, chunk)
    for (Index job = 0; job < jobs; ++job) body(job);
}

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
