"""Steps and epochs follow the size of the log."""

from __future__ import annotations

import pytest

from components.retrieval.config import TrainingConfig


@pytest.mark.parametrize(
    ("num_examples", "epochs"), [(0, 4), (1_000, 4), (500_000, 4), (1_000_000, 3), (2_000_000, 2), (90_000_000, 1)]
)
def test_a_large_log_is_read_less_often(num_examples: int, epochs: int) -> None:
    assert TrainingConfig().epochs_of(num_examples) == epochs
    assert TrainingConfig.of("best").epochs_of(num_examples) >= epochs


def test_a_small_log_has_enough_steps() -> None:
    config = TrainingConfig()
    assert config.batch_of(10) == 128
    assert config.batch_of(60_000) == 300
    assert config.batch_of(10**7) == config.batch
