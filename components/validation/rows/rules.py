"""The rules that a single row can break, and the definition of a bot, as Ibis expressions over prepared tables.

`checks.py` reads and writes the tables; `gate.py` stops a run. The expressions are plain Ibis, without SQL of a
specific engine.
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
        reason: Name of the rule in quarantine and metrics.
        column: The column that the rule checks; `*` is the whole row.
        words: The rule in words, for the report.
        breaks: True for rows that break the rule; never null.
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
        config: Supplies the allowed event types.
        time_span: First and last plausible time of a timed table; None for a table without times.
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
    """`table` with a boolean column for each rule, and `reasons`: the names of the broken rules, joined by `|`."""
    flags = table.mutate(**{FLAG + rule.reason: rule.breaks for rule in rules})
    joined = ibis.literal("")
    for rule in rules:
        joined = joined + ibis.ifelse(flags[FLAG + rule.reason], SEPARATOR + rule.reason, "")
    return flags.mutate(reasons=joined.substr(1))


def bot_days(clean: Table, maximum: int) -> Table:
    """Users with over `maximum` clean events in a UTC day: user_id, the busiest `day`, its number of `events`."""
    daily = clean.group_by("user_id", day=clean.timestamp.truncate("D")).agg(events=clean.count())
    over = daily.filter(daily.events > maximum)
    return over.group_by("user_id").agg(day=over.day.argmax(over.events), events=over.events.max())


def _rule(reason: str, column: str, breaks: BooleanValue) -> Rule:
    return Rule(reason, column, WORDS[reason], ibis.coalesce(breaks, ibis.literal(value=False)))
