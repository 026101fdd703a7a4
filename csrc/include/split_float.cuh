// Products of float32 on tensor cores, nearly as accurate as float32 arithmetic: each number is the sum of two TF32
// numbers, and the product of matrices that of three products (Ootomo and Yokota, arXiv 2203.03341; Markidis et al.,
// arXiv 1803.04014). A thin wrapper of an instruction of sm_80 and later, followed by its twin for emulation.
//
// What is lost: the product of both small parts, 2^-24 of the whole, and the last bit of the small parts. Tensor cores
// cut off sums instead of rounding them, which over thousands of terms would cost more than TF32 gains. So each sum
// in a tensor core has 24 terms of 8 channels, and ordinary float additions, which round to nearest, do the rest.
#pragma once

#include <cmath>

#include "tensor_core.cuh"

namespace higan_fast {

template <class To, class From>
__device__ To same_bits(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

template <>
__device__ inline Pair multiply_pairs<float>(Pair a, Pair b) {
    return same_bits<Pair>(same_bits<float>(a) * same_bits<float>(b));
}

// A float's first 19 bits are a TF32 number. Rounds to nearest, ties away from zero; finite results only.
__device__ inline Pair nearest_tf32(Pair number) { return (number + 0x1000u) & 0xffffe000u; }

// The numbers of a fragment (see multiply_tf32), each as large + small. Below 2^-113 or so the small part loses bits,
// for it is below the least normal number.
template <int N>
struct Split {
    Pair large[N], small[N];

    // Returns whether that was all: false if a number is not finite, or so large that it rounds to infinity.
    __device__ bool set(const Pair (&numbers)[N]) {
        bool usual = true;
        UNROLL for (int i = 0; i < N; ++i) {
            const float number = same_bits<float>(numbers[i]);
            large[i] = nearest_tf32(numbers[i]);
            small[i] = nearest_tf32(same_bits<Pair>(number - same_bits<float>(large[i])));
            usual = usual && std::fabs(number) < 0x1.ffep127f;  // false of NaN
        }
        return usual;
    }

    // The rest. Infinities and NaN become the small part, and the large one is 0: so they meet no small part, which may
    // be 0 or of another sign. They act as in float32, but for infinity times infinity, which is NaN.
    __device__ void set_unusual(const Pair (&numbers)[N]) {
        UNROLL for (int i = 0; i < N; ++i) {
            const Pair magnitude = numbers[i] & 0x7fffffffu;
            if (magnitude < 0x7f7ff000u) continue;
            if (magnitude < 0x7f800000u) {
                large[i] = numbers[i] & 0xffffe000u;
                small[i] = same_bits<Pair>(same_bits<float>(numbers[i]) - same_bits<float>(large[i]));
                small[i] = nearest_tf32(small[i]);
            } else {
                large[i] = 0;
                small[i] = magnitude == 0x7f800000u ? numbers[i] : 0x7fffe000u;
            }
        }
    }
};

#ifndef HIGAN_FAST_EMULATION

// sum += a · b over the warp: a is 16×8, b 8×8, sum 16×8, all of TF32 numbers but for sum. With r = lane / 4 and
// c = lane % 4, a lane holds
//     a[0…3]: the numbers at (row, column) (r, c), (r + 8, c), (r, c + 4), (r + 8, c + 4) of a;
//     b[0, 1]: those at (c, r), (c + 4, r) of b;
//     sum[0…3]: those at (r, 2c), (r, 2c + 1), (r + 8, 2c), (r + 8, 2c + 1).
__device__ inline void multiply_tf32(float (&sum)[4], const Pair (&a)[4], const Pair (&b)[2]) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

#else

namespace twin {

// As coarse as any tensor core that has been examined (Fasi et al., PeerJ Computer Science 7, e330): products are
// exact; four at a time are added to the sum, all of them cut off below the 24th bit of the largest, and so is the sum.
struct MultiplyTf32 {
    float* sum;
    const Pair *a, *b;

    static void run(MultiplyTf32* const lanes[WARP]) {
        double a[16][8], b[8][8];
        for (int lane = 0; lane < WARP; ++lane) {
            const int r = lane / 4, c = lane % 4;
            for (int i = 0; i < 4; ++i) {
                a[r + i % 2 * 8][c + i / 2 * 4] = number(lanes[lane]->a[i]);
                if (i < 2) b[c + i * 4][r] = number(lanes[lane]->b[i]);
            }
        }
        for (int lane = 0; lane < WARP; ++lane) {
            for (int i = 0; i < 4; ++i) {
                const int r = lane / 4 + i / 2 * 8, c = 2 * (lane % 4) + i % 2;
                float& sum = lanes[lane]->sum[i];
                for (int k = 0; k < 8; k += 4) {
                    double terms[5] = {sum};
                    for (int j = 0; j < 4; ++j) terms[j + 1] = a[r][k + j] * b[k + j][c];
                    sum = cut_sum(terms);
                }
            }
        }
    }

private:
    static double number(Pair bits) { return same_bits<float>(bits & 0xffffe000u); }

    static float cut_sum(const double (&terms)[5]) {
        double largest = 0, plain = 0;
        for (const double term : terms) {
            largest = std::max(largest, std::fabs(term));
            plain += term;
        }
        if (!std::isfinite(plain)) return float(plain);
        if (largest == 0) return 0;
        const double unit = std::max(last_bit(largest), 0x1p-149), units_in_one = 1 / unit;
        std::int64_t sum = 0;
        for (const double term : terms) sum += std::int64_t(term * units_in_one);
        std::int64_t magnitude = sum < 0 ? -sum : sum;
        int excess = 0;
        while (magnitude >> excess >= 1 << 24) ++excess;
        magnitude = magnitude >> excess << excess;
        return float(double(sum < 0 ? -magnitude : magnitude) * unit);
    }

    // The 24th bit of a positive number.
    static double last_bit(double x) { return same_bits<double>(same_bits<std::uint64_t>(x) & ~0ull << 52) * 0x1p-23; }
};

}  // namespace twin

inline void multiply_tf32(float (&sum)[4], const Pair (&a)[4], const Pair (&b)[2]) {
    twin::run(twin::MultiplyTf32{sum, a, b}, "mma");
}

#endif

// sums[i][j] += a[i] · b[j], in places as of multiply_tf32, for the numbers' bits.
template <int DOWN, int ACROSS>
__device__ void multiply_split(float (&sums)[DOWN][ACROSS][4], const Pair (&a)[DOWN][4], const Pair (&b)[ACROSS][2]) {
    Split<4> rows[DOWN];
    Split<2> columns[ACROSS];
    bool usual = true;  // one branch for all
    UNROLL for (int i = 0; i < DOWN; ++i) usual = rows[i].set(a[i]) && usual;
    UNROLL for (int j = 0; j < ACROSS; ++j) usual = columns[j].set(b[j]) && usual;
    if (!usual) {
        UNROLL for (int i = 0; i < DOWN; ++i) rows[i].set_unusual(a[i]);
        UNROLL for (int j = 0; j < ACROSS; ++j) columns[j].set_unusual(b[j]);
    }
    UNROLL for (int i = 0; i < DOWN; ++i) {
        UNROLL for (int j = 0; j < ACROSS; ++j) {
            float part[4] = {};
            multiply_tf32(part, rows[i].small, columns[j].large);
            multiply_tf32(part, rows[i].large, columns[j].small);
            multiply_tf32(part, rows[i].large, columns[j].large);
            UNROLL for (int k = 0; k < 4; ++k) sums[i][j][k] += part[k];
        }
    }
}

}  // namespace higan_fast
