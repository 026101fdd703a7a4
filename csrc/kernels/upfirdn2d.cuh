// Which taps of an FIR meet pixels: of an upsampled image most positions are inserted zeros, and some lie outside.
#pragma once

#include "../include/launch.h"
#include "upfirdn2d.h"

namespace higan_fast {

// Tap i of an output lies at position start + i of the upsampled image, and pixel p at position p·up: so pixel p
// meets tap p·up − start. These are the pixels that meet any.
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
