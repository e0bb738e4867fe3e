"""Training parameters of the towers."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field

CHECKPOINTS_VARIABLE = "KUBEREC_CHECKPOINTS"  # names a directory or s3:// URL; without it a fit keeps no checkpoints
LEAST_STEPS = 200  # of an epoch, down to LEAST_BATCH examples per step
LEAST_BATCH = 128


class TrainingConfig(BaseModel):
    """Parameters of a fit; saved with the towers.

    Attributes:
        dimension: Length of the vectors.
        hidden: Width of the hidden layers.
        num_blocks, num_heads: Layers of the history's transformer, and attention heads of each.
        dropout: Share of the transformer's numbers that are set to 0 in a step.
        batch: Maximum number of examples per step; `batch_of` takes fewer for small logs.
        num_shared: Negatives per step, drawn from the step's own examples.
        num_uniform: Negatives per step, drawn uniformly from the items that exist at the time of the examples.
        chunk: Minimum number of examples of neighbouring cells that share item numbers and are shuffled together.
        horizon_share: Share of the examples that ask what comes within the horizon instead of next.
        id_dropout: Share of items whose id is replaced by "unknown" in a step.
        context_dropout: Share of users whose profile (and, independently, request) is replaced by "unknown" in a step.
        least_examples: Items with fewer examples have no id embedding.
        group_damping: An example of a group of n examples has the weight n ** -group_damping.
        temperature: Divisor of the cosines.
        learning_rate: Learning rate of AdamW for layers.
        embedding_rate: Learning rate of AdamW for embeddings, whose rows are updated in few steps.
        weight_decay: Weight decay of AdamW.
        averaging: Decay of the moving average of the weights, per step.
        max_epochs, patience: Maximum number of epochs (NDCG of the averaged weights rises slowly for long, so it bounds
            the time), and epochs without a better NDCG before training stops.
        max_seen: Maximum number of examples over all epochs, at least one epoch; bounds the time on large logs.
        default_epochs: Number of epochs if no quality can be measured.
        max_examples: Maximum number of examples; the latest are kept.
        num_shards: Number of parts of a step that are computed next to each other on a CPU; the towers depend on it.
        num_threads: CPU threads that compute these parts; the towers do not depend on it. See `workers.py`.
        list_length: Length of the lists for early stopping.
        max_watched: Maximum number of users with such lists.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dimension: int = Field(default=64, ge=4, le=128)
    hidden: int = Field(default=128, ge=4)
    num_blocks: int = Field(default=2, ge=0)
    num_heads: int = Field(default=2, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    batch: int = Field(default=1024, ge=1)
    num_shared: int = Field(default=512, ge=1)
    num_uniform: int = Field(default=256, ge=1)
    chunk: int = Field(default=4096, ge=1)
    horizon_share: float = Field(default=0.5, ge=0, le=1)
    id_dropout: float = Field(default=0.1, ge=0, lt=1)
    context_dropout: float = Field(default=0.1, ge=0, lt=1)
    least_examples: int = Field(default=3, ge=1)
    group_damping: float = Field(default=0.5, ge=0, le=1)
    temperature: float = Field(default=0.07, gt=0)
    learning_rate: float = Field(default=5e-4, gt=0)
    embedding_rate: float = Field(default=1e-2, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    averaging: float = Field(default=0.999, ge=0, lt=1)
    max_epochs: int = Field(default=4, ge=0)
    patience: int = Field(default=2, ge=1)
    max_seen: int = Field(default=3_000_000, ge=1)
    default_epochs: int = Field(default=5, ge=0)
    max_examples: int = Field(default=2_000_000, ge=1)
    num_shards: int = Field(default=2, ge=1)
    num_threads: int = Field(default=2, ge=1)
    list_length: int = Field(default=100, ge=1)
    max_watched: int = Field(default=4_000, ge=1)

    def epochs_of(self, num_examples: int) -> int:
        """Maximum number of epochs over so many examples."""
        return min(self.max_epochs, max(round(self.max_seen / max(num_examples, 1)), 1))

    @staticmethod
    def further_epochs(epochs: int, num_known: int, num_examples: int) -> int:
        """Number of epochs in which the towers of an earlier cutoff are trained further, at least one.

        Together with the earlier epochs they see about as many examples as a fit from scratch.

        Args:
            epochs: Number of earlier epochs.
            num_known: Number of examples of the earlier cutoff.
            num_examples: Number of examples of the later one.
        """
        return max(round(epochs * (1 - num_known / max(num_examples, 1))), 1)

    def batch_of(self, num_examples: int) -> int:
        """Approximate number of examples per step: an epoch has at least `LEAST_STEPS` steps where it can."""
        return min(self.batch, max(num_examples // LEAST_STEPS, LEAST_BATCH))

    @classmethod
    def of(cls, recipe: str) -> Self:
        """The defaults for `fast`; wider towers and more patience for `best`."""
        if recipe == "best":
            return cls(dimension=128, hidden=256, max_epochs=40, patience=4, max_seen=8_000_000)
        return cls()
