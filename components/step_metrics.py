"""How a step hands its numbers over to kfp, from within its body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from feature_repo.storage.files import write_json

if TYPE_CHECKING:
    from kfp.dsl import Artifact, Metrics


def log_metrics(metrics: Metrics, numbers: Mapping[str, float]) -> None:
    """Logs numbers as the metrics of a step.

    Args:
        metrics: The step's output.
        numbers: By name.
    """
    for name, value in numbers.items():
        metrics.log_metric(name, value)
    write_metadata(metrics)


def write_metadata(artifact: Artifact) -> None:
    """Writes what an artifact says of itself to its file.

    kfp keeps the result of a step for the next run only if each of the step's artifacts is a file, and artifacts that
    consist of metadata have none.

    Args:
        artifact: Metrics or curves, after everything was logged.
    """
    write_json(artifact.path, artifact.metadata)
