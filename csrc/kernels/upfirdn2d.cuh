// Which taps of an FIR filter meet pixels: most positions of an upsampled image are inserted zeros, or lie outside.
#pragma once

#include "../include/launch.h"
#include "upfirdn2d.h"

namespace higan_fast {

// Tap i of an output is at position start + i of the upsampled image, and pixel p is at p·up, so pixel p meets tap
// p·up − start. This is the range of pixels that meet a tap.
struct PixelRange {
    int begin, end;

    HOST_DEVICE PixelRange(int start, int num_taps, int up, int num_pixels) {
        begin = start > 0 ? (start + up - 1) / up : 0;
        const int beyond = start + num_taps - 1;  // the last tap's position
        end = beyond < 0 ? 0 : beyond / up + 1;
        if (end > num_pixels) end = num_pixels;
    }
};

}  // namespace higan_fast
