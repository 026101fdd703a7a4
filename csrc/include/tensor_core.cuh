// Matrix products on tensor cores: asynchronous copies, fragments loaded from shared memory, and products. These are
// thin wrappers of single instructions of sm_80 and later, followed by their twins for emulation.
#pragma once

#include <cstring>

#include "vec.cuh"
#include "warp.cuh"

#ifdef HIGAN_FAST_EMULATION
#include <vector>

#include "../emulation/waits.h"
#endif

namespace higan_fast {

// Two neighbouring 16-bit numbers in a register, the first in the lower half, or one float.
using Pair = std::uint32_t;

// Loads the pair at an address that is a multiple of 4.
template <class T>
__device__ Pair load_pair(const T* address) {
    using Numbers = Vec<T, sizeof(Pair) / sizeof(T)>;
    const Numbers numbers = *reinterpret_cast<const Numbers*>(address);
    Pair pair;
    std::memcpy(&pair, &numbers, sizeof pair);
    return pair;
}

// Returns the same value, but hides its origin from the compiler, so that it stays in a register. Under register
// pressure the compiler would recompute it at each use, which is expensive in a main loop.
__device__ inline int opaque(int value) {
#ifndef HIGAN_FAST_EMULATION
    asm("" : "+r"(value));
#endif
    return value;
}

template <class T>
__device__ T* opaque(T* value) {
#ifndef HIGAN_FAST_EMULATION
    asm("" : "+l"(value));
#endif
    return value;
}

#ifndef HIGAN_FAST_EMULATION

// A thread's asynchronous copies of 16 bytes from global to shared memory, in groups.
class AsyncCopies {
public:
    // Copies the 16-byte vector number `vector` of from.data, or writes zeros if not `valid` (it need not exist then).
    // `to` is 16-byte aligned, and nobody may touch its contents until the wait.
    template <class T, int R>
    __device__ void copy(T* to, const View<const T, R>& from, int vector, bool valid) {
        const unsigned address = unsigned(__cvta_generic_to_shared(to));
        const auto* const source = reinterpret_cast<const Vec<T, 16 / sizeof(T)>*>(from.data) + vector;
        asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(address), "l"(source),
                     "r"(valid ? 16 : 0)
                     : "memory");
    }

    // Closes a group: all copies since the last commit.
    __device__ void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

    // Waits until at most the newest N groups are pending. The completed copies are visible to this thread, and to the
    // block after the next __syncthreads. No copy may be pending when the thread ends.
    template <int N>
    __device__ void wait() {
        asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
    }
};

// Loads four 8×8 matrices of 16-bit numbers. Lane l passes the address of row l % 8 of matrix l / 8: 16 aligned bytes
// of shared memory. From each matrix it gets the pair in row l / 4, columns 2·(l % 4) and the next. Of floats a matrix
// has 8×4, and a lane gets that in row l / 4, column l % 4.
template <class T>
__device__ void load_matrices(Pair (&matrices)[4], const T* row) {
    const unsigned address = unsigned(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
                 : "r"(address)
                 : "memory");
}

#define HIGAN_FAST_MMA(type)                                                                               \
    asm("mma.sync.aligned.m16n8k16.row.col.f32." type "." type                                             \
        ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                             \
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])                                           \
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))

// sum += a · b over the warp: a is 16×16, b 16×8, sum 16×8. With r = lane / 4 and c = 2·(lane % 4), a lane holds
//     a[0…3]: the pairs that start at (row, column) (r, c), (r + 8, c), (r, c + 8), (r + 8, c + 8) of a;
//     b[0, 1]: those of rows c, c + 1 and c + 8, c + 9, both in column r of b;
//     sum[0…3]: the numbers at (r, c), (r, c + 1), (r + 8, c), (r + 8, c + 1).
template <class T>
__device__ void multiply_matrices(float (&sum)[4], const Pair (&a)[4], const Pair (&b)[2]) {
    if constexpr (std::is_same_v<T, half_t>) {
        HIGAN_FAST_MMA("f16");
    } else {
        HIGAN_FAST_MMA("bf16");
    }
}

#undef HIGAN_FAST_MMA

// Both products, rounded to T.
template <class T>
__device__ Pair multiply_pairs(Pair a, Pair b) {
    Pair product;
    if constexpr (std::is_same_v<T, half_t>) {
        asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(product) : "r"(a), "r"(b));
    } else {  // sm_80 has no plain product of bfloat16 pairs; adding −0 changes nothing
        asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(product) : "r"(a), "r"(b), "r"(0x80008000u));
    }
    return product;
}

#else

