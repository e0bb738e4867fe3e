"""What a rule is: a series recorded under a shorter name, or an alert; and how either is written for Prometheus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["page", "ticket"]


@dataclass(frozen=True, slots=True)
class Recording:
    """A series computed ahead, named `recs:<what>:<how>`.

    Attributes:
        name: Of the series.
        expression: PromQL.
    """

    name: str
    expression: str

    def rendered(self) -> dict[str, Any]:
        """The rule as Prometheus reads it."""
        return {"record": self.name, "expr": self.expression}


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert; `monitoring/runbooks/<name>.md` says what to do about it.

    Attributes:
        name: Of the alert and of its page.
        value: PromQL of the figure looked at, which has a value in ordinary times too.
        condition: When the figure is wrong: a comparison, and what must hold beside it.
        lasting: How long it must be wrong before anybody is told, as in 5m.
        severity: `page` wakes somebody up, `ticket` waits for working hours.
        summary: What is wrong, in a few words.
        description: The same with the figure (`$value`) and what it means for people.
    """

    name: str
    value: str
    condition: str
    lasting: str
    severity: Severity
    summary: str
    description: str

    @property
    def page(self) -> str:
        """File name of its runbook."""
        return f"{self.name}.md"

    def rendered(self, runbooks: str) -> dict[str, Any]:
        """The rule as Prometheus reads it.

        Args:
            runbooks: Folder or URL of the runbooks, for the link of the notification.
        """
        return {
            "alert": self.name,
            "expr": f"{self.value} {self.condition}",
            "for": self.lasting,
            "labels": {"severity": self.severity},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{runbooks.rstrip('/')}/{self.page}",
            },
        }
