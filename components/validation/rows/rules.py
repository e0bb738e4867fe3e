"""The rules that a single row can break, and the definition of a bot, as Ibis expressions over prepared tables.

A row is set aside for a value that decides what it says: a required id, the type, time or numbers of an event. Any
other unusable value, such as a number of an item, is read as missing and counted: the rest of the row is usable.

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
from feature_repo.dataset.contract import REQUIRED_COLUMNS, TIMED_TABLES
from feature_repo.dataset.values import CONTROL_CHARACTERS, Bounds, number_bounds, text_lengths

SEPARATOR = "|"
BOT = "bot"
DUPLICATE = "duplicate"
FLAG = "flag_"
PRICED_TABLES = ("interactions", "items")
EXTREME, UNUSABLE = "extreme_", "unusable_"  # reasons, each followed by the column

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
        value_only: Whether the value is read as missing and the row stays.
    """

    reason: str
    column: str
    words: str
    breaks: BooleanValue
    value_only: bool = False


def table_rules(
    name: str, table: Table, config: DatasetConfig, time_span: tuple[datetime, datetime] | None = None
) -> list[Rule]:
    """The rules of one prepared table.

    Args:
        name: interactions, items, users or impressions.
        table: The prepared table, with `row` and `row_hash`.
        config: Supplies the allowed event types and the extra columns.
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
    rules += [*_text_rules(name, table), *_number_rules(name, table, config)]
    repeat = ibis.row_number().over(group_by=["row_hash", *REQUIRED_COLUMNS[name]], order_by=table.row) > 0
    return [*rules, _rule(DUPLICATE, "*", repeat)]


def flagged(table: Table, rules: Sequence[Rule]) -> Table:
    """`table` with a boolean column for each rule, and `reasons`: the rules that set the row aside, joined by `|`."""
    flags = table.mutate(**{FLAG + rule.reason: rule.breaks for rule in rules})
    joined = ibis.literal("")
    for rule in (rule for rule in rules if not rule.value_only):
        joined = joined + ibis.ifelse(flags[FLAG + rule.reason], SEPARATOR + rule.reason, "")
    return flags.mutate(reasons=joined.substr(1))


def without_unusable(table: Table, rules: Sequence[Rule]) -> Table:
    """The flagged rows, with a null for every value that a `value_only` rule rejects."""
    columns = {
        rule.column: ibis.ifelse(table[FLAG + rule.reason], ibis.null(), table[rule.column])
        for rule in rules
        if rule.value_only
    }
    return table.mutate(**columns)


def bot_days(clean: Table, maximum: int) -> Table:
    """Users with over `maximum` clean events in a UTC day: user_id, the busiest `day`, its number of `events`."""
    daily = clean.group_by("user_id", day=clean.timestamp.truncate("D")).agg(events=clean.count())
    over = daily.filter(daily.events > maximum)
    return over.group_by("user_id").agg(day=over.day.argmax(over.events), events=over.events.max())


def _text_rules(name: str, table: Table) -> list[Rule]:
    rules = []
    for column, most in text_lengths(name).items():
        words = f"has over {most} characters or a control character"
        breaks = (table[column].length() > most) | table[column].re_search(CONTROL_CHARACTERS)
        value_only = column not in REQUIRED_COLUMNS[name]
        rules.append(_rule(UNUSABLE + column, column, breaks, words, value_only=value_only))
    return rules


def _number_rules(name: str, table: Table, config: DatasetConfig) -> list[Rule]:
    rules = []
    for column, bounds in number_bounds(name, config.extras(name).numerical).items():
        breaks = _out_of(bounds, table, column)
        value_only = name not in TIMED_TABLES
        rules.append(_rule(EXTREME + column, column, breaks, f"is not {bounds}", value_only=value_only))
    return rules


def _out_of(bounds: Bounds, table: Table, column: str) -> BooleanValue:
    above = table[column] > bounds.greatest
    return above if bounds.least == 0 else above | (table[column] < bounds.least)  # see negative_price


def _rule(reason: str, column: str, breaks: BooleanValue, words: str = "", *, value_only: bool = False) -> Rule:
    never_null = ibis.coalesce(breaks, ibis.literal(value=False))
    return Rule(reason, column, words or WORDS[reason], never_null, value_only)
