// Every op of one instruction set. Included with HIGAN_FAST_ISA set to its name.
#pragma once

#include "../kernels/ops.h"

namespace higan_fast::cpu::HIGAN_FAST_ISA {

void bias_act(const BiasAct&, Queue);
void upfirdn2d(const Upfirdn2d&, Queue);
void modulate(const Modulate&, Queue);
void conv_epilogue(const ConvEpilogue&, Queue);
void adain(const Adain&, Queue);
void conditional_batch_norm_act(const ConditionalBatchNormAct&, Queue);
void to_rgb(const ToRgb&, Queue);
void image_to_input(const ImageToInput&, Queue);
void finish_block(const FinishBlock&, Queue);
void layer_styles(const LayerStyles&, Queue);
void perturb_styles(const PerturbStyles&, Queue);
void filtered_lrelu(const FilteredLrelu&, Queue);
void winograd_weight(const WinogradWeight&, Queue);
void winograd_conv2d(const WinogradConv2d&, Queue);

const Ops& table();

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
