"""Passes the metrics of a step to kfp, from within the body of the step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from feature_repo.storage.files import write_json

if TYPE_CHECKING:
    from kfp.dsl import Artifact, Metrics


def log_metrics(metrics: Metrics, numbers: Mapping[str, float]) -> None:
    """Logs numbers as the metrics of a step.

    Args:
        metrics: Output of the step.
        numbers: Values by name.
    """
    for name, value in numbers.items():
        metrics.log_metric(name, value)
    write_metadata(metrics)


def write_metadata(artifact: Artifact) -> None:
    """Writes the metadata of an artifact to its file.

    kfp caches the result of a step only if each artifact of the step is a file. Artifacts that consist of metadata
    have no file.

    Args:
        artifact: Metrics or curves, after everything was logged.
    """
    write_json(artifact.path, artifact.metadata)
