"""Which protocols an evaluation measures, and which of them the release gate decides on.

A training measures a log under two protocols with the same models. Rolling asks the requests of the test span at their
own times, as the servers are asked, so it decides where the log has it: `ENOUGH_USERS` users with a request that has a
relevant item, and events with a time of the day. Otherwise temporal decides, and rolling is not measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.evaluation.gate.gate import ENOUGH_USERS
from components.evaluation.protocols.log import EventLog
from components.evaluation.protocols.plan import Plan, Protocol
from components.evaluation.protocols.rolling import RequestLimits, Rolling
from components.evaluation.protocols.setting import Setting
from feature_repo.dataset.split import DAY_MICROSECONDS
from feature_repo.dataset.tables import PreparedTables

# A training asks fewer requests than `make evaluate`: intervals over days and items hardly narrow with more of them.
TRAINING_LIMITS = RequestLimits(of_a_user=3, requests=5_000)
TIMES_A_DAY = 2  # a log of dates has one time a day, and two where its days are of different time zones


@dataclass(frozen=True, slots=True)
class Plans:
    """The measurements of one log.

    Attributes:
        deciding: The plan whose scores the gate reads; its protocol chooses the settings of the baselines.
        others: Plans that are only reported.
        reason: Why this protocol decides; "" if only one was asked for.
    """

    deciding: Plan
    others: tuple[Plan, ...] = ()
    reason: str = ""

    @classmethod
    def open(cls, tables: PreparedTables, protocol: Protocol | None = None, *, seed: int = 0) -> Plans:
        """Reads prepared tables, or the output of `leave_one_out`, which has one protocol.

        Args:
            tables: The tables.
            protocol: The only protocol to measure; None for those of a training.
            seed: Seed of all random choices.
        """
        setting = Setting.open(tables)
        if tables.holds_out or protocol == "temporal":
            return cls(Plan.of(setting, seed))
        if protocol == "rolling":
            return cls(Plan.of_requests(Rolling.open(tables, setting, RequestLimits(), seed=seed), seed))
        temporal = Plan.of(setting, seed)
        if not has_times(setting.log):
            return cls(temporal, reason="temporal decides, because the events have dates and no times of the day")
        if setting.validation_start >= setting.test_start:
            return cls(temporal, reason="temporal decides, because the log is too short for a validation span")
        rolling = Plan.of_requests(Rolling.open(tables, setting, TRAINING_LIMITS, seed=seed), seed)
        if rolling.num_users < ENOUGH_USERS:
            found = f"{rolling.num_users} users have a test request with a relevant item, {ENOUGH_USERS} are needed"
            return cls(temporal, reason=f"temporal decides, because {found}")
        found = f"{len(rolling.tasks.test):,} requests of {rolling.num_users:,} users are answered as in service"
        return cls(rolling, (temporal,), f"rolling decides: {found}")

    @property
    def all(self) -> tuple[Plan, ...]:
        """The deciding plan, then the others."""
        return (self.deciding, *self.others)


def has_times(log: EventLog) -> bool:
    """Whether events have times of the day, and not only dates."""
    moments = np.unique(log.times)
    return len(moments) > TIMES_A_DAY * len(np.unique(moments // DAY_MICROSECONDS))
