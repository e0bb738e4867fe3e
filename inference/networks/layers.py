"""Layers that both towers use: standardised numbers, embedded codes, and a residual layer with unit length."""

from __future__ import annotations

import torch
from torch import Tensor, nn

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
