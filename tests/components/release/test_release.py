"""What a manifest says of a release, and how a refusal ends. Releasing itself is tested with the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.release.release import made_of_the_same, refuse, release_facts
from feature_repo.dataset.tables import PreparedTables
from feature_repo.errors import NotReleased
from feature_repo.storage.files import write_json
from tests.kit.prepared_tables import config, event, write_prepared

GATE = {"passed": True, "release": True, "evidence": "strong", "order": "ranker", "sentence": "released: all is well"}


def evaluation(directory: Path, **gate: Any) -> Path:
    directory.mkdir()
    content = {"methods": {"funnel": {"ndcg@20": 0.3}}, "impressions": {"auc": 0.7}, "gate": {**GATE, **gate}}
    write_json(directory / "evaluation.json", content)
    return directory


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    (tmp_path / "tables").mkdir()
    return write_prepared(tmp_path / "tables", config(), interactions=[event(number) for number in range(600)])


@pytest.mark.parametrize("refitted", [False, True])
def test_facts_tell_until_when_weights_and_features_reach(tables: Path, tmp_path: Path, *, refitted: bool) -> None:
    split = PreparedTables.open(tables).split
    facts = release_facts(tables, evaluation(tmp_path / "e"), code_version="c0de", refitted=refitted)
    assert facts.weights_until == (facts.features_as_of if refitted else split.test_start)
    assert facts.ranker_until == split.test_start
    # The last event is in the features: they are as of just after it.
    assert facts.log_end == split.log_end < facts.features_as_of < split.log_end + 1e-3
    assert (facts.dataset, facts.fingerprint, facts.code_version) == ("shop", "0" * 64, "c0de")
    assert facts.refitted is refitted
    assert facts.metrics == {"methods": {"funnel": {"ndcg@20": 0.3}}, "impressions": {"auc": 0.7}}


@pytest.mark.parametrize(("passed", "marked"), [(True, "passed"), (False, "warn")])
@pytest.mark.parametrize("evidence", ["strong", "weak"])
def test_facts_tell_what_the_gate_said(
    tables: Path, tmp_path: Path, evidence: str, marked: str, *, passed: bool
) -> None:
    measured = evaluation(tmp_path / "e", passed=passed, evidence=evidence)
    facts = release_facts(tables, measured, code_version="", refitted=False)
    assert (facts.gate, facts.evidence) == (marked, evidence)


def test_a_retraining_names_its_cause_and_is_a_bundle_of_its_own(tables: Path, tmp_path: Path) -> None:
    measured = evaluation(tmp_path / "e")
    plain = release_facts(tables, measured, code_version="c", refitted=False)
    caused = release_facts(tables, measured, code_version="c", refitted=False, cause="price drifted")
    assert (plain.cause, caused.cause) == ("", "price drifted")
    assert not made_of_the_same(caused, served=plain)
    assert made_of_the_same(plain, served=caused)  # a plain run after it has nothing to add
    assert made_of_the_same(caused, served=caused)
    assert not made_of_the_same(plain.model_copy(update={"fingerprint": "g"}), served=caused)


def test_a_refusal_is_the_gates_sentence(tmp_path: Path) -> None:
    sentence = "not released: funnel's NDCG@20 is 0.1 below own by -0.2"
    with pytest.raises(NotReleased) as caught:
        refuse(evaluation(tmp_path / "e", passed=False, release=False, sentence=sentence))
    assert str(caught.value) == "Not released: funnel's NDCG@20 is 0.1 below own by -0.2."
    assert caught.value.exit_code == 4
