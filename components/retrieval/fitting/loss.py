"""The loss of a step: sampled softmax with a correction for the sampling probability of its candidates.

A step is drawn as a whole and computed in shards: all shards share the candidates and the vectors of the items, and the
sum of their losses is the loss of the step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import embedding, softplus

from components.retrieval.config import TrainingConfig
from components.retrieval.log import IndexArray, ragged
from components.retrieval.model import TrainableTowers, TrainingData, WindowInputs, window_inputs
from components.retrieval.questions import Questions
from components.retrieval.sequences import HistoryWindows
from feature_repo.features.state import FloatArray, IntArray

_RULED_OUT = -1e9


@dataclass(frozen=True, slots=True)
class Moment:
    """Item state shared by a whole chunk of examples.

    Attributes:
        numeric: Numbers of all items as of the chunk's first example [m, columns].
        alive: Rows of the items that exist at the chunk's end [a].
        shares: Share of each item among the chunk's examples [m].
    """

    numeric: FloatArray
    alive: IntArray
    shares: npt.NDArray[np.float64]

    @classmethod
    def of(cls, data: TrainingData, positions: IndexArray) -> Moment:
        """The moment of a chunk's examples."""
        times = data.log.times[positions]
        shares = np.bincount(data.log.rows[positions], minlength=len(data.items)) / len(positions)
        return cls(data.items.numeric(float(times.min())), data.items.alive(float(times.max())), shares)


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a step's windows, which is computed in one thread.

    Attributes:
        windows: Windows of histories [b].
        asked: The questions about them [n].
        inputs: The user tower's inputs, some of which are blanked.
        targets: Item row of each answer [n].
        weights: Weight of each question [n]; the weights of all shards of a step have the sum 1.
    """

    windows: HistoryWindows
    asked: Questions
    inputs: WindowInputs
    targets: IndexArray
    weights: FloatArray


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """A step: its questions in shards, and the items that all shards share.

    Attributes:
        shards: The parts of the step; the step's loss is the sum of their losses.
        candidates: Item rows that every question is compared with [c], ascending.
        items: Item rows whose vectors the step reads [k], ascending.
        ids: Id of each of these items for the item tower [k], 0 for unknown.
        log_q: Logarithm of the probability that each of them is a candidate [k].
    """

    shards: Sequence[Shard]
    candidates: IndexArray
    items: IndexArray
    ids: IndexArray
    log_q: FloatArray

    @classmethod
    def draw(
        cls,
        data: TrainingData,
        config: TrainingConfig,
        windows: HistoryWindows,
        moment: Moment,
        rng: np.random.Generator,
        num_shards: int,
    ) -> TrainingStep:
        """Draws the questions, negatives and dropped inputs of a step.

        Args:
            data: Training data.
            config: See `TrainingConfig`.
            windows: Windows of histories [b].
            moment: Item state of the batch's chunk.
            rng: Draws all of them.
            num_shards: Number of shards; fewer for fewer windows.
        """
        log = data.log
        asked = Questions.of(data, windows, config.horizon_share, rng)
        targets = log.rows[asked.positions].astype(np.int64)
        shared = targets if len(targets) <= config.num_shared else rng.choice(targets, config.num_shared, replace=False)
        uniform = rng.choice(moment.alive, size=config.num_uniform)
        candidates = np.unique(np.concatenate([shared, uniform]))
        weights = data.examples.weights[asked.positions]
        weights /= weights.sum()
        shards = []
        for first in range(min(num_shards, len(windows))):
            # Similar lengths are neighbours, so every shard gets windows of all lengths.
            chosen = np.flatnonzero(asked.windows % num_shards == first)
            part = windows.take(np.arange(first, len(windows), num_shards))
            of_part = asked.take(chosen, asked.windows[chosen] // num_shards)
            inputs = window_inputs(data, part, of_part).blanked(config.context_dropout, rng)
            shards.append(Shard(part, of_part, inputs, targets[chosen], weights[chosen]))
        items = np.unique(np.concatenate([candidates, targets, *(shard.inputs.rows.ravel() for shard in shards)]))
        ids = np.where(rng.random(len(items)) < config.id_dropout, 0, data.item_index[items])
        log_q = np.log(inclusion(items, len(shared), config.num_uniform, moment)).astype(np.float32)
        return cls(shards, candidates, items, ids, log_q)


def shard_loss(
    towers: TrainableTowers,
    data: TrainingData,
    config: TrainingConfig,
    batch: TrainingStep,
    shard: Shard,
    vectors: Tensor,
    random: torch.Generator | None,
) -> Tensor:
    """Softmax loss of each example over items of the batch and uniform negatives, with logQ correction.

    The logit of a candidate is reduced by log q, where q is the probability that the item is among the candidates.
    Popular items appear more often as in-batch negatives and would otherwise be penalised (Yi et al., RecSys 2019; with
    uniform negatives, Yang et al., WWW 2020). Other answers of the question are not negatives, nor are items that
    `repeats` may exclude.

    Args:
        towers: Both networks.
        data: Training data.
        config: See `TrainingConfig`.
        batch: The step.
        shard: A part of it.
        vectors: Vectors of the step's items [k, d].
        random: Draws the dropout; None drops nothing.

    Returns:
        Weighted sum over the shard's examples; see `Shard.weights`.
    """

    def places(rows: IndexArray) -> Tensor:
        return towers.tensor(np.searchsorted(batch.items, rows))

    # Rows are selected with `embedding`, whose gradient is deterministic; the gradient of indexing is not.
    log_q = towers.tensor(batch.log_q)
    sampled, chosen = places(batch.candidates), places(shard.targets)
    users = towers.query_vectors(shard.inputs, embedding(places(shard.inputs.rows), vectors), random)
    logits = users @ embedding(sampled, vectors).T / config.temperature - log_q[sampled]
    masked = towers.tensor(_no_negatives(data, shard.windows, shard.asked, batch.candidates))
    others = logits.masked_fill(masked, _RULED_OUT).logsumexp(dim=1)
    positives = (users * embedding(chosen, vectors)).sum(dim=1) / config.temperature - log_q[chosen]
    return (softplus(others - positives) * towers.tensor(shard.weights)).sum()


def inclusion(candidates: IndexArray, num_targets: int, num_uniform: int, moment: Moment) -> npt.NDArray[np.float64]:
    """Probability that each candidate [c] is drawn, as a target or uniformly.

    1 - (1 - p)^t (1 - 1/a)^u, where p is its share of the examples, for t targets and u uniform draws from a items.
    """
    uniform = np.isin(candidates, moment.alive) / len(moment.alive)
    missed = (1 - moment.shares[candidates]) ** num_targets * (1 - uniform) ** num_uniform
    return np.asarray(np.maximum(1 - missed, 1e-12))


def _no_negatives(
    data: TrainingData, windows: HistoryWindows, asked: Questions, candidates: IndexArray
) -> npt.NDArray[np.bool_]:
    """Whether a candidate must not be a negative of a question [n, c].

    With repeats: an item that the user chose in the cell of the question's event. Without: any item of the window.
    Where only the next event is asked for, later items are negatives; the event itself and, without repeats, known
    items are not.
    """
    log, again = data.log, data.feature_set.repeats == "always"
    group = asked.windows
    if not data.horizon:
        starts = asked.positions if again else windows.starts[asked.windows]
        stops, group = asked.positions + 1, np.arange(len(asked.positions))
    elif again:
        users, cells = log.users[asked.positions], log.cells[asked.positions]
        _, first, group = np.unique(
            users.astype(np.int64) * (log.grid.count + 1) + cells, return_index=True, return_inverse=True
        )
        starts, stops = (log.known_at(users[first], cells[first] + later) for later in (0, 1))
    else:
        starts, stops = windows.starts, windows.stops
    events, owner = ragged(starts, stops - starts)
    column = np.full(len(data.items), -1, dtype=np.int64)
    column[candidates] = np.arange(len(candidates))
    columns = column[log.rows[events]]
    out = np.zeros((len(starts), len(candidates)), dtype=np.bool_)
    out[owner[columns >= 0], columns[columns >= 0]] = True
    return out[group]
