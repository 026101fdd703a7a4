// The table of ops that every backend fills; the bindings are generated from it.
#pragma once

#include "adain.h"
#include "bias_act.h"
#include "conditional_batch_norm_act.h"
#include "conv_epilogue.h"
#include "filtered_lrelu.h"
#include "finish_block.h"
#include "image_to_input.h"
#include "layer_styles.h"
#include "modulate.h"
#include "modulated_conv2d.h"
#include "perturb_styles.h"
#include "to_rgb.h"
#include "upfirdn2d.h"
#include "winograd_conv2d.h"

namespace higan_fast {

struct Ops {
    void (*bias_act)(const BiasAct&, Queue);
    void (*upfirdn2d)(const Upfirdn2d&, Queue);
    void (*modulate)(const Modulate&, Queue);
    void (*conv_epilogue)(const ConvEpilogue&, Queue);
    void (*modulated_conv2d)(const ModulatedConv2d&, Queue);  // null on the CPU
    void (*adain)(const Adain&, Queue);
    void (*conditional_batch_norm_act)(const ConditionalBatchNormAct&, Queue);
    void (*to_rgb)(const ToRgb&, Queue);
    void (*image_to_input)(const ImageToInput&, Queue);
    void (*finish_block)(const FinishBlock&, Queue);
    void (*layer_styles)(const LayerStyles&, Queue);
    void (*perturb_styles)(const PerturbStyles&, Queue);
    void (*filtered_lrelu)(const FilteredLrelu&, Queue);
    void (*winograd_weight)(const WinogradWeight&, Queue);
    void (*winograd_conv2d)(const WinogradConv2d&, Queue);  // both null on CUDA
};

}  // namespace higan_fast
