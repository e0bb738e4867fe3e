"""Every alert has a runbook and every runbook an alert; the commands and queries of a runbook exist."""

from __future__ import annotations

import re
import subprocess

import pytest
import yaml

from monitoring.rules import ALERTS, GROUPS, RECORDINGS, RUNBOOKS, rule_file
from tests.kit.checkout import ROOT
from tests.monitoring.test_dashboards import EXPRESSIONS, metrics

FOLDER = ROOT / RUNBOOKS
PAGES = sorted(FOLDER.rglob("*.md"))
PAGE_OF = {alert.name: FOLDER / group / alert.page for group, alerts in GROUPS.items() for alert in alerts}
PARTS = ("transformer", "predictor")
IN_THE_STORE = ("monitoring/ledger.json", "monitoring/history/")
SECTIONS = ["What it means", "How to see it", "What to do", "How to tell it is over"]


def commands() -> list[tuple[str, str]]:
    """Page and text of every command: lines of code blocks, and code spans that start like a command."""
    found = []
    for page in PAGES:
        blocks = re.findall(r"^ *```\n(.*?)^ *```", page.read_text(), re.MULTILINE | re.DOTALL)
        found += [(page.name, line.strip()) for block in blocks for line in block.splitlines()]
        text = re.sub(r"^ *```\n.*?^ *```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        spans = re.findall(r"`([^`]+)`", text)
        found += [
            (page.name, span) for span in spans if re.match(r"(make|kubectl|curl|promtool|\S*python|redis-cli) ", span)
        ]
    return found


def test_every_alert_has_its_page_and_every_page_its_alert():
    assert sorted([*PAGE_OF.values(), FOLDER / "README.md"]) == PAGES
    assert len(PAGE_OF) == len(ALERTS)


def test_notifications_and_the_contents_link_to_the_pages():
    rules = [rule for group in rule_file("https://example.com/runbooks/")["groups"] for rule in group["rules"]]
    urls = {rule["alert"]: rule["annotations"]["runbook_url"] for rule in rules if "alert" in rule}
    paths = {name: page.relative_to(FOLDER).as_posix() for name, page in PAGE_OF.items()}
    assert urls == {name: f"https://example.com/runbooks/{path}" for name, path in paths.items()}
    linked = re.findall(r"\]\(([^)]+)\)", (FOLDER / "README.md").read_text())
    assert sorted(linked) == sorted(paths.values())


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_a_page_has_its_sections(alert):
    text = PAGE_OF[alert.name].read_text()
    assert text.startswith(f"# {alert.name}\n\n**{alert.severity}** · {alert.summary}.\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    parts = dict(zip(SECTIONS, re.split(r"^## .*$", text, flags=re.MULTILINE)[1:], strict=True))
    assert "promtool query instant" in parts["How to see it"]
    assert re.findall(r"^(\d)\. ", parts["What to do"], re.MULTILINE)[0] == "1"


def test_links_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
            assert (page.parent / target).is_file(), (page.name, target)
        for path in re.findall(r"`((?:manifests|monitoring|\.ci)/[^`\s]+)`", page.read_text()):
            assert path in IN_THE_STORE or (ROOT / path).exists(), (page.name, path)


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = {(page, target) for page, line in commands() for target in re.findall(r"\bmake ([a-z-]+)", line)}
    assert used
    assert {(page, target) for page, target in used if target not in targets} == set()


def test_python_commands_exist():
    """The module, and every command and option in what its argument parser is made of; starting each takes too long."""
    lines = {re.sub(r".*python -m ", "", line) for _, line in commands() if "python -m " in line}
    assert any(line.startswith("components.release rollback ") for line in lines)
    for line in lines:
        module, *arguments = line.split()
        path = ROOT / module.replace(".", "/")
        source = (path / "__main__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
        words = [word for word in arguments if re.fullmatch(r"(--)?[a-z-]+", word)]
        assert [word for word in words if f'"{word}"' not in source] == [], line


def test_queries_are_promql_about_what_is_measured(promtool, tmp_path):
    queries = {text for _, line in commands() for text in re.findall(r"promtool query instant \S+ '(.*)'", line)}
    assert len(queries) > len(ALERTS)
    rules = [{"record": f"query:{place}", "expr": text} for place, text in enumerate(sorted(queries))]
    path = tmp_path / "queries.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    subprocess.run([promtool, "check", "rules", path], check=True, capture_output=True)
    measured = set().union(*map(metrics, [*EXPRESSIONS, *(alert.value for alert in ALERTS)]))
    pages = re.sub(r"recs_drift\S*\.prom", "", " ".join(page.read_text() for page in PAGES))  # files
    named = set().union(*map(metrics, queries)) | metrics(pages)
    assert named - {recording.name for recording in RECORDINGS} <= measured


def test_what_kubectl_names_is_in_the_manifests():
    """KServe names what it makes of an InferenceService after it and the component."""
    folders = [ROOT / "manifests" / "base", ROOT / "manifests" / "components"]
    paths = [path for folder in folders for path in folder.rglob("*.yaml") if path.name != "kustomization.yaml"]
    texts = [path.read_text() for path in paths]
    objects = [found for text in texts for found in yaml.safe_load_all(text) if isinstance(found, dict)]
    names = {(found["kind"].lower(), found["metadata"]["name"]) for found in objects if "metadata" in found}
    made = {("svc", f"{name}-{part}") for kind, name in names if kind == "inferenceservice" for part in PARTS}
    made |= {("endpoints", name) for _, name in made}
    for page, line in commands():
        for kind, name in re.findall(r"\b(svc|cronjob|statefulset|endpoints)[/ ]([\w-]+)", line):
            assert (kind, name) in names | made, (page, line)
