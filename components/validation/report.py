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
    """

    reason: str
    column: str
    rule: str
    count: int
    examples: tuple[dict[str, str | None], ...] = ()


class TableQuality(Value):
    """One table: `rows` = `clean` + rows with a reason; `kept` = clean rows that do not belong to a bot."""

    rows: int
    clean: int
    kept: int
    findings: tuple[Finding, ...] = ()

    @property
    def bad(self) -> int:
        return self.rows - self.clean

    @property
    def bots(self) -> int:
        return self.clean - self.kept

    @property
    def rate(self) -> float:
        return self.clean / self.rows if self.rows else 1.0

    @property
    def worst(self) -> Finding | None:
        """The rule that most rows break."""
        broken = [finding for finding in self.findings if finding.count]
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

    @property
    def rate(self) -> float:
        """Clean rows of interactions over all rows of interactions; the only figure that the gate checks."""
        return self.tables["interactions"].rate

    @property
    def passed(self) -> bool:
        return self.rate >= self.minimum_rate

    @property
    def spikes(self) -> list[tuple[str, DayVolume]]:
        return [(table, day) for table, days in self.volumes.items() for day in days if day.spike]

    def metrics(self) -> dict[str, float]:
        """Flat figures for the pipeline's metrics."""
        figures: dict[str, float] = {"quality_rate": self.rate, "minimum_rate": self.minimum_rate}
        for name, table in self.tables.items():
            figures |= {f"{name}_rows": table.rows, f"{name}_bad": table.bad, f"{name}_bots": table.bots}
        return figures | {"num_bots": self.num_bots, "num_spikes": len(self.spikes)}

    def summary(self) -> str:
        """One line: the rate, and the quarantined rows by table and reason."""
        aside = []
        for name, table in self.tables.items():
            reasons = [f"{finding.reason} {finding.count:,}" for finding in table.findings if finding.count]
            reasons += [f"bot {table.bots:,}"] if table.bots else []
            aside += [f"{name}: {', '.join(reasons)}"] if reasons else []
        return f"quality {self.rate:.2%} (minimum {self.minimum_rate:.2%}); quarantined: {'; '.join(aside) or 'none'}"

    def write(self, directory: Path) -> None:
        """Writes `report.json`, including the rate and the verdict."""
        write_json(directory / REPORT_FILE, {"rate": self.rate, "passed": self.passed, **self.model_dump(mode="json")})

    @classmethod
    def read(cls, directory: Path) -> Self:
        """The report in `directory`."""
        content = read_json(directory / REPORT_FILE)
        return cls.model_validate({name: content[name] for name in cls.model_fields})
