"""The rules in the hands of promtool, and the page of every alert."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from monitoring.rules import ALERTS, RECORDINGS, __main__, rule_file
from monitoring.rules.scope import scoped
from tests.monitoring.alert_cases import CASES, Case


@pytest.fixture(scope="module")
def rules(tmp_path_factory) -> Path:
    """The file that `python -m monitoring.rules` writes."""
    folder = tmp_path_factory.mktemp("rules")
    __main__.main(["--out", str(folder)])
    return folder / "rules.yaml"


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def expected(case: Case) -> list[dict]:
    """Alerts that promtool is to find, in its own form."""
    if case.says is None:
        return []
    (rule,) = (one for group in rule_file()["groups"] for one in group["rules"] if one.get("alert") == case.alert)
    annotations = {**rule["annotations"], "description": case.says}
    return [{"exp_labels": {**rule["labels"], **case.labels}, "exp_annotations": annotations}]


def minute(case: Case) -> int:
    return int(case.at.removesuffix("m"))


def interval(case: Case) -> int:
    """Minutes between two looks: every minute of a day costs half a minute."""
    return 10 if minute(case) > 1000 else 1


def promtool_test(case: Case) -> dict:
    """Asks at the case's time, and whether all is quiet a look before."""
    looks = [{"eval_time": case.at, "alertname": case.alert, "exp_alerts": expected(case)}]
    before = minute(case) - interval(case)
    if before >= 0:
        looks.insert(0, {"eval_time": f"{before}m", "alertname": case.alert, "exp_alerts": []})
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
        "alert_rule_test": looks,
    }


def test_rules_are_valid(promtool, rules):
    assert f"{len(ALERTS) + len(RECORDINGS)} rules found" in run(promtool, "check", "rules", "--lint-fatal", rules)


def test_every_alert_fires_and_stays_silent(promtool, rules, tmp_path):
    names = [alert.name for alert in ALERTS]
    assert len(set(names)) == len(names)
    assert {case.alert for case in CASES if case.says is not None} == set(names)
    assert {case.alert for case in CASES if case.says is None} == set(names)
    for minutes in (1, 10):
        tests = {
            "rule_files": [str(rules)],
            "evaluation_interval": f"{minutes}m",
            "group_eval_order": [group["name"] for group in rule_file()["groups"]],  # else in any order
            "tests": [promtool_test(case) for case in CASES if interval(case) == minutes],
        }
        path = tmp_path / f"{minutes}.yaml"
        path.write_text(yaml.safe_dump(tests, sort_keys=False))
        run(promtool, "test", "rules", path)


ABSENCE = {"KuberecDown", "KuberecDriftJobLate"}  # they fire where there is no series
SELECTORS = re.compile(r"(?<![\w:\"'-])(?:recs[_:][\w:]+|redis_\w+|up)\b(.{0,40})")


def test_every_selector_of_a_namespace_names_it():
    rules = [rule for group in rule_file(namespace="shop-b")["groups"] for rule in group["rules"]]
    texts = [text for rule in rules for text in (rule["expr"], rule.get("annotations", {}).get("description", ""))]
    found = [rest for text in texts for rest in SELECTORS.findall(text)]
    assert len(found) > len(rules)
    assert [rest for rest in found if not rest.startswith("{namespace='shop-b'")] == []
    assert all(rule["labels"]["namespace"] == "shop-b" for rule in rules)
    assert '"' not in scoped("up", "namespace='shop-b'"), "templates hold PromQL in double quotes"


def test_without_a_namespace_nothing_is_limited():
    assert "namespace" not in yaml.safe_dump(rule_file())


def in_namespace(case: Case, namespace: str) -> Case:
    """The history as a cluster scrapes it."""
    series = {
        f"{name[:-1]},namespace={namespace!r}}}" if name.endswith("}") else f"{name}{{namespace={namespace!r}}}": values
        for name, values in case.series.items()
    }
    return replace(case, series=series)


def test_two_installations_raise_only_their_own_alerts(promtool, tmp_path):
    """The rules of one installation, over its own histories and over those of another one."""
    __main__.main(["--out", str(tmp_path), "--namespace", "one"])
    rules = [rule for group in rule_file(namespace="one")["groups"] for rule in group["rules"]]
    tests = []
    for case in (case for case in CASES if interval(case) == 1 and case.says is not None):
        (rule,) = (rule for rule in rules if rule.get("alert") == case.alert)
        own = promtool_test(in_namespace(case, "one"))
        fires = {
            "exp_labels": {**rule["labels"], **case.labels},
            "exp_annotations": {**rule["annotations"], "description": case.says},
        }
        own["alert_rule_test"][-1]["exp_alerts"] = [fires]
        tests.append(own)
        if case.alert not in ABSENCE:
            tests.append(promtool_test(replace(in_namespace(case, "two"), says=None)))
    path = tmp_path / "tests.yaml"
    order = [group["name"] for group in rule_file()["groups"]]
    content = {"rule_files": [str(tmp_path / "rules.yaml")], "group_eval_order": order, "tests": tests}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    run(promtool, "test", "rules", path)


def test_traffic_is_compared_with_last_week_first(promtool, rules, tmp_path):
    """Two days of 60 requests a minute, then 30: the week before counts, not the day before."""
    series = [{"series": 'recs_requests_total{surface="home",code="200"}', "values": "0+600x288 172800+300x1000"}]
    ask = lambda at, value: {"expr": "recs:requests:expected1h", "eval_time": at, "exp_samples": value}  # noqa: E731
    sample = lambda value: [{"labels": "recs:requests:expected1h", "value": value}]  # noqa: E731
    tests = {
        "rule_files": [str(rules)],
        "evaluation_interval": "1h",
        "tests": [
            {
                "interval": "10m",
                "input_series": series,
                "promql_expr_test": [
                    ask("20h", []),
                    ask("30h", sample(1)),
                    ask("80h", sample(0.5)),
                    ask("190h", sample(1)),
                ],
            }
        ],
    }
    path = tmp_path / "tests.yaml"
    path.write_text(yaml.safe_dump(tests, sort_keys=False))
    run(promtool, "test", "rules", path)
