"""The command writes the dataset that its options describe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.marketplace.__main__ import main
from feature_repo.errors import SettingsError


def test_the_command_writes_what_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "dirty"
    command = ["--size", "tiny", "--null-users", "0.3", "--out", str(out)]
    main(command)
    ids = np.array(pq.read_table(out / "interactions.parquet")["user_id"].to_pylist(), dtype=object)
    assert np.mean(ids == None) == pytest.approx(0.3, abs=0.01)  # noqa: E711
    main(command)
    assert "already exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (["--null-users", "2"], "null_users"),
        (["--price-factor", "2"], "--shift-day"),
        (["--shift-day", "3", "--boost", "Tea"], "CATEGORY=LOGITS"),
        (["--seed", "-1"], "seed"),
        (["--size", "news-tiny", "--null-users", "0.1"], "no planted defects"),
        (["--size", "dense-tiny", "--mobile-share", "0.1"], "no shift"),
    ],
)
def test_a_bad_option_is_answered_with_a_sentence(
    command: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--out", "nowhere"])
    assert stopped.value.code == SettingsError.exit_code
    said = capsys.readouterr().err
    assert named in said
    assert "Traceback" not in said
