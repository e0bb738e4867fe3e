"""The content that all forms of the evaluation report share: order of methods, absent methods, and the finding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.evaluation.gate.gate import FUNNEL, GateDecision
from feature_repo.features.feature_set import WINDOWS
from feature_repo.pages.formats import duration
from inference.scorers.ranker import BY_RANKER

DAILY = ", ".join(f"{days} days" if days > 1 else "1 day" for days in WINDOWS)
COLUMNS = ("ndcg@20", "ndcg@10", "hr@10", "map@10", "recall@20", "recall@100", "recall@300", "coverage@10")
OTHER_COLUMNS = ["method", "NDCG@20", "95 % interval", "HR@10", "Recall@100", "funnel is ahead by"]
SAME_SETTINGS = "settings of baselines chosen for the deciding protocol"


def ordered_methods(content: Mapping[str, Any]) -> list[tuple[str, Mapping[str, float]]]:
    """Measured methods with their metrics, best NDCG@20 first."""
    measured = [
        (name, figures)
        for name, figures in content["methods"].items()
        if "absent" not in figures and name in content["intervals"]
    ]
    return sorted(measured, key=lambda entry: -entry[1]["ndcg@20"])


def absent_methods(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Methods that do not apply, each with the reason."""
    return [(name, figures["absent"]) for name, figures in content["methods"].items() if "absent" in figures]


def others(content: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The protocols that are reported and do not decide, each with its figures."""
    return list(content.get("others", {}).items())


def other_rows(other: Mapping[str, Any]) -> list[list[str]]:
    """`OTHER_COLUMNS` of the measured methods of such a protocol, best NDCG@20 first."""
    rows = []
    for name, figures in ordered_methods(other):
        low, high = other["intervals"][name]["ndcg@20"]
        lead = other["leads"].get(name)
        ahead = "" if lead is None else f"{lead['mean']:+.4f} ({lead['low']:+.4f} to {lead['high']:+.4f})"
        cells = [f"{figures[column]:.4f}" for column in ("hr@10", "recall@100")]
        rows.append([name, f"{figures['ndcg@20']:.4f}", f"{low:.4f} to {high:.4f}", *cells, ahead])
    return rows


def asked(content: Mapping[str, Any]) -> str:
    """When the queries of the protocol are asked."""
    return {
        "temporal": "one query a user at the test start",
        "leave-one-out": "one query a user at the time of the last item",
        "rolling": f"{content['queries']:,} requests of the test span at their own times, the following 24 hours count",
    }[content["protocol"]]


def exposure_notes(content: Mapping[str, Any]) -> list[str]:
    """The effect of slates of earlier releases on the relevant items: empty, or a sentence without a full stop."""
    share = content["from_slates"]
    if not share:
        return []
    return [
        f"{share:.0%} of the relevant items were taken from slates of earlier releases: this favours similar methods "
        "over other methods; these items are excluded where two bundles are compared"
    ]


def order_notes(decision: GateDecision | None) -> list[str]:
    """The served order and the comparison that chose it: empty, or a sentence without a full stop."""
    if decision is None or not decision.order_reason:
        return []
    served = "the ranker's" if decision.order == BY_RANKER else decision.order
    return [f"Served order: {served}. {decision.order_reason}"]


def time_scales(scales: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The measured time scales of the log, then what was chosen from them, each with its value in words."""
    names = {
        "item_life": "life of an item",
        "visit_length": "length of a visit",
        "return_time": "time until a user returns",
        "item_step": "between snapshots of items",
        "user_step": "between snapshots of users",
        "popular_half_life": "half-life of popularity",
        "ranker_horizon": "horizon of the ranker",
    }
    rows = [(words, duration(scales[name])) for name, words in names.items()]
    windows = ", ".join(f"{hours} h" for hours in scales["item_windows"])
    return [*rows, ("windows of item counts", ", ".join([windows, DAILY]) if windows else DAILY)]


def finding(content: Mapping[str, Any]) -> str:
    """The position of the funnel among the methods, in a sentence that does not mention a release."""
    return f"measured: {standing(content)}"


def standing(content: Mapping[str, Any]) -> str:
    """The funnel's NDCG@20, and the methods above, below and near it."""
    leads: Mapping[str, Mapping[str, float]] = content["leads"]
    if FUNNEL not in content["intervals"]:
        return "the log has no test users"
    groups = {
        "above": [name for name, lead in leads.items() if lead["low"] > 0],
        "below": [name for name, lead in leads.items() if lead["high"] < 0],
        "not shown to differ from": [name for name, lead in leads.items() if lead["low"] <= 0 <= lead["high"]],
    }
    found = "; ".join(f"{words} {', '.join(names)}" for words, names in groups.items() if names)
    start = f"funnel's NDCG@20 is {content['methods'][FUNNEL]['ndcg@20']:.4f} over {content['users']:,} users"
    return f"{start}; {found}" if found else start


def capital(sentence: str) -> str:
    """The sentence with a capital first letter."""
    return sentence[:1].upper() + sentence[1:]
