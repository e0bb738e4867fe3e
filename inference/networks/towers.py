"""The two towers: networks that embed users and items as unit vectors in a shared space.

Training and export are in `components/retrieval/`. This module depends only on torch. Standardisation is part of the
networks, so that all callers pass raw values.

The item tower sums an id embedding, categorical codes, words of the text, and numbers. Id 0 is "unknown"; training
replaces random ids with it, so that the tower also works with content only. The user tower reads the last events as a
sequence (`sequence.py`) and adds what is known at the query: profile, request, and the time since the last event. After
Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations", RecSys 2019.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from inference.networks.layers import Codes, Residual, Standardise
from inference.networks.sequence import NUM_GAPS, HistoryEncoder, gap_features


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
        num_blocks: Layers of the history's transformer.
        num_heads: Attention heads of each layer.
        history_length: Number of events that the user tower reads, latest last.
        dropout: Share of the transformer's numbers that training sets to 0.
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
    num_blocks: int = 2
    num_heads: int = 2
    history_length: int = 100
    dropout: float = 0.1


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
        nn.init.normal_(self.numeric.weight, std=0.1 * d**-0.5)
        nn.init.zeros_(self.numeric.bias)
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
        d = config.dimension
        self.config = config
        self.history = HistoryEncoder(
            d,
            config.num_grades,
            blocks=config.num_blocks,
            heads=config.num_heads,
            hidden=config.hidden,
            longest=config.history_length,
            dropout=config.dropout,
        )
        self.codes = Codes(config.user_categorical, d)
        self.request_codes = Codes(config.request_categorical, d)
        self.standardise = Standardise(config.num_user_numeric)
        self.profile = nn.Parameter(torch.randn(config.num_user_numeric, d) * 0.1 * d**-0.5)
        self.request = nn.Linear(config.num_request_numeric + NUM_GAPS + 2, d)
        nn.init.normal_(self.request.weight, std=0.1 * d**-0.5)
        self.top = Residual(d, config.hidden)

    def profiles(self, categorical: Tensor, numeric: Tensor) -> Tensor:
        """Profile codes [q, columns] and numbers [q, num_user_numeric] of users, embedded [q, d]."""
        out: Tensor = self.codes(categorical, self.standardise(numeric) @ self.profile)
        return out

    def answers(
        self,
        states: Tensor,
        profiles: Tensor,
        num_events: Tensor,
        age: Tensor,
        request_numeric: Tensor,
        request_categorical: Tensor,
    ) -> Tensor:
        """Unit vectors of n queries.

        Args:
            states: What the history encoder knows at each query [n, d].
            profiles: Embedded profile of each query's user [n, d].
            num_events: Number of events in the history, at most `history_length` [n].
            age: Days between the last event and the query, anything without events [n].
            request_numeric: [n, num_request_numeric].
            request_categorical: Request codes [n, columns].

        Returns:
            [n, d].
        """
        some = (num_events > 0).to(states.dtype).unsqueeze(-1)
        count = num_events.to(states.dtype).log1p().unsqueeze(-1)
        numbers = torch.cat([request_numeric, gap_features(age) * some, some, count], dim=1)
        known = self.request_codes(request_categorical, profiles + self.request(numbers))
        out: Tensor = self.top(states + known)
        return out

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
        count = (grades > 0).sum(dim=1)
        states = self.history(history, ages, grades)
        state = states.gather(1, count[:, None, None].expand(-1, 1, states.shape[2])).squeeze(1)
        age = ages.gather(1, (count - 1).clamp(min=0)[:, None]).squeeze(1)
        profiles = self.profiles(categorical, numeric)
        return self.answers(state, profiles, count, age, request_numeric, request_categorical)
