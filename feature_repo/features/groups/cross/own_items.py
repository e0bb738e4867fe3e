"""The user's history with the candidate; requires repeats of own items, or negative events in the log."""

from __future__ import annotations

import numpy as np

from feature_repo.features.ages import days_between, decayed_count
from feature_repo.features.groups.cross.contacts import contacts, owners
from feature_repo.features.groups.cross_group import Columns, CrossGroup, Pairs
from feature_repo.features.groups.facts import DatasetFacts

OWN_HALF_LIVES = (3, 15, 60)  # days in which an event of the user's own items loses half of its weight
DECAYED = tuple(f"own_decayed_{days}d" for days in OWN_HALF_LIVES)
OWN_COLUMNS = (
    "own_count",
    "own_share_of_sessions",
    "own_days_since_last",
    "own_days_since_first",
    "own_mean_gap_days",
    "own_due",
    *DECAYED,
    "own_grade",
    "history_contains",
)
OWN_NEGATIVES = "own_negatives"
SMALLEST_GAP_DAYS = 1.0  # two purchases on the same day do not make an item due every minute


class OwnItemsGroup(CrossGroup):
    """The user's events with the item over the whole history, and whether the last events contain the item."""

    def columns(self, facts: DatasetFacts) -> tuple[str, ...]:
        own = OWN_COLUMNS if facts.repeats != "never" else ()
        return (*own, OWN_NEGATIVES) if facts.has_negatives else own

    def compute(self, pairs: Pairs) -> Columns:
        columns = _own_columns(pairs) if pairs.wanted & {"own_count", OWN_NEGATIVES} else {}
        if "history_contains" in pairs.wanted:
            history = pairs.users.history
            found, _ = contacts(history, history.rows, pairs.rows, pairs.query_index, len(pairs.items))
            columns["history_contains"] = (found > 0).astype(np.float64)
        return columns


def _own_columns(pairs: Pairs) -> Columns:
    own, now, num_items = pairs.users.own, pairs.now, len(pairs.items)
    keys = owners(own.offsets) * num_items + own.rows
    if not len(keys):
        none, zero = np.full(len(pairs), np.nan), np.zeros(len(pairs))
        return dict.fromkeys(OWN_COLUMNS, none) | dict.fromkeys(("own_count", OWN_NEGATIVES, *DECAYED), zero)
    wanted = pairs.query_index * num_items + pairs.rows
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    hit = keys[at] == wanted
    count = np.where(hit, own.counts[at], 0.0).astype(np.float64)
    last = np.where(hit, days_between(own.last[at], now), np.nan)
    first = np.where(hit, days_between(own.first[at], now), np.nan)
    gap = np.full(len(pairs), np.nan)
    np.divide(first - last, count - 1, out=gap, where=count > 1)
    columns = {
        "own_count": count,
        "own_days_since_last": last,
        "own_days_since_first": first,
        "own_mean_gap_days": gap,
        "own_due": last / np.maximum(gap, SMALLEST_GAP_DAYS),
        "own_grade": np.where(hit, own.grades[at], np.nan),
        OWN_NEGATIVES: np.where(hit, own.negatives[at], 0.0).astype(np.float64),
    }
    seen = hit & (count > 0)
    for name, days in zip(DECAYED, OWN_HALF_LIVES, strict=True):
        decayed = decayed_count(own.counts[at], own.first[at], own.last[at], now, days)
        columns[name] = np.where(seen, decayed, 0.0)
    if "own_share_of_sessions" in pairs.wanted:
        sessions = pairs.of_user("num_sessions_total")[pairs.query_index]
        columns["own_share_of_sessions"] = np.where(hit, np.minimum(count / np.maximum(sessions, 1.0), 1.0), np.nan)
    return columns
