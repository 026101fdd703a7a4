"""The layers that ``patch`` knows, family by family: how each is recognised, and what serves it instead."""

from __future__ import annotations

from higan_fast.compat.layers import genforce, nvlabs_sg2, nvlabs_sg3, rosinality
from higan_fast.compat.layers.kind import Kind

# Of two that recognise a module, the first one serves it.
KINDS: tuple[Kind, ...] = (*nvlabs_sg2.KINDS, *nvlabs_sg3.KINDS, *rosinality.KINDS, *genforce.KINDS)
# Networks that hand features from layer to layer and do nothing else with them.
NETWORKS = (
    nvlabs_sg2.is_network,
    nvlabs_sg3.is_network,
    rosinality.is_network,
    genforce.is_network,
)

__all__ = ["KINDS", "NETWORKS", "Kind"]
