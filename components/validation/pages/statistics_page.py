"""The statistics as a page: anomalies first, then drift, then a small drawing of every column.

Owns the order and words of the page. Standard library only: it also runs in the TFDV environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from components.validation.pages import page
from components.validation.pages.page import Markup

NUM_QUIET = 10


def statistics_page(content: Mapping[str, Any]) -> str:
    """The whole page of what `statistics.json` holds."""
    return page.page(
        f"Statistics of {content['dataset']}",
        "Clean rows by TensorFlow Data Validation, held against the kept schema. Anomalies stop a run, drift does not.",
        _headline(content),
        _anomalies(content),
        _drift(content),
        *(_table(name, facts) for name, facts in content["tables"].items()),
    )


def _headline(content: Mapping[str, Any]) -> Markup:
    errors = sum(anomaly["severity"] == "error" for anomaly in content["anomalies"])
    drifted = sum(one["drifted"] for one in content["drift"])
    new = sum(facts["schema_is_new"] for facts in content["tables"].values())
    entries = [
        ("anomalies: " + ("stops the run" if errors else "fits the schema"), str(errors), "bad" if errors else "good"),
        (f"of {len(content['drift'])} columns drifted", str(drifted), "warn" if drifted else "good"),
    ]
    entries += [(f"rows of {name}", f"{facts['rows']:,}", "plain") for name, facts in content["tables"].items()]
    return page.tiles([*entries, ("new schemas", str(new), "plain")])


def _anomalies(content: Mapping[str, Any]) -> Markup:
    note = f"The schema is text, one file a table, in {content['schema_dir']}: edit it where a change is meant."
    if not content["anomalies"]:
        return page.section("Anomalies", page.badge("none: every column fits its schema", "good"), note=note)
    rows = [
        (
            page.badge(found["severity"], "bad" if found["severity"] == "error" else "warn"),
            f"{found['table']}.{found['column']}",
            found["description"],
            Markup(f"<code>{page.text(found['kind'])}</code>"),
        )
        for found in sorted(content["anomalies"], key=lambda found: found["severity"])
    ]
    return page.section("Anomalies", page.table(["Severity", "Column", "What", "Kind"], rows), note=note)


def _drift(content: Mapping[str, Any]) -> Markup:
    spans = content["spans"]
    note = (
        f"{_moment(spans['newest'])} to {_moment(spans['end'])}, "
        f"against {_moment(spans['previous'])} to {_moment(spans['newest'])}. "
        "L-infinity: greatest change of one value's share. Jensen-Shannon: 0 is equal, 1 is disjoint."
    )
    if not content["drift"]:
        return page.section(
            "Drift of the newest span", page.badge("not measured: a span has under 500 rows"), note=note
        )
    drifted = [one for one in content["drift"] if one["drifted"]]
    quiet = [one for one in content["drift"] if not one["drifted"]]
    rows = [
        (
            f"{one['table']}.{one['column']}",
            page.badge("drifted", "warn") if one["drifted"] else page.badge("steady", "good"),
            f"{one['value']:.3f}",
            f"{one['threshold']:.3f}",
            one["measure"],
        )
        for one in [*drifted, *quiet[:NUM_QUIET]]
    ]
    more = f" The {len(quiet) - NUM_QUIET} steadiest columns are left out." if len(quiet) > NUM_QUIET else ""
    table = page.table(["Column", "", "Distance", "Threshold", "Measure"], rows, numeric=(2, 3))
    return page.section("Drift of the newest span", table, note=note + more)


def _table(name: str, facts: Mapping[str, Any]) -> Markup:
    if not facts["rows"]:
        return page.section(name, note="No rows.")
    sampled = f", {facts['sampled']:,} of them looked at" if facts["sampled"] < facts["rows"] else ""
    origin = " inferred in this run" if facts["schema_is_new"] else ""
    note = f"{facts['rows']:,} rows{sampled}. Schema {facts['schema']}{origin}."
    return page.section(name, page.cards(_column(column) for column in facts["columns"]), note=note)


def _column(column: Mapping[str, Any]) -> Markup:
    total = column["present"] + column["missing"]
    missing = f" · {page.percent(column['missing'] / total)} missing" if column["missing"] else ""
    if column["kind"] == "text":
        distinct = f"{column['distinct']:,} values" if column["top"] else "every value differs"
        facts = f"{distinct}{missing}"
        return page.card(column["name"], facts, page.top_values([(value, share) for value, share in column["top"]]))
    facts = (
        f"mean {page.number(column['mean'])}, median {page.number(column['median'])}, "
        f"{page.number(column['least'])} to {page.number(column['greatest'])}{missing}"
        f"{' · log axis' if column['axis'] == 'log' else ''}"
    )
    ends = (column["least"], column["greatest"]) if column["axis"] == "whole" else None
    return page.card(column["name"], facts, page.histogram(column["edges"], column["weights"], ends))


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
