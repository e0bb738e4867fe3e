"""Rankers are opened by the kind that their folder names."""

from __future__ import annotations

import pytest

from feature_repo.errors import BundleError
from inference.scorers.lightgbm import LightGbmRanker
from inference.scorers.ranker import RANKER_FILE, RankerDescription, open_ranker, write_description
from tests.kit.bundle_factory import fit_ranker


def test_a_folder_with_and_without_a_kind_holds_lightgbm(tmp_path):
    folder = fit_ranker(tmp_path / "ranker")
    assert isinstance(open_ranker(folder), LightGbmRanker)  # written before there were kinds
    write_description(folder, RankerDescription(kind="lightgbm"))
    assert isinstance(open_ranker(folder), LightGbmRanker)
    with pytest.raises(KeyError):
        write_description(folder, RankerDescription(kind="oracle"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '{"kind": "oracle"}',
            r"has the kind 'oracle', this code opens lightgbm, order: serve it with the code that made it\.",
        ),
        ('{"kind": ', r"ranker\.json does not name the kind"),
        ("[]", r"ranker\.json does not name the kind"),
        ("{}", r"ranker\.json does not name the kind"),
        ('{"kind": "lightgbm", "most_ranked": 0}', r"train again: most_ranked: Input should be greater than 0\.$"),
    ],
)
def test_unknown_and_damaged_kinds_are_refused(tmp_path, content, message):
    folder = fit_ranker(tmp_path / "ranker")
    (folder / RANKER_FILE).write_text(content)
    with pytest.raises(BundleError, match=message):
        open_ranker(folder)
    with pytest.raises(BundleError, match="has no ranker"):
        open_ranker(tmp_path / "nothing")
