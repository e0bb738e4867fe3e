"""How the towers are fitted."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field


class TrainingConfig(BaseModel):
    """Parameters of a fit; saved beside the towers.

    Attributes:
        dimension: Length of the vectors.
        hidden: Width of the hidden layers.
        batch: Examples a step, about.
        num_uniform: Negatives a step drawn uniformly from the items born by then.
        chunk: Least examples of neighbouring cells that share item numbers and are shuffled together.
        id_dropout: Share of items whose id is unknown in a step.
        context_dropout: Share of users whose profile, and whose request, is unknown in a step.
        least_examples: Items with fewer examples get no id of their own.
        group_damping: An example of a group of n weighs n ** -group_damping.
        temperature: Cosines are divided by it.
        learning_rate: Of AdamW, for layers.
        embedding_rate: The same for embeddings, whose rows see few of the steps.
        weight_decay: Of AdamW.
        max_epochs, patience: Epochs at most, and epochs without a better recall before training stops.
        default_epochs: Epochs where there is nothing to watch.
        max_examples: Examples at most, the latest.
        num_threads: Threads of the arithmetic on a CPU. Steps are short: on a busy machine of two cores two threads
            waited for each other so much that a fit took five times as long as with one.
        recall_at: List length of the recall that is watched.
        max_watched: Users at most whose recall is watched.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dimension: int = Field(default=64, ge=4, le=128)
    hidden: int = Field(default=128, ge=4)
    batch: int = Field(default=512, ge=1)
    num_uniform: int = Field(default=512, ge=1)
    chunk: int = Field(default=4096, ge=1)
    id_dropout: float = Field(default=0.1, ge=0, lt=1)
    context_dropout: float = Field(default=0.1, ge=0, lt=1)
    least_examples: int = Field(default=3, ge=1)
    group_damping: float = Field(default=0.5, ge=0, le=1)
    temperature: float = Field(default=0.07, gt=0)
    learning_rate: float = Field(default=2e-3, gt=0)
    embedding_rate: float = Field(default=1e-2, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    max_epochs: int = Field(default=16, ge=0)
    patience: int = Field(default=2, ge=1)
    default_epochs: int = Field(default=5, ge=0)
    max_examples: int = Field(default=2_000_000, ge=1)
    num_threads: int = Field(default=1, ge=1)
    recall_at: int = Field(default=100, ge=1)
    max_watched: int = Field(default=4_000, ge=1)

    @classmethod
    def of(cls, recipe: str) -> Self:
        """The defaults for `fast`; wider towers and a more patient search for `best`."""
        return cls(dimension=128, hidden=256, max_epochs=40, patience=4) if recipe == "best" else cls()
