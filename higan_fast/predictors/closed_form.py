"""Predictors without weights, whose scores are formulas: what all of them have in common."""

from __future__ import annotations

import torch
from torch import Tensor

from higan_fast.predictors.base import Predictor


class ClosedForm(Predictor):
    """Scores by formulas, in the precision of its buffers, whatever networks are asked to run in.

    Rounded to the ten bits of float16, edges and hues would be lost; and the formulas cost next to nothing.

    Subclasses set ``semantics`` and ``definition`` in ``__init__``, and implement ``formulas``.

    Attributes:
        definition: a number that is raised whenever the same image gets other scores, so that fingerprints,
            which know no code of ours, tell stored scores apart.
    """

    definition: int

    def formulas(self, rgb: Tensor) -> Tensor:
        """Images ``[N, 3, H, W]`` in [0, 1], in the dtype of the buffers → scores ``[N, num_semantics]``."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        if len(images) == 0:  # of which there is no variance to take
            return images.new_zeros(0, self.num_semantics)
        with torch.autocast(images.device.type, enabled=False):
            rgb = (images.to(next(self.buffers()).dtype).clamp(-1, 1) + 1) / 2
            return self.formulas(rgb).to(images.dtype)
