"""What tests of refused datasets share."""

from pathlib import Path

import pyarrow as pa
import pytest

from components.ingest import ingest
from feature_repo.errors import DatasetError
from tests.components.ingest.conftest import interactions
from tests.components.ingest.tables import with_column


def refusal(directory: Path) -> str:
    """The sentence that ingest refuses a dataset with."""
    out = directory.parent / "tables"
    with pytest.raises(DatasetError) as caught:
        ingest(directory, out)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    assert [entry for entry in directory.parent.iterdir() if entry != directory] == [], "something was left behind"
    return message


def replaced(name: str, values: pa.Array) -> pa.Table:
    """Interactions, as many as there are values, with the values as a column."""
    return with_column(interactions(len(values)), name, values)
