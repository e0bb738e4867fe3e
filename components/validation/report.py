"""The findings of the row rules as values: counts by rule, bots, spikes, outliers and the quality rate.

Defines the format of `report.json`, which the gate, the page and the pipeline's metrics read. The gate (`gate.py`)
compares the rate with the minimum.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict

from feature_repo.storage.files import read_json, write_json

if TYPE_CHECKING:
    from ibis.expr.types import Table

NUM_EXAMPLES = 3
REPORT_FILE = "report.json"
HIDDEN_COLUMNS = ("row_hash", "grade")
UTC_SUFFIX = "+00"


def rows_as_text(rows: Table, column: str = "*") -> tuple[dict[str, str | None], ...]:
    """The first rows as text: `row`, then all columns with a value, and `column` even if its value is missing.

    DuckDB formats the times, because an example may hold a time that Python cannot represent.
    """
    times = {name: rows[name].cast("string") for name, kind in rows.schema().items() if kind.is_timestamp()}
    shown = rows.limit(NUM_EXAMPLES).mutate(**times).drop(*(set(HIDDEN_COLUMNS) & set(rows.columns)))
    return tuple(
        {
            name: None if value is None else str(value).removesuffix(UTC_SUFFIX) if name in times else str(value)
            for name, value in row.items()
            if value is not None or name == column
        }
        for row in shown.to_pyarrow().to_pylist()
    )


class Value(BaseModel):
    """Base of the report's values: frozen, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Finding(Value):
    """One rule on one column: the number of rows that break it, and the first three of these rows.

    Attributes:
        reason: Name of the rule in quarantine.
        column: The column that breaks the rule; `*` is the whole row.
        rule: The rule in words.
        count: Rows that break the rule; a row may break several rules.
        examples: Columns of example rows as text, `row` (source file order) first.
        value_only: Whether the value is read as missing and the row stays.
    """

    reason: str
    column: str
    rule: str
    count: int
    examples: tuple[dict[str, str | None], ...] = ()
    value_only: bool = False


class TableQuality(Value):
    """One table: `rows` = `clean` + rows with a reason; `kept` = clean rows that do not belong to a bot.

    Attributes:
        served_rows, served_clean: The rows of the served log among `rows` and `clean`.
    """

    rows: int
    clean: int
    kept: int
    served_rows: int = 0
    served_clean: int = 0
    findings: tuple[Finding, ...] = ()

    @property
    def bad(self) -> int:
        return self.rows - self.clean

    @property
    def bots(self) -> int:
        return self.clean - self.kept

    @property
    def has_missing_values(self) -> bool:
        """Whether a rule read a value as missing."""
        return any(finding.count and finding.value_only for finding in self.findings)

    @property
    def rate(self) -> float:
        return self.clean / self.rows if self.rows else 1.0

    @property
    def worst(self) -> Finding | None:
        """The rule that most of the bad rows break."""
        broken = [finding for finding in self.findings if finding.count and not finding.value_only]
        return max(broken, key=lambda finding: finding.count, default=None)


class BotDay(Value):
    """A user's busiest day, with more events than the maximum."""

    user_id: str
    day: str
    events: int


class DayVolume(Value):
    """Rows of one UTC day; `score` is the robust z-score of the volume against the weeks around the day."""

    day: str
    kept: int
    bad: int
    bots: int
    score: float
    spike: bool


class Outlier(Value):
    """Values of a numeric column far from the rest; reported, never dropped.

    Attributes:
        low, high: Values outside [low, high] are flagged.
        least, greatest: Minimum and maximum of the column.
    """

    table: str
    column: str
    count: int
    low: float
    high: float
    least: float
    greatest: float
    examples: tuple[dict[str, str | None], ...] = ()


class JoinExample(Value):
    """Ids or keys of a table that a join does not match."""

    table: str
    values: tuple[str, ...]


