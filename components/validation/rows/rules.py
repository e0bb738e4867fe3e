"""The rules a single row can break, as Ibis expressions over prepared tables.

Owns what makes a row bad and who is a bot. Refuses to read, write or stop anything (`checks.py`, `gate.py`).
Expressions are plain Ibis without SQL of one engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import ibis
from ibis.expr.types import BooleanValue, Table

from feature_repo.dataset.config import DatasetConfig
from feature_repo.dataset.contract import REQUIRED_COLUMNS

SEPARATOR = "|"
BOT = "bot"
DUPLICATE = "duplicate"
FLAG = "flag_"
TIMED_TABLES = ("interactions", "impressions")
PRICED_TABLES = ("interactions", "items")

WORDS: Mapping[str, str] = {
    "null": "is missing",
    "negative_price": "is below zero",
    "outlying_time": "is over a day past the wall clock, before the year 1, or cut off from the rest by over 365 days",
    "unknown_event_type": "is neither allowed, an objective's nor negative",
    DUPLICATE: "repeats an earlier row in every column",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition that makes a row bad.

    Attributes:
        reason: What quarantine and metrics call it.
        column: The column it looks at; `*` is the whole row.
        words: The rule in words, for the report.
        breaks: True where a row breaks it, never null.
    """

    reason: str
    column: str
    words: str
    breaks: BooleanValue


def table_rules(
    name: str, table: Table, config: DatasetConfig, time_span: tuple[datetime, datetime] | None = None
) -> list[Rule]:
    """The rules of one prepared table.

    Args:
        name: interactions, items, users or impressions.
        table: The prepared table, with `row` and `row_hash`.
        config: Supplies the event types that are allowed.
        time_span: First and last plausible moment of a timed table; None where none of its rows has a time.
    """
    rules = [Rule(f"null_{column}", column, WORDS["null"], table[column].isnull()) for column in REQUIRED_COLUMNS[name]]
    if name in PRICED_TABLES:
        rules.append(_rule("negative_price", "price", table.price < 0))
    if name in TIMED_TABLES and time_span is not None:
        rules.append(_rule("outlying_time", "timestamp", ~table.timestamp.between(*map(ibis.literal, time_span))))
    if name == "interactions" and config.known_event_types is not None:
        rules.append(
            _rule("unknown_event_type", "event_type", table.event_type.notin(sorted(config.known_event_types)))
        )
    repeat = ibis.row_number().over(group_by=["row_hash", *REQUIRED_COLUMNS[name]], order_by=table.row) > 0
    return [*rules, _rule(DUPLICATE, "*", repeat)]


def flagged(table: Table, rules: Sequence[Rule]) -> Table:
    """`table` with a boolean column for each rule and `reasons`: the names of those a row breaks, joined by `|`."""
    flags = table.mutate(**{FLAG + rule.reason: rule.breaks for rule in rules})
    joined = ibis.literal("")
    for rule in rules:
        joined = joined + ibis.ifelse(flags[FLAG + rule.reason], SEPARATOR + rule.reason, "")
    return flags.mutate(reasons=joined.substr(1))


def bot_days(clean: Table, maximum: int) -> Table:
    """Users with over `maximum` clean events in a UTC day: user_id, their busiest `day`, its number of `events`."""
    daily = clean.group_by("user_id", day=clean.timestamp.truncate("D")).agg(events=clean.count())
    over = daily.filter(daily.events > maximum)
    return over.group_by("user_id").agg(day=over.day.argmax(over.events), events=over.events.max())


def _rule(reason: str, column: str, breaks: BooleanValue) -> Rule:
    return Rule(reason, column, WORDS[reason], ibis.coalesce(breaks, ibis.literal(value=False)))
