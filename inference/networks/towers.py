"""The two towers: networks that embed users and items as unit vectors in a shared space.

Training and export are in `components/retrieval/`. This module depends only on torch. Standardisation is part of the
networks, so that all callers pass raw values.

The item tower sums an id embedding, categorical codes, words of the text, and numbers. Id 0 is "unknown"; training
replaces random ids with it, so that the tower also works with content only. The user tower attends over the item
vectors of the last events with recency, and adds profile and request. After Yi et al., "Sampling-Bias-Corrected Neural
Modeling for Large Corpus Item Recommendations", RecSys 2019.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

RECENCY_DAYS = (0.1, 1.0, 7.0, 30.0)  # time constants of the recency of an event
_MASKED = -1e9
_WIDE = 1e12  # squares of greater numbers, summed over the rows, exceed the range of float32


@dataclass(frozen=True)
class TowersConfig:
    """Shapes of both towers.

    Attributes:
        num_item_ids: Number of items with an id embedding; ids run 1..num_item_ids, 0 is unknown.
        item_categorical: Number of codes of each item column, including 0 (unknown).
        num_item_numeric: Number of item numbers.
        num_words: Hash buckets of words, 0 if items have no text; word 0 is padding.
        user_categorical: Number of codes of each profile column.
        num_user_numeric: Number of profile numbers.
        request_categorical: Number of codes of each request column.
        num_request_numeric: Number of request numbers.
        num_grades: Number of objectives; grades of events run 1..num_grades, 0 is padding.
        dimension: Length of the vectors.
        hidden: Width of the hidden layers.
        num_heads: Attention heads over the history.
        history_length: Number of events that the user tower reads, latest last.
    """

    num_item_ids: int
    item_categorical: tuple[int, ...]
    num_item_numeric: int
    num_words: int
    user_categorical: tuple[int, ...]
    num_user_numeric: int
    request_categorical: tuple[int, ...]
    num_request_numeric: int
    num_grades: int
    dimension: int = 64
    hidden: int = 128
    num_heads: int = 4
    history_length: int = 50


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


class ItemTower(nn.Module):
    """Id, codes, words and numbers of items to unit vectors."""

    def __init__(self, config: TowersConfig) -> None:
        super().__init__()
        d = config.dimension
        self.ids = nn.Embedding(config.num_item_ids + 1, d)
        nn.init.normal_(self.ids.weight, std=d**-0.5)
        self.codes = Codes(config.item_categorical, d)
        self.words = nn.EmbeddingBag(max(config.num_words, 1), d, mode="mean", padding_idx=0)
        nn.init.normal_(self.words.weight, std=d**-0.5)
        self.standardise = Standardise(config.num_item_numeric)
        self.numeric = nn.Linear(config.num_item_numeric, d)
        self.top = Residual(d, config.hidden)

    def forward(self, ids: Tensor, categorical: Tensor, numeric: Tensor, words: Tensor) -> Tensor:
        """Unit vectors of n items.

        Args:
            ids: [n], 0 is unknown.
            categorical: Codes [n, columns].
            numeric: [n, num_item_numeric], NaN is missing.
            words: Hashed words [n, w], 0 is padding.

        Returns:
            [n, d].
        """
        x = self.ids(ids) + self.words(words) + self.numeric(self.standardise(numeric))
        out: Tensor = self.top(self.codes(categorical, x))
        return out


class UserTower(nn.Module):
    """Last events, profile and request of users to unit vectors."""

    def __init__(self, config: TowersConfig) -> None:
        super().__init__()
        d, heads = config.dimension, config.num_heads
        self.config = config
        self.grades = nn.Embedding(config.num_grades + 1, d, padding_idx=0)
        nn.init.zeros_(self.grades.weight)
        self.default = nn.Parameter(torch.randn(d) * d**-0.5)  # used in place of an empty history
        self.keys = nn.Linear(d, heads)
        self.recency = nn.Linear(len(RECENCY_DAYS) + 1, heads)
        self.pooled = nn.Linear(heads * d, d)
        with torch.no_grad():  # start from the plain mean of the history
            self.pooled.weight.copy_(torch.eye(d).repeat(1, heads) / heads)
        self.codes = Codes(config.user_categorical, d)
        self.request_codes = Codes(config.request_categorical, d)
        self.standardise = Standardise(config.num_user_numeric)
        self.numeric = nn.Linear(config.num_user_numeric + config.num_request_numeric + 1, d)
        nn.init.normal_(self.numeric.weight, std=0.1 * d**-0.5)
        self.top = Residual(d, config.hidden)

    def forward(
        self,
        history: Tensor,
        ages: Tensor,
        grades: Tensor,
        categorical: Tensor,
        numeric: Tensor,
        request_numeric: Tensor,
        request_categorical: Tensor,
    ) -> Tensor:
        """Unit vectors of q users.

        Args:
            history: Item vectors of the last events [q, l, d]; padded entries are ignored.
            ages: Days between each event and the query [q, l], >= 0.
            grades: Objective grade of each event, 0 where padded [q, l].
            categorical: Profile codes [q, columns].
            numeric: Profile numbers [q, num_user_numeric], NaN is missing.
            request_numeric: [q, num_request_numeric].
            request_categorical: Request codes [q, columns].

        Returns:
            [q, d].
        """
        present = grades > 0
        length = present.sum(dim=1, keepdim=True).to(history.dtype)
        events = history + self.grades(grades)
        recency = torch.stack([ages.log1p(), *(torch.exp(-ages / days) for days in RECENCY_DAYS)], dim=-1)
        attention = self.keys(events) + self.recency(recency)
        attention = attention.masked_fill(~present.unsqueeze(-1), _MASKED)
        nothing = self.keys(self.default).expand(history.shape[0], 1, -1)
        shares = torch.cat([attention, nothing], dim=1).softmax(dim=1)  # [q, l + 1, heads]
        events = torch.cat([events, self.default.expand(history.shape[0], 1, -1)], dim=1)
        pooled = torch.bmm(shares.transpose(1, 2), events).flatten(1)
        numbers = torch.cat([self.standardise(numeric), request_numeric, length.log1p()], dim=1)
        profile = self.codes(categorical, self.numeric(numbers))
        profile = self.request_codes(request_categorical, profile)
        out: Tensor = self.top(self.pooled(pooled) + profile)
        return out