// Copies only when it is waited for; until then the destination holds NaN.
class AsyncCopies {
public:
    template <class T, int R>
    void copy(T* to, const View<const T, R>& from, int vector, bool valid) {
        constexpr int SIZE = BYTES / int(sizeof(T));
        emulation::note_access(to, BYTES, BYTES, emulation::Access::write);
        std::memset(static_cast<void*>(to), 0xFF, BYTES);
        open_.push_back({to, valid ? &vec_at_offset<SIZE>(from, std::int64_t(vector) * SIZE) : nullptr});
    }

    void commit() {
        groups_.push_back(open_);
        open_.clear();
    }

    template <int N>
    void wait() {
        finish_all_but(N);
    }

    // Copies that nobody waited for still complete, and may hit memory in use by others.
    ~AsyncCopies() {
        commit();
        finish_all_but(0);
    }

private:
    static constexpr int BYTES = 16;
    struct Copy {
        void* to;
        const void* from;  // null: zeros
    };

    void finish_all_but(std::size_t num) {
        for (; groups_.size() > num; groups_.erase(groups_.begin())) {
            for (const Copy& copy : groups_.front()) {
                emulation::note_access(copy.to, BYTES, BYTES, emulation::Access::write);
                if (copy.from != nullptr) {
                    std::memcpy(copy.to, copy.from, BYTES);
                } else {
                    std::memset(copy.to, 0, BYTES);
                }
            }
        }
    }

    std::vector<Copy> open_;
    std::vector<std::vector<Copy>> groups_;
};

namespace twin {

// The inputs and outputs of the lanes of a warp in an operation.
struct LoadMatrices {
    Pair row[4];
    Pair* matrices;

    static void run(LoadMatrices* const lanes[WARP]) {
        for (int lane = 0; lane < WARP; ++lane) {
            for (int i = 0; i < 4; ++i) lanes[lane]->matrices[i] = lanes[8 * i + lane / 4]->row[lane % 4];
        }
    }
};

template <class T>
float number(Pair pair, int half) {
    return widen(T{std::uint16_t(pair >> 16 * half)});
}

template <class T>
struct MultiplyMatrices {
    float* sum;
    const Pair *a, *b;

    static void run(MultiplyMatrices* const lanes[WARP]) {
        float a[16][16], b[16][8];
        for (int lane = 0; lane < WARP; ++lane) {
            const int r = lane / 4, c = 2 * (lane % 4);
            for (int i = 0; i < 4; ++i) {
                for (int half = 0; half < 2; ++half) {
                    a[r + i % 2 * 8][c + i / 2 * 8 + half] = number<T>(lanes[lane]->a[i], half);
                    if (i < 2) b[c + i * 8 + half][r] = number<T>(lanes[lane]->b[i], half);
                }
            }
        }
        for (int lane = 0; lane < WARP; ++lane) {
            for (int i = 0; i < 4; ++i) {
                const int r = lane / 4 + i / 2 * 8, c = 2 * (lane % 4) + i % 2;
                double sum = 0;
                for (int k = 0; k < 16; ++k) sum += double(a[r][k]) * b[k][c];
                lanes[lane]->sum[i] += float(sum);
            }
        }
    }
};

// The whole warp must take part.
template <class Operation>
void run(Operation operation, const char* name) {
    const auto run_checked = [](void* const lanes[WARP]) {
        Operation* operations[WARP];
        for (int lane = 0; lane < WARP; ++lane) {
            if (lanes[lane] == nullptr) emulation::fail("a lane is missing from an operation of the whole warp");
            operations[lane] = static_cast<Operation*>(lanes[lane]);
        }
        Operation::run(operations);
    };
    emulation::wait_for_warp(ALL_LANES, name, run_checked, &operation, emulation::Place::here());
}

}  // namespace twin

template <class T>
void load_matrices(Pair (&matrices)[4], const T* row) {
    twin::LoadMatrices operation = {{}, matrices};
    emulation::note_access(row, sizeof operation.row, sizeof operation.row, emulation::Access::read);
    std::memcpy(operation.row, row, sizeof operation.row);
    twin::run(operation, "ldmatrix");
}

template <class T>
void multiply_matrices(float (&sum)[4], const Pair (&a)[4], const Pair (&b)[2]) {
    twin::run(twin::MultiplyMatrices<T>{sum, a, b}, "mma");
}

template <class T>
Pair multiply_pairs(Pair a, Pair b) {
    Pair product = 0;
    for (int half = 0; half < 2; ++half) {
        const T rounded = narrow<T>(twin::number<T>(a, half) * twin::number<T>(b, half));
        product |= Pair(rounded.bits) << 16 * half;
    }
    return product;
}

#endif

}  // namespace higan_fast
