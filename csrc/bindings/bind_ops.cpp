#include "bind_ops.h"

#include <pybind11/stl.h>

#include <array>
#include <vector>

#include "tensor_caster.h"

namespace higan_fast {
namespace {

namespace py = pybind11;
using Release = py::call_guard<py::gil_scoped_release>;
using Numbers = std::vector<double>;

Tail tail(Tensor demod, Tensor noise, Tensor bias, Tensor next_styles, int activation, double alpha, double gain,
          double clamp) {
    return {demod, noise, bias, next_styles, Activation(activation), alpha, gain, clamp};
}

using Part = std::array<int, 3>;  // code, channels, outputs

// Fills in the parts, and where the channels, outputs and squares of each begin.
StyleParts style_parts(Tensor weight_square, Tensor gain, Tensor styles, Tensor demod, Tensor workspace, bool normalize,
                       double epsilon, const std::vector<Part>& parts) {
    if (parts.empty() || parts.size() > MOST_STYLE_PARTS) {
        throw std::invalid_argument("parts: got " + std::to_string(parts.size()) + ", expected 1 to " +
                                    std::to_string(MOST_STYLE_PARTS));
    }
    StyleParts made;
    made.weight_square = weight_square;
    made.gain = gain;
    made.styles = styles;
    made.demod = demod;
    made.workspace = workspace;
    made.normalize = normalize;
    made.epsilon = epsilon;
    StylePart next;
    for (const auto& [code, channels, outputs] : parts) {
        next.code = code;
        next.channels = channels;
        next.outputs = outputs;
        made.parts[made.num_parts++] = next;
        next.first_channel += channels;
        next.first_output += outputs;
        next.first_square += std::int64_t(outputs) * channels;
    }
    return made;
}

}  // namespace

void bind_ops(py::module_ m, const Ops& ops) {
    m.def(
        "bias_act",
        [op = ops.bias_act](Tensor x, Tensor bias, Tensor out, int activation, double alpha, double gain,
                            double clamp, Queue queue) {
            op({x, bias, out, Activation(activation), alpha, gain, clamp}, queue);
        },
        Release());
    m.def(
        "upfirdn2d",
        [op = ops.upfirdn2d](Tensor x, Tensor filter, Tensor out, int up, int down, int pad_left, int pad_top,
                             bool flip, double gain, Queue queue) {
            op({x, filter, out, up, down, pad_left, pad_top, flip, gain}, queue);
        },
        Release());
    m.def(
        "modulate",
        [op = ops.modulate](Tensor x, Tensor styles, Tensor out, Queue queue) { op({x, styles, out}, queue); },
        Release());
    m.def(
        "conv_epilogue",
        [op = ops.conv_epilogue](Tensor x, Tensor filter, int pad, Tensor demod, Tensor noise, Tensor bias,
                                 Tensor next_styles, int activation, double alpha, double gain, double clamp,
                                 Tensor out, Queue queue) {
            op({x, filter, pad, tail(demod, noise, bias, next_styles, activation, alpha, gain, clamp), out}, queue);
        },
        Release());
    if (ops.modulated_conv2d) {
        m.def(
            "modulated_conv2d",
            [op = ops.modulated_conv2d](Tensor x, Tensor weight, Tensor styles, int up, Tensor demod, Tensor noise,
                                        Tensor bias, Tensor next_styles, int activation, double alpha, double gain,
                                        double clamp, Tensor out, Queue queue) {
                op({x, weight, styles, up,
                    tail(demod, noise, bias, next_styles, activation, alpha, gain, clamp), out},
                   queue);
            },
            Release());
    }
    m.def(
        "adain",
        [op = ops.adain](Tensor x, Tensor noise, Tensor strength, Tensor bias, Tensor scale, Tensor shift, Tensor out,
                         int activation, double alpha, double gain, double epsilon, Tensor workspace, Queue queue) {
            op({x, noise, strength, bias, scale, shift, out, Activation(activation), alpha, gain, epsilon, workspace},
               queue);
        },
        Release());
    m.def(
        "conditional_batch_norm_act",
        [op = ops.conditional_batch_norm_act](Tensor x, Tensor mean, Tensor variance, Tensor scale, Tensor shift,
                                              Tensor out, int activation, double alpha, double gain, double epsilon,
                                              int up, Queue queue) {
            op({x, mean, variance, scale, shift, out, Activation(activation), alpha, gain, epsilon, up}, queue);
        },
        Release());
    m.def(
        "to_rgb",
        [op = ops.to_rgb](Tensor x, Tensor weight, Tensor styles, Tensor bias, Tensor rgb, Tensor filter, Tensor out,
                          double clamp, Queue queue) {
            op({x, weight, styles, bias, rgb, filter, out, clamp}, queue);
        },
        Release());
    m.def(
        "finish_block",
        [op = ops.finish_block](Tensor x, Tensor demod, Tensor noise, Tensor bias, Tensor next_styles, int activation,
                                double alpha, double gain, double clamp, Tensor features, bool keep, Tensor weight,
                                Tensor styles, Tensor rgb_bias, Tensor rgb, Tensor filter, double rgb_clamp,
                                Tensor out, Queue queue) {
            op({x, tail(demod, noise, bias, next_styles, activation, alpha, gain, clamp), features, keep, weight,
                styles, rgb_bias, rgb, filter, rgb_clamp, out},
               queue);
        },
        Release());
    m.def(
        "image_to_input",
        [op = ops.image_to_input](Tensor images, Tensor out, const Numbers& mean, const Numbers& std,
                                  bool round_to_uint8, bool antialias, Queue queue) {
            ImageToInput params{images, out, {}, {}, round_to_uint8, antialias};
            if (mean.size() != std.size() || mean.size() > MOST_INPUT_CHANNELS) {
                throw std::invalid_argument("mean, std: got " + std::to_string(mean.size()) + " and " +
                                            std::to_string(std.size()) + " numbers, expected one for each channel");
            }
            std::copy(mean.begin(), mean.end(), params.mean);
            std::copy(std.begin(), std.end(), params.std);
            op(params, queue);
        },
        Release());
    m.def(
        "layer_styles",
        [op = ops.layer_styles](Tensor codes, Tensor weight, Tensor bias, Tensor weight_square, Tensor gain,
                                Tensor styles, Tensor demod, Tensor workspace, bool normalize, double epsilon,
                                const std::vector<Part>& parts, Queue queue) {
            op({codes, weight, bias,
                style_parts(weight_square, gain, styles, demod, workspace, normalize, epsilon, parts)},
               queue);
        },
        Release());
    m.def(
        "perturb_styles",
        [op = ops.perturb_styles](Tensor base, Tensor directions, Tensor source, Tensor direction, Tensor steps,
                                  Tensor weight_square, Tensor gain, Tensor styles, Tensor demod, Tensor workspace,
                                  bool normalize, double epsilon, const std::vector<Part>& parts, Queue queue) {
            op({base, directions, source, direction, steps,
                style_parts(weight_square, gain, styles, demod, workspace, normalize, epsilon, parts)},
               queue);
        },
        Release());
    m.def(
        "filtered_lrelu",
        [op = ops.filtered_lrelu](Tensor x, Tensor up_filter, Tensor down_filter, Tensor bias, Tensor out, int up,
                                  int down, int pad_left, int pad_top, bool flip, double gain, double slope,
                                  double clamp, Queue queue) {
            op({x, up_filter, down_filter, bias, out, up, down, pad_left, pad_top, flip, gain, slope, clamp}, queue);
        },
        Release());
    if (ops.winograd_conv2d) {
        m.def(
            "winograd_weight",
            [op = ops.winograd_weight](Tensor weight, Tensor out, Queue queue) { op({weight, out}, queue); }, Release());
        m.def(
            "winograd_conv2d",
            [op = ops.winograd_conv2d](Tensor x, Tensor weight, Tensor styles, Tensor demod, Tensor noise, Tensor bias,
                                       Tensor next_styles, int activation, double alpha, double gain, double clamp,
                                       Tensor out, Queue queue) {
                op({x, weight, styles, tail(demod, noise, bias, next_styles, activation, alpha, gain, clamp), out},
                   queue);
            },
            Release());
    }
}

}  // namespace higan_fast
