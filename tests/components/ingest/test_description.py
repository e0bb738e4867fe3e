"""A dataset without a usable row or without an event of an objective is refused."""

from datetime import timedelta

import pyarrow as pa

from tests.components.ingest.conftest import CONFIG, START, DatasetFactory
from tests.components.ingest.refusals import refusal, replaced


def test_no_usable_row(dataset: DatasetFactory) -> None:
    message = refusal(dataset(interactions=replaced("user_id", pa.nulls(5))))
    assert message.endswith("Interactions hold no usable row among 5: user_id is missing in 5.")


def test_no_usable_row_names_every_fault_worst_first(dataset: DatasetFactory) -> None:
    table = replaced("event_type", pa.array(["zoom"] * 3)).append_column("price", pa.array([-1.0, -1.0, 1.0]))
    message = refusal(dataset(CONFIG + 'allowed = ["share"]\n', interactions=table))
    assert "event_type is not one of purchase, return, share, view" in message
    assert message.endswith(" in 3; price is below zero in 2.")


def test_no_event_fulfils_an_objective(dataset: DatasetFactory) -> None:
    message = refusal(dataset(interactions=replaced("event_type", pa.array(["browse", "browse", "zoom"]))))
    assert "wants view, purchase" in message
    assert "browse, zoom" in message


def test_an_objective_fulfilled_by_unclean_rows_only(dataset: DatasetFactory) -> None:
    table = replaced("event_type", pa.array(["browse", "purchase"])).append_column("price", pa.array([1.0, -1.0]))
    assert "No clean row of interactions fulfils an objective" in refusal(dataset(interactions=table))


def test_a_log_far_in_the_future_only_is_refused(dataset: DatasetFactory) -> None:
    times = pa.array([START + timedelta(days=40000 + day) for day in range(9)], pa.timestamp("us", tz="UTC"))
    assert "no usable row" in refusal(dataset(interactions=replaced("timestamp", times)))
