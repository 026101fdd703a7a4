"""Registers a kernel as a torch operator, ``torch.ops.higan_fast.NAME``, with shapes and gradients."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op, infer_schema

Backward = Callable[..., tuple[Tensor | None, ...] | None]


def _wanted(ctx: Any) -> list[bool]:
    """Which inputs' gradients this backward pass computes: R1's first one, say, has no use for a weight's."""
    wanted = list(ctx.needs_input_grad)
    nodes = [node for node, _ in ctx.next_functions]  # one for each tensor
    for place, node in zip(ctx.places, nodes, strict=True):
        if wanted[place] and node is not None:
            with suppress(
                RuntimeError
            ):  # a parameter of ``autograd.grad``, which may be one that is asked for
                wanted[place] = torch._C._will_engine_execute_node(node)
    return wanted


def register(
    name: str,
    reference: Callable[..., Any],
    native: Callable[..., Any],
    fake: Callable[..., Any],
    backward: Backward | None = None,
) -> Callable[..., Any]:
    """Registers ``native`` with ``reference``'s signature, and returns the operator.

    The backward pass re-runs the reference and differentiates it, unless ``backward`` computes the gradients.
    Higher-order gradients work.

    Args:
        name: the op's name.
        reference: the same computation in differentiable PyTorch; its annotations become the schema.
        native: allocates the result and fills it with kernels.
        fake: only allocates the result, with the same shape, dtype and strides.
        backward: ``backward(arguments, needed, *gradients)``: the gradients of the arguments, with None
            where none is needed, or None for all: then the reference is re-run. It consists of
            differentiable operators, so that gradients have gradients.
    """
    schema = infer_schema(reference, mutates_args=())
    op = custom_op(f"higan_fast::{name}", native, mutates_args=(), schema=schema)
    op.register_fake(fake)

    def save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.others = [None if isinstance(value, Tensor) else value for value in inputs]
        ctx.places = [i for i, value in enumerate(inputs) if isinstance(value, Tensor)]
        ctx.save_for_backward(*[inputs[i] for i in ctx.places])

    def differentiate(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        if backward is not None:
            given = list(ctx.others)
            for i, tensor in zip(ctx.places, ctx.saved_tensors, strict=True):
                given[i] = tensor
            found = backward(given, _wanted(ctx), *grads)
            if found is not None:
                return found
        return rerun(ctx, *grads)

    def rerun(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        again = torch.is_grad_enabled()  # the gradient itself will be differentiated
        with torch.enable_grad():
            args = list(ctx.others)
            for i, tensor in zip(ctx.places, ctx.saved_tensors, strict=True):
                # The alias yields the partial derivative even if one argument was computed from another.
                args[i] = tensor.view_as(tensor) if again else tensor.detach()
                if ctx.needs_input_grad[i] and not again:
                    args[i].requires_grad_()
            outputs = reference(*args)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            pairs = [(o, g) for o, g in zip(outputs, grads, strict=True) if o.requires_grad]
            wanted = [arg for arg, need in zip(args, ctx.needs_input_grad, strict=True) if need]
            found = iter(
                torch.autograd.grad(
                    [output for output, _ in pairs],
                    wanted,
                    [grad for _, grad in pairs],
                    create_graph=again,
                    allow_unused=True,
                    materialize_grads=True,
                )
            )
        return tuple(next(found) if need else None for need in ctx.needs_input_grad)

    op.register_autograd(differentiate, setup_context=save)
    return op
