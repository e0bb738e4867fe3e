"""The training loop of the towers: epochs over chunks of the log, with early stopping on NDCG."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import nn

from components.retrieval.config import TrainingConfig
from components.retrieval.fitting.averaging import WeightAverage
from components.retrieval.fitting.gradients import set_gradients
from components.retrieval.fitting.loss import Moment, TrainingStep
from components.retrieval.fitting.watch import UNKNOWN, ListQuality, Watch, quality
from components.retrieval.fitting.workers import Workers
from components.retrieval.log import IndexArray
from components.retrieval.model import TrainableTowers, TrainingData
from components.retrieval.sequences import HistoryWindows, windows_of
from feature_repo.features.state import HISTORY_LENGTH
from feature_repo.progress import say, track

_POOL = 8  # batches whose windows are sorted by length


@dataclass(frozen=True, slots=True)
class Fit:
    """The result of a fit.

    Attributes:
        epochs: Number of epochs behind the towers' weights.
        quality: ListQuality of these weights on the watched span, `UNKNOWN` if not measured.
        curve: Number, mean loss and NDCG (NaN if not measured) of every epoch that was run.
    """

    epochs: int
    quality: ListQuality
    curve: tuple[tuple[int, float, float], ...] = ()


@dataclass
class FitState:
    """The state of a fit between two chunks; `checkpoints.py` keeps it.

    Attributes:
        towers: The towers in training.
        optimiser: Their optimiser.
        average: The moving average of their weights.
        epoch: Number of the epoch that runs, counted from 1 with the epochs before the fit.
        chunk: Number of chunks of that epoch that are done.
        losses: Sum of the losses of the epoch's batches, and their number.
        best: The best epoch so far.
        weights: The weights of the best epoch, as `TrainableTowers.weights` gives them; empty if nothing is watched.
        curve: See `Fit`.
    """

    towers: TrainableTowers
    optimiser: torch.optim.Optimizer
    average: WeightAverage
    epoch: int
    best: Fit
    chunk: int = 0
    losses: tuple[float, int] = (0.0, 0)
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    curve: list[tuple[int, float, float]] = field(default_factory=list)

    @classmethod
    def start(cls, towers: TrainableTowers, config: TrainingConfig, done: int) -> Self:
        """The state before the first of further epochs."""
        nothing = Fit(done, ListQuality(-math.inf, -math.inf))
        return cls(towers, _optimiser(towers, config), WeightAverage(towers, config.averaging), done + 1, nothing)


class Keeper(Protocol):
    """Keeps the state of a fit, so that a killed fit continues."""

    def load(self, state: FitState, /) -> None:
        """Sets the state to the kept one, if there is one of this fit."""

    def save(self, state: FitState, /) -> None:
        """Keeps the state, if it is time to."""


def train(
    towers: TrainableTowers,
    data: TrainingData,
    config: TrainingConfig,
    watch: Watch | None,
    epochs: int,
    seed: int,
    done: int = 0,
    keeper: Keeper | None = None,
) -> Fit:
    """Trains towers in place; they end with the average of their weights.

    Args:
        towers: Fresh towers, or towers that are trained further.
        data: Training data.
        config: See `TrainingConfig`.
        watch: Users whose NDCG decides when to stop; the weights of the best epoch are kept. None runs all epochs.
        epochs: Maximum number of further epochs.
        seed: Seed of the example order and the negatives.
        done: Number of epochs behind the given weights.
        keeper: Keeps the state after chunks; a fit that starts again continues after the last kept chunk and ends with
            the same weights.
    """
    state = FitState.start(towers, config, done)
    if keeper is not None:
        keeper.load(state)
    chunks = list(data.examples.chunks(data.log, config.chunk))
    with Workers(config.num_threads if towers.device.type == "cpu" else 1) as workers:
        while state.epoch <= done + epochs and state.epoch - state.best.epochs <= config.patience:
            loss = _train_epoch(state, data, config, chunks, seed, keeper, workers)
            reached = UNKNOWN
            if watch is None:
                state.best = Fit(state.epoch, reached)
            else:
                with state.average.applied():
                    reached, now = quality(towers, data, watch, config, workers), towers.weights()
                figures = f"NDCG@{config.list_length} {reached.ndcg:.4f}, recall {reached.recall:.4f}"
                say(f"towers: epoch {state.epoch}, {figures}")
                if reached.ndcg > state.best.quality.ndcg:
                    state.best, state.weights = Fit(state.epoch, reached), now
            state.curve.append((state.epoch, loss, reached.ndcg))
            state.epoch, state.chunk, state.losses = state.epoch + 1, 0, (0.0, 0)
    if watch is None:
        state.average.swap()
    elif state.weights:
        towers.load_weights(state.weights)
    return replace(state.best, curve=tuple(state.curve))


def _optimiser(towers: TrainableTowers, config: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW with a separate learning rate for embeddings."""
    modules = [module for tower in (towers.users, towers.items) for module in tower.modules()]
    tables = [module.weight for module in modules if isinstance(module, nn.Embedding | nn.EmbeddingBag)]
    of_tables = {id(table) for table in tables}
    parameters = [*towers.users.parameters(), *towers.items.parameters()]
    groups: list[dict[str, Any]] = [
        {"params": tables, "lr": config.embedding_rate},
        {"params": [parameter for parameter in parameters if id(parameter) not in of_tables]},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)


