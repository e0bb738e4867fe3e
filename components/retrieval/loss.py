"""The loss of a batch: sampled softmax with a correction for the sampling probability of its candidates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn.functional import embedding, softplus

from components.retrieval.config import TrainingConfig
from components.retrieval.log import IndexArray, ragged
from components.retrieval.model import TrainableTowers, TrainingData, user_inputs
from feature_repo.features.state import HISTORY_LENGTH, FloatArray, IntArray
from inference.models.encoder import TowerInputs

_RULED_OUT = -1e9


@dataclass(frozen=True, slots=True)
class Moment:
    """Item state shared by a whole chunk of examples.

    Attributes:
        numeric: Numbers of all items as of the chunk's first cut [m, columns].
        alive: Rows of the items that exist at that cut [a].
        shares: Share of each item among the chunk's examples [m].
    """

    numeric: FloatArray
    alive: IntArray
    shares: npt.NDArray[np.float64]

    @classmethod
    def of(cls, data: TrainingData, chunk: slice) -> Moment:
        """The moment of a slice of groups."""
        examples = data.examples
        time = data.log.grid.begin(int(examples.cells[chunk.start]))
        rows = examples.rows[examples.offsets[chunk.start] : examples.offsets[chunk.stop]]
        shares = np.bincount(rows, minlength=len(data.items)) / len(rows)
        return cls(data.items.numeric(time), data.items.alive(time), shares)


def batch_loss(
    towers: TrainableTowers,
    data: TrainingData,
    config: TrainingConfig,
    batch: IndexArray,
    moment: Moment,
    rng: np.random.Generator,
) -> Tensor:
    """Softmax loss of each example over the batch's items and uniform negatives, with logQ correction.

    The logit of a candidate is reduced by log q, where q is the probability that the item is among the candidates.
    Popular items appear more often as in-batch negatives and would otherwise be penalised (Yi et al., RecSys 2019; with
    uniform negatives, Yang et al., WWW 2020). Items that the user chose in the same cell are not negatives, nor are
    earlier items that `repeats` may exclude.

    Args:
        towers: Both networks.
        data: Training data.
        config: See `TrainingConfig`.
        batch: Indices of groups of examples [b].
        moment: Item state of the batch's chunk.
        rng: Draws negatives and dropouts.

    Returns:
        Weighted mean over examples; an example of a group of n has the weight n ** -group_damping.
    """
    examples = data.examples
    users, ends = examples.users[batch], examples.ends[batch]
    inputs = user_inputs(data, users, ends, examples.times[batch], examples.request[batch])
    inputs = _blanked(inputs, config.context_dropout, rng)
    at, group = ragged(examples.offsets[batch], np.diff(examples.offsets)[batch])
    targets = examples.rows[at]
    uniform = rng.choice(moment.alive, size=config.num_uniform)
    candidates, place = np.unique(np.concatenate([targets, uniform]), return_inverse=True)
    needed, where = np.unique(np.concatenate([inputs.rows.ravel(), candidates]), return_inverse=True)
    ids = np.where(rng.random(len(needed)) < config.id_dropout, 0, data.item_index[needed])
    vectors = towers.item_vectors(data.items, moment.numeric, ids, needed)
    # Rows are selected with `embedding`, whose gradient is deterministic; the gradient of indexing is not.
    places = towers.tensor(where)
    history = embedding(places[: inputs.rows.size], vectors).view(*inputs.rows.shape, -1)
    cosines = towers.user_vectors(inputs, history) @ embedding(places[inputs.rows.size :], vectors).T
    log_q = np.log(inclusion(candidates, len(targets), config.num_uniform, moment)).astype(np.float32)
    logits = cosines / config.temperature - towers.tensor(log_q)
    others = logits.masked_fill(towers.tensor(_no_negatives(data, batch, candidates)), _RULED_OUT).logsumexp(dim=1)
    groups = towers.tensor(group)
    weights = towers.tensor((np.bincount(group)[group] ** -config.group_damping).astype(np.float32))
    positives = logits[groups, towers.tensor(place[: len(targets)])]
    losses = softplus(embedding(groups, others[:, None])[:, 0] - positives)
    return (losses * weights).sum() / weights.sum()


def inclusion(candidates: IndexArray, num_targets: int, num_uniform: int, moment: Moment) -> npt.NDArray[np.float64]:
    """Probability that each candidate [c] is drawn, as a target or uniformly.

    1 - (1 - p)^t (1 - 1/a)^u, where p is its share of the examples, for t targets and u uniform draws from a items.
    """
    uniform = np.isin(candidates, moment.alive) / len(moment.alive)
    missed = (1 - moment.shares[candidates]) ** num_targets * (1 - uniform) ** num_uniform
    return np.asarray(np.maximum(1 - missed, 1e-12))


def _no_negatives(data: TrainingData, batch: IndexArray, candidates: IndexArray) -> npt.NDArray[np.bool_]:
    """Whether a candidate must not be a negative of a group [b, c]: chosen in its cell, or earlier without repeats."""
    log, examples = data.log, data.examples
    starts, stops = examples.ends[batch], examples.stops[batch]
    if data.feature_set.repeats != "always":
        starts = np.maximum(log.offsets[examples.users[batch]], starts - HISTORY_LENGTH)
    events, owner = ragged(starts, stops - starts)
    column = np.full(len(data.items), -1, dtype=np.int64)
    column[candidates] = np.arange(len(candidates))
    columns = column[log.rows[events]]
    out = np.zeros((len(batch), len(candidates)), dtype=np.bool_)
    out[owner[columns >= 0], columns[columns >= 0]] = True
    return out


def _blanked(inputs: TowerInputs, share: float, rng: np.random.Generator) -> TowerInputs:
    """Inputs in which a random share of profiles, and of request codes, is replaced by "unknown"."""
    profile = rng.random((len(inputs.rows), 1)) < share
    request = rng.random((len(inputs.rows), 1)) < share
    return replace(
        inputs,
        categorical=np.where(profile, 0, inputs.categorical),
        numeric=np.where(profile, np.float32(np.nan), inputs.numeric),
        request_categorical=np.where(request, 0, inputs.request_categorical),
    )
