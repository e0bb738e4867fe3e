"""The training loop of the towers: epochs over chunks of the log, with early stopping on NDCG."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from components.retrieval.averaging import WeightAverage
from components.retrieval.config import TrainingConfig
from components.retrieval.log import IndexArray
from components.retrieval.loss import Moment, batch_loss
from components.retrieval.model import TrainableTowers, TrainingData
from components.retrieval.sequences import HistoryWindows, windows_of
from components.retrieval.watch import UNKNOWN, ListQuality, Watch, quality
from feature_repo.features.state import HISTORY_LENGTH
from feature_repo.progress import say, track

_POOL = 8  # batches whose windows are sorted by length


@dataclass(frozen=True, slots=True)
class Fit:
    """The result of a fit.

    Attributes:
        epochs: Number of epochs behind the towers' weights.
        quality: ListQuality of these weights on the watched span, `UNKNOWN` if not measured.
    """

    epochs: int
    quality: ListQuality


def train(
    towers: TrainableTowers,
    data: TrainingData,
    config: TrainingConfig,
    watch: Watch | None,
    epochs: int,
    seed: int,
    done: int = 0,
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
    """
    optimiser, average = _optimiser(towers, config), WeightAverage(towers, config.averaging)
    best, weights = Fit(done, ListQuality(-math.inf, -math.inf)), towers.weights()
    for epoch in range(done + 1, done + epochs + 1):
        started = time.monotonic()
        loss = _train_epoch(towers, data, config, optimiser, average, np.random.default_rng((seed, epoch)), epoch)
        reached, watched = UNKNOWN, ""
        if watch is not None:
            with average.applied():
                reached, now = quality(towers, data, watch, config), towers.weights()
            watched = f", NDCG@{config.list_length} {reached.ndcg:.4f}, recall {reached.recall:.4f}"
        say(f"towers: epoch {epoch}, loss {loss:.3f}{watched}, {time.monotonic() - started:.0f} s")
        if watch is None:
            best = Fit(epoch, reached)
        elif reached.ndcg > best.quality.ndcg:
            best, weights = Fit(epoch, reached), now
        elif epoch - best.epochs >= config.patience:
            break
    if watch is None:
        average.swap()
    else:
        towers.load_weights(weights)
    return best


@contextmanager
def limited_threads(num_threads: int) -> Iterator[None]:
    """Limits torch to `num_threads` threads within the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
    towers: TrainableTowers,
    data: TrainingData,
    config: TrainingConfig,
    optimiser: torch.optim.Optimizer,
    average: WeightAverage,
    rng: np.random.Generator,
    epoch: int,
) -> float:
    """One pass over the examples in chronological order; returns the mean loss."""
    towers.users.train()
    towers.items.train()
    losses = []
    chunks = list(data.examples.chunks(data.log, config.chunk))
    for chunk in track(chunks, f"towers: epoch {epoch}"):
        moment = Moment.of(data, chunk)
        for windows in _batches(data, chunk, config.batch_of(len(data.examples)), rng):
            loss = batch_loss(towers, data, config, windows, moment, rng)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            average.update()
            losses.append(float(loss.detach()))
    return float(np.mean(losses)) if losses else math.nan


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
