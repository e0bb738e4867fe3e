"""The encoder of a user's history: a causal transformer whose state after every event is known at once.

State i has read the first i events and nothing later, so that one pass over a history gives a training example for each
of its events. After Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018, with normalisation before
each layer, and with distances between events in place of absolute positions (Raffel et al., JMLR 2020), so that a
history may begin anywhere. The gap to the event before is a part of each event (after Li et al., WSDM 2020).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from inference.networks.layers import dropped

GAP_DAYS = (0.01, 0.1, 1.0, 7.0, 30.0)  # time constants of gaps and ages
NUM_GAPS = len(GAP_DAYS) + 1
_LATER = -1e9
_EXACT = 16  # distances with a separate bias; greater ones share one per power of sqrt(2)


def gap_features(days: Tensor) -> Tensor:
    """Days [...] as numbers from 0 to a few [..., NUM_GAPS]: the logarithm, and a decay per time constant."""
    return torch.stack([days.log1p(), *(torch.exp(-days / constant) for constant in GAP_DAYS)], dim=-1)


class Distances(nn.Module):
    """A learned bias of the attention for each head and distance between two events."""

    buckets: Tensor

    def __init__(self, heads: int, longest: int) -> None:
        super().__init__()
        distances = torch.arange(longest + 1, dtype=torch.float64)
        coarse = _EXACT + (2 * torch.log2(distances.clamp(min=_EXACT) / _EXACT)).floor()
        self.register_buffer("buckets", torch.minimum(distances, coarse).long(), persistent=False)
        self.bias = nn.Embedding(int(self.buckets[-1]) + 1, heads)
        nn.init.zeros_(self.bias.weight)

    def forward(self, places: Tensor) -> Tensor:
        """Places 0, 1, .. of s states to what each pair adds to its attention [heads, s, s]; later ones are masked."""
        distance = places[:, None] - places[None, :]
        bias: Tensor = self.bias(self.buckets[distance.clamp(0, len(self.buckets) - 1)]).permute(2, 0, 1)
        return bias.masked_fill(distance < 0, _LATER)


class Block(nn.Module):
    """Attention to earlier states and a feed-forward layer, each on normalised input and added to it."""

    def __init__(self, dimension: int, heads: int, hidden: int, longest: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.distances = Distances(heads, longest)
        self.norm = nn.LayerNorm(dimension)
        self.mixed = nn.Linear(dimension, 3 * dimension)
        self.out = nn.Linear(dimension, dimension)
        self.layers = nn.Sequential(
            nn.LayerNorm(dimension), nn.Linear(dimension, hidden), nn.GELU(), nn.Linear(hidden, dimension)
        )
        self.dropout = dropout

    def forward(self, x: Tensor, places: Tensor, random: torch.Generator | None = None) -> Tensor:
        """States [q, s, d] to the same shape; `random` draws the dropout."""
        rows, length, width = x.shape
        query, key, value = (
            part.view(rows, length, self.heads, -1).transpose(1, 2)
            for part in self.mixed(self.norm(x)).chunk(3, dim=-1)
        )
        scores = query @ key.transpose(2, 3) * (width // self.heads) ** -0.5 + self.distances(places)
        mixed = (scores.softmax(dim=-1) @ value).transpose(1, 2).reshape(rows, length, width)
        x = x + dropped(self.out(mixed), self.dropout, random)
        out: Tensor = x + dropped(self.layers(x), self.dropout, random)
        return out


class HistoryEncoder(nn.Module):
    """Events of a history to the state after each of them.

    The last layer also averages the plain item vectors with learned shares per head. It starts as the mean of the
    history, which is a good guess for short histories and small logs.
    """

    def __init__(
        self, dimension: int, num_grades: int, *, blocks: int, heads: int, hidden: int, longest: int, dropout: float
    ) -> None:
        super().__init__()
        d = dimension
        self.start = nn.Parameter(torch.randn(d) * d**-0.5)  # the state of an empty history
        self.items = nn.Linear(d, d)
        self.grades = nn.Embedding(num_grades + 1, d, padding_idx=0)
        nn.init.zeros_(self.grades.weight)
        self.gaps = nn.Linear(NUM_GAPS, d)
        self.blocks = nn.ModuleList(Block(d, heads, hidden, longest, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(d)
        self.distances = Distances(heads, longest)
        self.heads = heads
        self.pairs = nn.Linear(d, 2 * d)
        self.pooled = nn.Linear(heads * d, d)
        self.last = nn.Linear(d, d)
        self.dropout = dropout
        with torch.no_grad():
            self.pooled.weight.copy_(torch.eye(d).repeat(1, heads) / heads)
            self.last.weight.mul_(0.1)

    def forward(self, history: Tensor, ages: Tensor, grades: Tensor, random: torch.Generator | None = None) -> Tensor:
        """States of q histories.

        Args:
            history: Item vectors of the events, oldest first, anything where padded at the end [q, l, d].
            ages: Days between each event and one later time [q, l]; only their differences are read.
            grades: Objective grade of each event, 0 where padded [q, l].
            random: Draws the dropout of a training step; None drops nothing.

        Returns:
            State i has read i events [q, l + 1, d].
        """
        rows = history.shape[0]
        gaps = torch.cat([torch.zeros_like(ages[:, :1]), (ages[:, :-1] - ages[:, 1:]).clamp(min=0.0)], dim=1)
        events = self.items(history) + self.grades(grades) + self.gaps(gap_features(gaps))
        start = self.start.expand(rows, 1, -1)
        x = dropped(torch.cat([start, events], dim=1), self.dropout, random)
        places = torch.arange(x.shape[1], device=x.device)
        for block in self.blocks:
            x = block(x, places, random)
        x = self.norm(x)
        query, key = (
            part.view(rows, x.shape[1], self.heads, -1).transpose(1, 2) for part in self.pairs(x).chunk(2, dim=-1)
        )
        scores = query @ key.transpose(2, 3) * (x.shape[-1] // self.heads) ** -0.5 + self.distances(places)
        values = torch.cat([start, history], dim=1).unsqueeze(1)
        pooled = (scores.softmax(dim=-1) @ values).transpose(1, 2).flatten(2)
        out: Tensor = self.pooled(pooled) + self.last(x)
        return out
