"""The two kinds of rule, recording rules and alerts, and their form in a Prometheus rule file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from monitoring.rules.scope import of_namespace, scoped

Severity = Literal["page", "ticket"]


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording rule: a precomputed series, named `recs:<metric>:<operation>`.

    Attributes:
        name: Name of the series.
        expression: PromQL.
    """

    name: str
    expression: str

    def rendered(self, namespace: str = "") -> dict[str, Any]:
        """The rule as Prometheus reads it, for one namespace of a cluster or for all series."""
        rule: dict[str, Any] = {"record": self.name, "expr": scoped(self.expression, of_namespace(namespace))}
        return rule | {"labels": {"namespace": namespace}} if namespace else rule


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. Its runbook is `monitoring/runbooks/<group>/<name>.md`.

    Attributes:
        name: Name of the alert and of its runbook.
        value: PromQL of the observed value. It also has a value when nothing is wrong, so that tests can check it.
        condition: PromQL after `value`: the comparison that fires, and further conditions.
        lasting: How long the condition must hold before the alert fires, for example 5m.
        severity: `page` calls a person at any hour, `ticket` waits for working hours.
        summary: The problem in a few words.
        description: The problem with its value (`$value`) and its effect on users.
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
        """File name of the runbook."""
        return f"{self.name}.md"

    def rendered(self, runbooks: str, namespace: str = "") -> dict[str, Any]:
        """The rule as Prometheus reads it.

        Args:
            runbooks: Folder or URL of the group's runbooks, for the link of the notification.
            namespace: The namespace of a cluster whose series count; "" for all series.
        """
        matcher = of_namespace(namespace)
        return {
            "alert": self.name,
            "expr": scoped(f"{self.value} {self.condition}", matcher),
            "for": self.lasting,
            "labels": {"severity": self.severity} | ({"namespace": namespace} if namespace else {}),
            "annotations": {
                "summary": self.summary,
                "description": scoped(self.description, matcher),
                "runbook_url": f"{runbooks}/{self.page}",
            },
        }
