"""The statistics as a page: anomalies first, then drift, then a small chart of every column.

Decides the order and the words. Standard library only: it also runs in the TFDV environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feature_repo.pages.blocks import (
    Tone,
    badge,
    card,
    cards,
    code,
    fine,
    header,
    lead,
    page,
    panel,
    section,
    table,
    tiles,
)
from feature_repo.pages.charts import Bar, bars, histogram
from feature_repo.pages.formats import moment, number, percent
from feature_repo.pages.markup import Markup

NUM_QUIET = 10


def statistics_page(content: Mapping[str, Any]) -> str:
    """The whole page.

    Args:
        content: Content of `statistics.json`.
    """
    errors = _num_errors(content)
    verdict = "Fits the schema" if not errors else "Does not fit the schema: this stops the run"
    return page(
        f"{verdict}: {content['dataset']}",
        header(
            f"Statistics of {content['dataset']}",
            verdict,
            lead("Clean rows by TensorFlow Data Validation, compared with the kept schema."),
            fine("Anomalies stop a run, drift does not."),
            tone="bad" if errors else "good",
        ),
        _headline(content),
        _anomalies(content),
        _drift(content),
        *(_table(name, facts) for name, facts in content["tables"].items()),
    )


def _num_errors(content: Mapping[str, Any]) -> int:
    return sum(anomaly["severity"] == "error" for anomaly in content["anomalies"])


def _headline(content: Mapping[str, Any]) -> Markup:
    errors = _num_errors(content)
    drifted = sum(entry["drifted"] for entry in content["drift"])
    new = sum(facts["schema_is_new"] for facts in content["tables"].values())
    entries: list[tuple[str, str, Tone]] = [
        ("anomalies: " + ("stops the run" if errors else "fits the schema"), str(errors), "bad" if errors else "good"),
        (f"of {len(content['drift'])} columns drifted", str(drifted), "warn" if drifted else "good"),
    ]
    entries += [(f"rows of {name}", f"{facts['rows']:,}", "plain") for name, facts in content["tables"].items()]
    return tiles([*entries, ("new schemas", str(new), "plain")])


def _anomalies(content: Mapping[str, Any]) -> Markup:
    note = f"The schema is text, one file a table, in {content['schema_dir']}: edit it where a change is meant."
    if not content["anomalies"]:
        return section("Anomalies", panel(badge("none: every column fits its schema", "good")), note=note)
    rows = [
        (
            badge(found["severity"], "bad" if found["severity"] == "error" else "warn"),
            code(f"{found['table']}.{found['column']}"),
            found["description"],
            code(found["kind"]),
        )
        for found in sorted(content["anomalies"], key=lambda found: found["severity"])
    ]
    return section("Anomalies", table(["Severity", "Column", "What", "Kind"], rows), note=note)


def _drift(content: Mapping[str, Any]) -> Markup:
    spans = content["spans"]
    note = (
        f"{moment(spans['newest'])} to {moment(spans['end'])}, "
        f"against {moment(spans['previous'])} to {moment(spans['newest'])}. "
        "L-infinity: greatest change of one value's share. Jensen-Shannon: 0 is equal, 1 is disjoint."
    )
    if not content["drift"]:
        return section("Drift of the newest span", panel(badge("not measured: a span has under 500 rows")), note=note)
    drifted = [entry for entry in content["drift"] if entry["drifted"]]
    quiet = [entry for entry in content["drift"] if not entry["drifted"]]
    rows = [
        (
            code(f"{entry['table']}.{entry['column']}"),
            badge("drifted", "warn") if entry["drifted"] else badge("steady", "good"),
            f"{entry['value']:.3f}",
            f"{entry['threshold']:.3f}",
            entry["measure"],
        )
        for entry in [*drifted, *quiet[:NUM_QUIET]]
    ]
    more = f" The {len(quiet) - NUM_QUIET} steadiest columns are left out." if len(quiet) > NUM_QUIET else ""
    distances = table(["Column", "", "Distance", "Threshold", "Measure"], rows, numeric=(2, 3))
    return section("Drift of the newest span", distances, note=note + more)


def _table(name: str, facts: Mapping[str, Any]) -> Markup:
    if not facts["rows"]:
        return section(name, note="No rows.")
    sampled = f", {facts['sampled']:,} of them sampled" if facts["sampled"] < facts["rows"] else ""
    origin = " inferred in this run" if facts["schema_is_new"] else ""
    note = f"{facts['rows']:,} rows{sampled}. Schema {facts['schema']}{origin}."
    return section(name, cards(_column(column) for column in facts["columns"]), note=note)


def _column(column: Mapping[str, Any]) -> Markup:
    total = column["present"] + column["missing"]
    missing = f" · {percent(column['missing'] / total)} missing" if column["missing"] else ""
    if column["kind"] == "text":
        distinct = f"{column['distinct']:,} values" if column["top"] else "every value differs"
        facts = f"{distinct}{missing}"
        return card(column["name"], facts, bars([Bar(value, share, percent(share)) for value, share in column["top"]]))
    facts = (
        f"mean {number(column['mean'])}, median {number(column['median'])}, "
        f"{number(column['least'])} to {number(column['greatest'])}{missing}"
        f"{' · log axis' if column['axis'] == 'log' else ''}"
    )
    ends = (column["least"], column["greatest"]) if column["axis"] == "whole" else None
    return card(column["name"], facts, histogram(column["edges"], column["weights"], ends))
