"""The gradient of a step: the vectors of its items are computed once, and its shards next to each other.

Automatic differentiation is cut at the vectors of the items. Each shard gives the gradient of the user tower and of
these vectors; the sums over the shards, in their order, are the gradients of the step. The item tower continues from
the sum at its vectors. So the items, which the histories of all shards share, are embedded once.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from components.retrieval.config import TrainingConfig
from components.retrieval.fitting.loss import Moment, Shard, TrainingStep, shard_loss
from components.retrieval.fitting.workers import Workers
from components.retrieval.model import TrainableTowers, TrainingData


def set_gradients(
    towers: TrainableTowers,
    data: TrainingData,
    config: TrainingConfig,
    batch: TrainingStep,
    moment: Moment,
    randoms: Sequence[torch.Generator],
    workers: Workers,
) -> float:
    """Sets the gradients of both towers to those of a step's loss, which is returned.

    Args:
        towers: Both networks.
        data: Training data.
        config: See `TrainingConfig`.
        batch: The step.
        moment: Item state of the batch's chunk.
        randoms: Draws the dropout of each shard.
        workers: Computes the shards.
    """
    of_items, of_users = list(towers.items.parameters()), list(towers.users.parameters())
    vectors = towers.item_vectors(data.items, moment.numeric, batch.ids, batch.items)

    def part(given: tuple[Shard, torch.Generator]) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        start = vectors.detach().requires_grad_()
        loss = shard_loss(towers, data, config, batch, given[0], start, given[1])
        return loss.detach(), torch.autograd.grad(loss, [start, *of_users], allow_unused=True)

    losses, gradients = zip(*workers.map(part, list(zip(batch.shards, randoms, strict=False))), strict=True)
    at_vectors, *sums = [_sum(gradient) for gradient in zip(*gradients, strict=True)]
    for parameter, total in zip(of_users, sums, strict=True):
        parameter.grad = total
    for parameter in of_items:
        parameter.grad = None
    vectors.backward(at_vectors)
    return sum(map(float, losses))


def _sum(gradients: Sequence[Tensor | None]) -> Tensor | None:
    """The sum of a parameter's gradients in their order; None if no shard reads the parameter."""
    total: Tensor | None = None
    for gradient in gradients:
        if gradient is not None:
            total = gradient if total is None else total.add_(gradient)
    return total