def _train_epoch(
    state: FitState,
    data: TrainingData,
    config: TrainingConfig,
    chunks: Sequence[IndexArray],
    seed: int,
    keeper: Keeper | None,
    workers: Workers,
) -> float:
    """The chunks of an epoch that are left, in chronological order; returns the mean loss of the whole epoch."""
    started, left = time.monotonic(), chunks[state.chunk :]
    num_examples = sum(map(len, left))
    for chunk in track(left, f"towers: epoch {state.epoch}, examples", num_examples, len):
        # Each chunk has separate random numbers, so that a fit that continues after it draws the same ones.
        seeds = np.random.SeedSequence((seed, state.epoch, state.chunk))
        total, count = _train_chunk(state, data, config, chunk, seeds, workers)
        state.losses = state.losses[0] + total, state.losses[1] + count
        state.chunk += 1
        if keeper is not None:
            keeper.save(state)
    rate = num_examples / max(time.monotonic() - started, 1e-9)
    loss = state.losses[0] / state.losses[1] if state.losses[1] else math.nan
    say(f"towers: epoch {state.epoch}, loss {loss:.3f}, {num_examples:,} examples, {rate:,.0f} examples/s")
    return loss


def _train_chunk(
    state: FitState,
    data: TrainingData,
    config: TrainingConfig,
    chunk: IndexArray,
    seeds: np.random.SeedSequence,
    workers: Workers,
) -> tuple[float, int]:
    """One pass over the examples of a chunk; returns the sum of the batches' losses, and their number."""
    towers, losses, rng = state.towers, [], np.random.default_rng(seeds)
    num_shards = config.num_shards if towers.device.type == "cpu" else 1
    randoms = [
        torch.Generator(towers.device).manual_seed(int(number))
        for number in seeds.generate_state(num_shards, np.uint32)
    ]
    moment = Moment.of(data, chunk)
    for windows in _batches(data, chunk, config.batch_of(len(data.examples)), rng):
        batch = TrainingStep.draw(data, config, windows, moment, rng, num_shards)
        losses.append(set_gradients(towers, data, config, batch, moment, randoms, workers))
        state.optimiser.step()
        state.average.update()
    return sum(losses), len(losses)


def _batches(data: TrainingData, chunk: IndexArray, size: int, rng: np.random.Generator) -> Iterator[HistoryWindows]:
    """The chunk's windows in random order, in batches of about `size` examples; similar lengths go together."""
    windows = windows_of(data.log, chunk, HISTORY_LENGTH)
    counts = np.searchsorted(chunk, windows.stops) - np.searchsorted(chunk, windows.firsts)
    order = rng.permutation(len(windows))
    pool = np.cumsum(counts[order]) // (size * _POOL)
    order = order[np.lexsort(((windows.stops - windows.starts)[order], pool))]
    totals = np.cumsum(counts[order])
    bounds = np.linspace(0, totals[-1], max(round(totals[-1] / size), 1) + 1)[1:-1]
    batches = [batch for batch in np.split(order, np.searchsorted(totals, bounds)) if len(batch)]
    for place in rng.permutation(len(batches)):
        yield windows.take(batches[place])