class JoinShare(Value):
    """How many rows of a join match.

    Attributes:
        name: The join; `quality.minimum_<name>` of dataset.toml is its setting.
        words: What holds for a row that matches, beginning with the name of the rows.
        matched: Number of rows that match.
        total: Number of rows that could match, over zero.
        minimum: Smallest share that passes; None lets every share over zero pass.
        examples: Values of both tables if so few rows match that it is likely a fault.
    """

    name: str
    words: str
    matched: int
    total: int
    minimum: float | None
    examples: tuple[JoinExample, ...] = ()

    @property
    def share(self) -> float:
        return self.matched / self.total

    @property
    def passed(self) -> bool:
        return self.matched > 0 if self.minimum is None else self.share >= self.minimum

    @property
    def example_words(self) -> str:
        """The examples as part of a sentence; "" without examples."""
        return " and ".join(f"{one.table} have {', '.join(map(repr, one.values))}" for one in self.examples)

    @property
    def finding(self) -> str:
        """The share as part of a sentence: how few rows match, and values that do not."""
        few = f"only {self.matched:,} ({self.share:.2%})" if self.matched else "none"
        examples = f" ({self.example_words})" if self.examples else ""
        return f"{few} of {self.total:,} {self.words}{examples}"


class QualityReport(Value):
    """All findings of the row rules on one dataset."""

    dataset: str
    minimum_rate: float
    maximum_daily_events: int
    tables: dict[str, TableQuality]
    bots: tuple[BotDay, ...] = ()
    num_bots: int = 0
    volumes: dict[str, tuple[DayVolume, ...]] = {}
    outliers: tuple[Outlier, ...] = ()
    unmapped_event_types: dict[str, int] = {}
    joins: tuple[JoinShare, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def rate(self) -> float:
        """Clean rows of the dataset's interactions over all their rows; the only figure that the gate checks.

        Rows of the served log are reported and not gated, because otherwise any client could stop the training.
        """
        events = self.tables["interactions"]
        own_rows, own_clean = events.rows - events.served_rows, events.clean - events.served_clean
        return own_clean / own_rows if own_rows else 1.0

    @property
    def passed(self) -> bool:
        """Whether the gate passes: enough rows are clean, and every join matches enough."""
        return self.rate >= self.minimum_rate and all(join.passed for join in self.joins)

    @property
    def spikes(self) -> list[tuple[str, DayVolume]]:
        return [(table, day) for table, days in self.volumes.items() for day in days if day.spike]

    def metrics(self) -> dict[str, float]:
        """Flat figures for the pipeline's metrics."""
        figures: dict[str, float] = {"quality_rate": self.rate, "minimum_rate": self.minimum_rate}
        for name, table in self.tables.items():
            figures |= {f"{name}_rows": table.rows, f"{name}_bad": table.bad, f"{name}_bots": table.bots}
        figures |= {join.name: join.share for join in self.joins}
        return figures | {"num_bots": self.num_bots, "num_spikes": len(self.spikes)}

    def summary(self) -> str:
        """One line: the rate, the quarantined rows and the values read as missing, by table and reason."""
        aside = "; ".join(self._named(value_only=False)) or "none"
        missing = "; ".join(self._named(value_only=True))
        rate = f"quality {self.rate:.2%} (minimum {self.minimum_rate:.2%}); quarantined: {aside}"
        served = [
            f"{name}: {table.served_rows - table.served_clean:,} of {table.served_rows:,}"
            for name, table in self.tables.items()
            if table.served_rows > table.served_clean
        ]
        found = [f"quarantined rows of the log: {'; '.join(served)}"] if served else []
        found += [f"values read as missing: {missing}"] if missing else []
        return "; ".join([rate, *found])

    def _named(self, *, value_only: bool) -> list[str]:
        """Each table with its reasons and counts, for rows that were set aside or for values read as missing."""
        named = []
        for name, table in self.tables.items():
            found = [finding for finding in table.findings if finding.count and finding.value_only == value_only]
            reasons = [f"{finding.reason} {finding.count:,}" for finding in found]
            reasons += [f"bot {table.bots:,}"] if table.bots and not value_only else []
            named += [f"{name}: {', '.join(reasons)}"] if reasons else []
        return named

    def joins_summary(self) -> str:
        """One line: the share of every join."""
        return "joins: " + ("; ".join(f"{join.share:.2%} of {join.words}" for join in self.joins) or "none")

    def write(self, directory: Path) -> None:
        """Writes `report.json`, including the rate and the verdict."""
        write_json(directory / REPORT_FILE, {"rate": self.rate, "passed": self.passed, **self.model_dump(mode="json")})

    @classmethod
    def read(cls, directory: Path) -> Self:
        """The report in `directory`."""
        content = read_json(directory / REPORT_FILE)
        return cls.model_validate({name: content[name] for name in cls.model_fields})
