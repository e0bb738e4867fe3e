"""What Prometheus reads of the ledger, parsed by its own client."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from monitoring.ledger import Ledger, Outcome, Retraining
from monitoring.ledger_metrics import LAST, REFUSED, ledger_metrics


def ledger(*outcomes: Outcome) -> Ledger:
    """Retrainings that ended at 1000, 2000, ... seconds."""
    made = [
        Retraining(
            key=str(number),
            bundle="b",
            window_start=0,
            window_end=1,
            cause="",
            started_at=0,
            finished_at=None if outcome == "running" else 1000.0 * number,
            outcome=outcome,
        )
        for number, outcome in enumerate(outcomes, start=1)
    ]
    return Ledger(retrainings=tuple(made))


def read(made: Ledger, served: str = "b") -> dict[tuple[str, str], float]:
    """Metric and outcome -> value; every sample names its dataset."""
    found = {}
    for family in text_string_to_metric_families(ledger_metrics("shop", made, served)):
        assert family.type == "gauge"
        for sample in family.samples:
            assert sample.labels["dataset"] == "shop"
            found[sample.name, sample.labels.get("outcome", "")] = sample.value
    return found


def test_before_the_first_retraining() -> None:
    assert read(Ledger()) == {(REFUSED, ""): 0}


def test_the_latest_of_each_outcome() -> None:
    found = read(ledger("refused", "released", "failed", "refused", "released"))
    assert found == {(LAST, "released"): 5000, (LAST, "refused"): 4000, (LAST, "failed"): 3000, (REFUSED, ""): 0}


def test_a_refusal_is_told_until_a_release_also_while_the_next_one_runs() -> None:
    assert read(ledger("released", "refused"))[REFUSED, ""] == 1
    assert read(ledger("released", "failed"))[REFUSED, ""] == 1
    assert read(ledger("refused", "running"))[REFUSED, ""] == 1
    assert read(ledger("released", "running"))[REFUSED, ""] == 0


def test_a_refusal_is_over_once_another_bundle_is_served() -> None:
    """Which the daily training may have released, or a person: the ledger does not know."""
    assert read(ledger("refused"), served="trained by hand")[REFUSED, ""] == 0
    assert read(ledger("failed"), served="trained by hand")[REFUSED, ""] == 0
