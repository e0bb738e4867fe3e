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
    test: Refits
    requests: Requests | None = None

    @classmethod
    def of(cls, setting: Setting, seed: int = 0) -> Plan:
        """One query a user: the temporal protocol, or leave-one-out on the tables of held-out items."""
        return cls(
            protocol="temporal" if setting.held_out is None else "leave-one-out",
            setting=setting,
            log=setting.log,
            tasks=setting.tasks(),
            validation_task=setting.validation_task(),
            validation=setting.training("validation", seed),
            test=Refits((setting.training("test", seed),), None),
        )

    @classmethod
    def of_requests(cls, asked: Rolling, seed: int = 0) -> Plan:
        """The requests of the test span at their own times."""
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

    @property
    def num_users(self) -> int:
        """Number of users with a test query."""
        return self.tasks.test.num_users(self.log)
