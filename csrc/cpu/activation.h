// Activations of whole vectors, including gain and clamp.
#pragma once

#include "../kernels/bias_act.cuh"
#include "simd.h"

namespace higan_fast::cpu::HIGAN_FAST_ISA {

template <class S>
class PreparedActivation {
  public:
    PreparedActivation(Activation activation, double alpha, double gain, double clamp)
        : any_{activation, S(alpha), S(gain), S(clamp)} {
        const bool relu = activation == Activation::relu;
        rectifies_ = gain > 0 && (relu || activation == Activation::linear || activation == Activation::lrelu);
        if (rectifies_) before_ = S(gain);
        rectifier_.sloped = activation == Activation::lrelu;
        rectifier_.alpha = S(alpha);
        rectifier_.bounded = relu || clamp >= 0;
        rectifier_.high = clamp >= 0 ? S(clamp) : S(HUGE_VAL);
        rectifier_.low = relu ? S(0) : -rectifier_.high;
    }

    // The factor to apply to the activation's input: rectifiers commute with a positive gain, and applying it to small
    // tensors is cheaper.
    ALWAYS_INLINE S before() const { return before_; }

    // Calls f(activated), where activated(x) is clamp(gain · activation(x / before)) of a vector x.
    template <class F>
    ALWAYS_INLINE void with(const F& f) const {
        if (rectifies_) {
            f(Rectifier(rectifier_));
        } else {
            f(Any(any_));
        }
    }

  private:
    struct Rectifier {
        bool sloped, bounded;
        S alpha, low, high;

        ALWAYS_INLINE Vector<S> operator()(Vector<S> x) const {
            if (sloped) x = x > 0 ? x : x * alpha;
            if (bounded) {
                x = x > high ? broadcast(high) : x;
                x = x < low ? broadcast(low) : x;
            }
            return x;
        }
    };
    struct Any {
        Activation activation;
        S alpha, gain, clamp;

        ALWAYS_INLINE Vector<S> operator()(Vector<S> x) const {
            S lanes[LANES<S>];
            store(lanes, x, Full{});
            for (S& lane : lanes) lane = activate(activation, lane, alpha, gain, clamp);
            return load(lanes, Full{});
        }
    };

    bool rectifies_;
    S before_ = 1;
    Rectifier rectifier_;
    Any any_;
};

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
