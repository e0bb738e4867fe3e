"""Sections of the evaluation page about the models: what each source finds, how the towers learned, what trees read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feature_repo.pages.blocks import badge, panel, section, table
from feature_repo.pages.charts import Bar, bars
from feature_repo.pages.formats import number
from feature_repo.pages.markup import Markup

NUM_FEATURES = 20


def model_sections(models: Mapping[str, Any]) -> list[Markup]:
    """The sections for `models` of `evaluation.json`; a part that is absent has none."""
    parts = []
    if models.get("sources"):
        parts.append(_sources(models["sources"]))
    if models.get("curve"):
        parts.append(_curve(models["curve"]))
    if models.get("importance"):
        parts.append(_importance(models["importance"]))
    return parts


def _sources(sources: Mapping[str, Mapping[str, float]]) -> Markup:
    rows = [
        (
            name,
            number(found["quota"]) if found["quota"] else badge("off"),
            f"{found['recall']:.1%}",
            f"{found['margin']:.1%}",
            number(found["exclusive_hits"]),
            f"{found['milliseconds']:.2f}",
        )
        for name, found in sorted(sources.items(), key=lambda entry: -entry[1]["margin"])
    ]
    columns = ("source", "items a query", "finds", "alone", "alone, items", "ms a query in a batch")
    return section(
        "Sources",
        table(columns, rows, numeric=range(1, len(columns))),
        note="Share of the items chosen in the validation span. The towers are always asked and take no part in the "
        "trial, because later towers know the span.",
    )


def _curve(curve: list[list[float | None]]) -> Markup:
    rows = [
        (number(epoch), f"{loss:.3f}", "-" if ndcg is None else f"{ndcg:.4f}") for epoch, loss, ndcg in curve if loss
    ]
    return section(
        "Training of the towers",
        table(("epoch", "loss", "NDCG@100"), rows, numeric=range(3)),
        note="NDCG on the span that follows the events of the first fit; later epochs see that span.",
    )


def _importance(importance: Mapping[str, float]) -> Markup:
    total = sum(importance.values()) or 1.0
    best = sorted(importance.items(), key=lambda entry: -entry[1])[:NUM_FEATURES]
    drawn = bars([Bar(name, gain / total, f"{gain / total:.1%}", None, "rest") for name, gain in best])
    return section("What the trees read", panel(drawn), note="Share of each feature in the gain of all splits.")
