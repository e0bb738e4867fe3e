"""What an evaluation measures under a protocol: the tasks, and the data that baselines may learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from components.evaluation.baselines.method import Training
from components.evaluation.protocols.log import EventLog
from components.evaluation.protocols.protocol import Task, Tasks
from components.evaluation.protocols.rolling import Requests, Rolling
from components.evaluation.protocols.setting import Setting
from components.evaluation.search import Refits
from feature_repo.dataset.tables import PreparedTables

Protocol = Literal["temporal", "rolling", "leave-one-out"]


@dataclass(frozen=True, slots=True)
class Plan:
    """The measurement of one log under one protocol.

    Attributes:
        protocol: The protocol.
        setting: The log: spans, rules of own items, categories.
        log: The log that the user codes of the tasks refer to; under `rolling` its users are the requests.
        tasks: The test task and its slices.
        validation_task: The same kind of task on the validation span or items, for choosing settings.
        validation, test: What baselines may use for the queries of each span.
        requests: The test requests, only under `rolling`.
    """

    protocol: Protocol
    setting: Setting
    log: EventLog
    tasks: Tasks
    validation_task: Task
    validation: Training
    test: Training | Refits
    requests: Requests | None = None

    @classmethod
    def open(cls, tables: PreparedTables, *, rolling: bool = False, seed: int = 0) -> Plan:
        """Reads prepared tables, or the output of `leave_one_out`.

        Args:
            tables: The tables; held-out items mean leave-one-out.
            rolling: Whether to ask the requests of the test span at their own times, instead of once at its start.
            seed: Seed of all random choices.
        """
        if rolling and not tables.holds_out:
            return cls._rolling(Rolling.open(tables, seed), seed)
        setting = Setting.open(tables)
        return cls(
            protocol="leave-one-out" if tables.holds_out else "temporal",
            setting=setting,
            log=setting.log,
            tasks=setting.tasks(),
            validation_task=setting.validation_task(),
            validation=setting.training("validation", seed),
            test=setting.training("test", seed),
        )

    @classmethod
    def _rolling(cls, asked: Rolling, seed: int) -> Plan:
        (validation,), _ = asked.trainings("validation", seed)
        trainings, place = asked.trainings("test", seed)
        return cls(
            protocol="rolling",
            setting=asked.setting,
            log=asked.test.log,
            tasks=asked.tasks(),
            validation_task=asked.validation_task(),
            validation=validation,
            test=Refits(trainings, place),
            requests=asked.test,
        )
