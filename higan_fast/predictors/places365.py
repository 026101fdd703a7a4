"""Scene categories and attributes by the WideResNet-18 of Places365, with which HiGAN scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from higan_fast.ops import image_to_input
from higan_fast.predictors.base import Level, Predictor, Semantic, as_weights
from higan_fast.predictors.network import log_odds
from higan_fast.wording import in_words

SIZE, FEATURES = 224, 512
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet

# Of the 102 SUN attributes, those of the spatial envelope that say how a scene is laid out (G. Patterson and
# J. Hays, SUN Attribute Database, CVPR 2012, group "spatial envelope"). All others stay attributes, as in
# HiGAN's own boundary files, which have "layout" for the view alone.
LAYOUT = (
    *("open area", "semi-enclosed area", "enclosed area", "far-away horizon", "no horizon"),
    *("vertical components", "horizontal components", "symmetrical"),
)


class WideResNet18(nn.Module):
    """The network of ``wideresnet18_places365.pth.tar``: a ResNet-18 without a pooling after its stem.

    Its last features are therefore 14², and not 7², for images of 224² (B. Zhou et al., Places: A 10 Million
    Image Database for Scene Recognition, PAMI 2018). Names of its tensors are those of the file.
    """

    def __init__(self, num_categories: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(Block(64, 64), Block(64, 64))
        self.layer2 = nn.Sequential(Block(64, 128, stride=2), Block(128, 128))
        self.layer3 = nn.Sequential(Block(128, 256, stride=2), Block(256, 256))
        self.layer4 = nn.Sequential(Block(256, FEATURES, stride=2), Block(FEATURES, FEATURES))
        self.fc = nn.Linear(FEATURES, num_categories)

    def features(self, x: Tensor) -> Tensor:
        """Normalised images ``[N, 3, 224, 224]`` → ``[N, 512]``, means of the last features."""
        x = torch.relu(self.bn1(self.conv1(x)))
        return self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images → logits of the categories ``[N, num_categories]``."""
        return self.fc(self.features(x))


class Block(nn.Module):
    """Two convolutions of 3², and a shortcut, which is one of 1² where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if (inputs, 1) != (outputs, stride):
            shortcut = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(inner)) + self.downsample(x))


class Places365Predictor(Predictor):
    """Images → scores of SUN attributes, and probabilities of Places categories.

    Images become what the authors' code feeds: 8-bit levels, Pillow's bilinear filter to 224², and ImageNet's
    mean and standard deviation. Pillow rounds once more after resizing, so that pixels differ by up to one
    level. Where a gradient is asked for, nothing is rounded. An attribute's score is the dot product of the
    last features with its row of weights, without bounds. A category's is its softmax over all categories,
    and has log-odds. (HiGAN's code also sets the negative weights of categories to 0; this does not.)

    Args:
        network: with the weights of the file.
        attribute_weights: ``[102, 512]``.
        attributes: their names.
        categories: names of the network's outputs; one that an attribute has too becomes ``NAME scene``.
        chosen: which of these are scored, in this order; None: all attributes.

    Raises:
        ValueError: when a chosen one is neither.
    """

    attribute_weights: Tensor
    places: Tensor

    def __init__(
        self,
        network: WideResNet18,
        attribute_weights: Tensor,
        attributes: Sequence[str],
        categories: Sequence[str],
        chosen: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.num_attributes = len(attributes)
        known = [*attributes, *(f"{name} scene" if name in attributes else name for name in categories)]
        columns: Mapping[str, int] = {name: place for place, name in enumerate(known)}
        names = list(attributes) if chosen is None else list(chosen)
        strange = [name for name in names if name not in columns]
        if strange or len(set(names)) < len(names):
            got = in_words(strange[0]) if strange else "a name twice"
            raise ValueError(
                f"semantics (--names): got {got}, expected different names of SUN attributes, such as "
                f"{', '.join(attributes[-3:])}, and of Places categories, such as {', '.join(known[-3:])}"
            )
        self.semantics = tuple(Semantic(name, self._level(name, columns[name])) for name in names)
        self.register_buffer("attribute_weights", attribute_weights)
        self.register_buffer("places", torch.tensor([columns[name] for name in names]), persistent=False)
        self._are_categories = tuple(columns[name] >= self.num_attributes for name in names)

    def _level(self, name: str, column: int) -> Level:
        if column >= self.num_attributes:
            return "object"  # HiGAN's level of categories
        return "layout" if name in LAYOUT else "attribute"

    @property
    def score_ranges(self) -> tuple[tuple[float, float] | None, ...]:
        return tuple((0.0, 1.0) if is_category else None for is_category in self._are_categories)

    @property
    def has_logits(self) -> tuple[bool, ...]:
        return self._are_categories

    def forward(self, images: Tensor) -> Tensor:
        return self._scores(images, as_logits=False)

    def logits(self, images: Tensor) -> Tensor:
        """As ``forward``, but log-odds of categories."""
        return self._scores(images, as_logits=True)

    def _scores(self, images: Tensor, as_logits: bool) -> Tensor:
        rounds = not (images.requires_grad and torch.is_grad_enabled())  # rounding has no gradient
        x = image_to_input(as_weights(images, self.network), SIZE, mean=MEAN, std=STD, round_to_uint8=rounds)
        features = self.network.features(x.contiguous(memory_format=torch.channels_last))
        attributes = features @ self.attribute_weights.to(features.dtype).T
        if not any(self._are_categories):
            return attributes[:, self.places]
        outputs = self.network.fc(features).float()
        categories = log_odds(outputs) if as_logits else outputs.softmax(dim=1)
        return torch.cat([attributes.float(), categories], dim=1)[:, self.places]
