"""Checkpoints of a fit: a killed training continues where it was, and ends with the same towers.

A checkpoint is one safetensors file, in a folder or a bucket, with the weights, their moving average, the state of the
optimiser and the best weights so far. It is replaced every few minutes and removed when the fit has ended. A checkpoint
of other data, code or settings is ignored and replaced.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from components.retrieval.config import CHECKPOINTS_VARIABLE
from components.retrieval.fitting.training import Fit, FitState
from components.retrieval.fitting.watch import ListQuality
from feature_repo.errors import StorageError
from feature_repo.progress import say
from feature_repo.storage.folder import open_folder

SECONDS = 120.0  # between two checkpoints; a fit that takes less writes none
_DESCRIPTION = "description"


@dataclass
class Checkpoints:
    """Keeps the state of one fit.

    Attributes:
        folder: Directory or URL; "" keeps nothing.
        name: Name of the fit among those that share the folder.
        key: Hash of all that the fit depends on.
        seconds: Time between two checkpoints.
    """

    folder: str
    name: str
    key: str
    seconds: float = SECONDS
    _last: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, name: str, depends_on: Mapping[str, Any], seconds: float = SECONDS) -> Self:
        """Checkpoints in the folder that the environment names.

        Args:
            name: Name of the fit; characters other than letters, digits and `-` become `-`.
            depends_on: All that the fit depends on, as JSON values.
            seconds: Time between two checkpoints.
        """
        plain = "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in name)
        content = json.dumps(depends_on, sort_keys=True, default=str)
        return cls(
            os.environ.get(CHECKPOINTS_VARIABLE, ""), plain, hashlib.sha256(content.encode()).hexdigest(), seconds
        )

    @property
    def file(self) -> str:
        """Name of the checkpoint in the folder."""
        return f"{self.name}/state.safetensors"

    def load(self, state: FitState, /) -> None:
        """Sets the state to the kept one, if there is one of this fit."""
        content = open_folder(self.folder).read(self.file) if self.folder else None
        if content is None:
            return
        try:
            tensors = load(content)
            described = json.loads(bytes(tensors.pop(_DESCRIPTION).numpy()))
        except (SafetensorError, ValueError, KeyError) as error:
            say(f"towers: the checkpoint {self.file} in {self.folder} cannot be read and is not used: {error}")
            return
        if described["key"] != self.key:
            return
        _put(state, tensors, described)
        say(f"towers: continue in epoch {state.epoch} after {state.chunk} chunks, from a checkpoint")

    def save(self, state: FitState, /) -> None:
        """Keeps the state, if it is time to; a bucket that cannot be reached does not end the fit."""
        if not self.folder or time.monotonic() - self._last < self.seconds:
            return
        try:
            open_folder(self.folder).write(self.file, save(_tensors(state, self.key)))
        except StorageError as error:
            say(f"towers: no checkpoint is written, and the fit continues: {error}")
        self._last = time.monotonic()

    def remove(self) -> None:
        """Removes the checkpoint of the name."""
        if self.folder:
            open_folder(self.folder).remove(self.name, first="state.safetensors")


def _tensors(state: FitState, key: str) -> dict[str, torch.Tensor]:
    tensors = {f"weights.{name}": value for name, value in state.towers.weights().items()}
    tensors |= {f"best.{name}": value for name, value in state.weights.items()}
    tensors |= {f"average.{place}": value for place, value in enumerate(state.average.values)}
    for place, values in state.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{place}.{name}": torch.as_tensor(value) for name, value in values.items()}
    described = {
        "key": key,
        "epoch": state.epoch,
        "chunk": state.chunk,
        "losses": state.losses,
        "curve": state.curve,
        "steps": state.average.steps,
        "best": [state.best.epochs, state.best.quality.recall, state.best.quality.ndcg],
    }
    text = np.frombuffer(json.dumps(described).encode(), dtype=np.uint8).copy()
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()} | {
        _DESCRIPTION: torch.from_numpy(text)
    }


def _put(state: FitState, tensors: Mapping[str, torch.Tensor], described: Mapping[str, Any]) -> None:
    def part(prefix: str) -> dict[str, torch.Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    state.towers.load_weights(part("weights."))
    average = part("average.")
    state.average.restore([average[str(place)] for place in range(len(average))], int(described["steps"]))
    kept: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in part("optimiser.").items():
        place, _, of_state = name.partition(".")
        kept.setdefault(int(place), {})[of_state] = value
    state.optimiser.load_state_dict({**state.optimiser.state_dict(), "state": kept})
    state.weights = part("best.")
    epochs, recall, ndcg = described["best"]
    state.best = Fit(int(epochs), ListQuality(float(recall), float(ndcg)))
    state.epoch, state.chunk = int(described["epoch"]), int(described["chunk"])
    state.curve = [(int(epoch), float(loss), float(ndcg)) for epoch, loss, ndcg in described["curve"]]
    total, count = described["losses"]
    state.losses = float(total), int(count)
