"""Metrics of a step: logged, and in the file without which kfp would not keep the step."""

from pathlib import Path

from kfp.dsl import Metrics

from components.step_metrics import log_metrics
from feature_repo.storage.files import read_json


def test_numbers_are_logged_and_written_with_what_was_there(tmp_path: Path) -> None:
    metrics = Metrics(name="metrics", uri=str(tmp_path / "step" / "metrics"), metadata={"code_version": "v1"})
    log_metrics(metrics, {"rows": 3, "ndcg@20": 0.25})
    assert metrics.metadata == {"code_version": "v1", "rows": 3, "ndcg@20": 0.25}
    assert read_json(Path(metrics.path)) == metrics.metadata
