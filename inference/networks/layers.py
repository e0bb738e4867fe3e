"""Layers that both towers use: standardised numbers, embedded codes, a residual layer with unit length, and dropout."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_LEAST_INT16, _NUM_INT16 = -(2**15), 2**16
_WIDE = 1e12  # squares of greater numbers, summed over the rows, exceed the range of float32


class Standardise(nn.Module):
    """(x - mean) / std, missing values as 0, clipped to five deviations; mean and std are set once from the data."""

    mean: Tensor
    std: Tensor

    def __init__(self, num_columns: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_columns))
        self.register_buffer("std", torch.ones(num_columns))

    def fit(self, values: Tensor) -> None:
        """Sets mean and deviation from values [n, num_columns]; NaN is missing, a constant column becomes 0."""
        values = values.double() if bool((values.abs() > _WIDE).any()) else values
        mean = torch.nan_to_num(values.nanmean(dim=0))
        spread = torch.nan_to_num((values - mean).square().nanmean(dim=0)).sqrt()
        self.mean.copy_(mean)
        self.std.copy_(torch.where(spread > 1e-6, spread, torch.full_like(spread, 1e6)))

    def forward(self, values: Tensor) -> Tensor:
        """Values [n, num_columns] to the same shape."""
        scaled = (values - self.mean) / self.std
        return torch.where(torch.isnan(scaled), torch.zeros_like(scaled), scaled).clamp(-5.0, 5.0)


class Codes(nn.Module):
    """Sum of the embeddings of categorical codes; code 0 adds nothing."""

    def __init__(self, sizes: tuple[int, ...], dimension: int) -> None:
        super().__init__()
        tables = [nn.Embedding(size, dimension, padding_idx=0) for size in sizes]
        for table in tables:
            nn.init.zeros_(table.weight)  # an untrained value adds 0 as well
        self.tables = nn.ModuleList(tables)

    def forward(self, codes: Tensor, start: Tensor) -> Tensor:
        """Codes [n, columns] added to `start` [n, d]."""
        for column, table in enumerate(self.tables):
            start = start + table(codes[:, column])
        return start


class Residual(nn.Module):
    """x + MLP(norm(x)), scaled to unit length."""

    def __init__(self, dimension: int, hidden: int) -> None:
        super().__init__()
        last = nn.Linear(hidden, dimension)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(nn.LayerNorm(dimension), nn.Linear(dimension, hidden), nn.GELU(), last)

    def forward(self, x: Tensor) -> Tensor:
        """[n, d] to unit vectors [n, d]."""
        return nn.functional.normalize(x + self.layers(x), dim=-1)


def dropped(x: Tensor, share: float, random: torch.Generator | None) -> Tensor:
    """Dropout (Srivastava et al., JMLR 2014) that draws from a given generator; see `torch.nn.functional.dropout`.

    Parts of a step are computed in several threads. With the global generator of torch, the masks would depend on which
    thread is first. A mask reads 16 random bits for each number, which takes a third of the time of `bernoulli_`.

    Args:
        x: Any shape.
        share: Share of the numbers that become 0; the others are divided by 1 - share.
        random: Draws the mask; None returns `x`.
    """
    if random is None or not share:
        return x
    words = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device)
    words.random_(-(2**63), None, generator=random)
    kept = words.view(torch.int16)[: x.numel()].view(x.shape) >= _LEAST_INT16 + round(share * _NUM_INT16)
    return x * kept.to(x.dtype).mul_(1 / (1 - share))
