"""An exponential moving average of the towers' weights, which is measured and released instead of the last weights.

The last weights of a fit carry the noise of the last steps. Their average does not, so it reaches the quality of about
one more epoch at almost no cost. After Tarvainen and Valpola, "Mean teachers are better role models", NeurIPS 2017;
the average follows the weights faster in the first steps, so that it forgets the start.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from components.retrieval.model import TrainableTowers


class WeightAverage:
    """Averages the weights of both towers after every step.

    Args:
        towers: The towers in training.
        decay: Weight of the old average in a step, once enough steps are done; 0 keeps the last weights.

    Attributes:
        steps: Number of steps so far.
    """

    def __init__(self, towers: TrainableTowers, decay: float) -> None:
        self._weights: list[torch.Tensor] = [*towers.users.parameters(), *towers.items.parameters()]
        self._average = [weight.detach().clone() for weight in self._weights]
        self._decay, self.steps = decay, 0

    @property
    def values(self) -> Sequence[torch.Tensor]:
        """The averages, in the order of the weights."""
        return self._average

    @torch.no_grad()
    def restore(self, values: Sequence[torch.Tensor], steps: int) -> None:
        """Takes over averages after a number of steps."""
        for average, value in zip(self._average, values, strict=True):
            average.copy_(value)
        self.steps = steps

    @torch.no_grad()
    def update(self) -> None:
        """Moves the average towards the weights, after a step."""
        self.steps += 1
        decay = min(self._decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self._average, self._weights, 1.0 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchanges the weights of the towers and the average."""
        for weight, average in zip(self._weights, self._average, strict=True):
            kept = weight.clone()
            weight.copy_(average)
            average.copy_(kept)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The towers have the averaged weights within the block."""
        self.swap()
        try:
            yield
        finally:
            self.swap()
