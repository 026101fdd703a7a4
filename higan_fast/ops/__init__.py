"""The operations that generators and predictors are built from, each with a PyTorch reference."""

from higan_fast.ops import implementation, self_test
from higan_fast.ops.adain import adain
from higan_fast.ops.bias_act import bias_act
from higan_fast.ops.conditional_batch_norm_act import conditional_batch_norm_act
from higan_fast.ops.filtered_lrelu import filtered_lrelu
from higan_fast.ops.finish_block import finish_block
from higan_fast.ops.image_to_input import image_to_input
from higan_fast.ops.layer_styles import layer_styles
from higan_fast.ops.modulated_conv2d import modulated_conv2d
from higan_fast.ops.perturb_styles import perturb_styles
from higan_fast.ops.style_parts import StylePart
from higan_fast.ops.to_rgb import to_rgb
from higan_fast.ops.upfirdn2d import setup_filter, upfirdn2d

implementation.test_on_first_use(self_test.self_test)

OPS = (
    "adain",
    "bias_act",
    "conditional_batch_norm_act",
    "filtered_lrelu",
    "finish_block",
    "image_to_input",
    "layer_styles",
    "modulated_conv2d",
    "perturb_styles",
    "to_rgb",
    "upfirdn2d",
)

__all__ = [
    "OPS",
    "StylePart",
    "adain",
    "bias_act",
    "conditional_batch_norm_act",
    "filtered_lrelu",
    "finish_block",
    "image_to_input",
    "layer_styles",
    "modulated_conv2d",
    "perturb_styles",
    "setup_filter",
    "to_rgb",
    "upfirdn2d",
]
