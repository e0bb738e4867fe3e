"""Rolling: the requests of a span at their own times, as the running system would have answered them.

Contract 2: queries are the requests of the log's slates, else the first event of each session, else of each user's day
(`components/replay/groups.py`). The relevant items of a query are those with a positive event within `HORIZON` after
it. A query knows its user's events up to its own time, and the state of items as of the last cut.

The queries become the users of a new `EventLog`: entry i holds the events of the i-th query's user up to the end of its
horizon. So tasks, baselines and metrics need no second form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from components.evaluation.baselines.method import Training
from components.evaluation.metrics import LIST_LENGTH
from components.evaluation.protocols.log import EventLog, Int64Array, Ragged, microseconds
from components.evaluation.protocols.protocol import Task, Tasks, queries_with_relevant, ruled_out
from components.evaluation.protocols.setting import Setting
from components.replay.groups import read_groups
from feature_repo.dataset.split import DAY_MICROSECONDS
from feature_repo.dataset.tables import PreparedTables
from inference.candidates.query import Query
from inference.candidates.surfaces import surface_of

HORIZON = DAY_MICROSECONDS
MOST_OF_A_USER = 10
MOST_REQUESTS = 20_000
MOST_GROUPS = 200_000  # read from the log, before the requests of each user are thinned
MOST_EVENTS = 20_000_000  # in the log of the requests, 17 bytes each; fewer requests are asked above it
MOST_REFITS = 8  # of the baselines over the span

Span = Literal["validation", "test"]


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """The most requests that are asked of a user, and in all; both are spread evenly. The defaults are contract 2."""

    of_a_user: int = MOST_OF_A_USER
    requests: int = MOST_REQUESTS


@dataclass(frozen=True, slots=True)
class Requests:
    """The requests of a span in order of time, as the users of a log.

    Attributes:
        queries: The query of each request [q].
        times: Microseconds [q].
        log: The events of each request's user before the end of its horizon; its user codes are the requests.
        horizon: Microseconds after a request in which an event makes an item relevant.
        cuts: Times at which the running system renews counts and neighbours, ascending microseconds, at least one.
    """

    queries: Sequence[Query]
    times: Int64Array
    log: EventLog
    horizon: int
    cuts: Int64Array

    @property
    def known(self) -> EventLog:
        """The events before each request."""
        return self.log.where(self.log.times < self.times[self.log.users])

    @classmethod
    def read(
        cls, tables: PreparedTables, base: EventLog, start: float, end: float, limits: RequestLimits, *, seed: int = 0
    ) -> Requests:
        """Reads the requests of a span whose horizon ends within it, or all in a span that is shorter than two.

        Args:
            tables: Clean prepared tables.
            base: All clean events of the tables.
            start: Start of the span, unix seconds.
            end: Its end, unix seconds; the span includes it.
            limits: The most requests.
            seed: Seed of the sample of a very large log.
        """
        stop = microseconds(end)
        horizon = min(HORIZON, stop - microseconds(start) + 1)
        groups = read_groups(tables, start, np.nextafter(end, np.inf), limit=MOST_GROUPS, seed=seed)
        times = np.array([microseconds(query.time) for query in groups.queries], dtype=np.int64)
        asking = np.array([query.user_id for query in groups.queries], dtype=object)
        users = np.minimum(np.searchsorted(base.user_ids, asking), max(len(base.user_ids) - 1, 0))
        latest = stop - horizon if stop - microseconds(start) >= 2 * horizon else stop
        # A seeded surface asks for items similar to another item, which the log does not name.
        plain = np.array([not surface_of(query.surface).seeded for query in groups.queries], dtype=np.bool_)
        # A user without any event has no relevant item.
        active = base.user_ids[users] == asking if len(base.user_ids) else np.zeros(len(asking), dtype=np.bool_)
        asked = np.flatnonzero(plain & active & (times <= latest))
        asked = asked[_evenly_by_user(users[asked], limits.of_a_user)]
        asked = asked[evenly(len(asked), limits.requests)]
        index = _ByUser.of(base)
        sizes = np.cumsum(index.counts(users[asked], times[asked] + horizon))
        if len(sizes) and sizes[-1] > MOST_EVENTS:
            asked = asked[evenly(len(asked), max(len(asked) * MOST_EVENTS // int(sizes[-1]), 1))]
        return cls(
            queries=[replace(groups.queries[place], count=LIST_LENGTH) for place in asked],
            times=times[asked],
            log=index.log_of(users[asked], times[asked] + horizon),
            horizon=horizon,
            cuts=np.array([microseconds(cut) for cut in tables.split.cuts_within(start, end)], dtype=np.int64),
        )

    def task(self, excluded: Ragged, *, cold: bool = False) -> Task:
        """One query per request; relevant are listable items with a positive event within the horizon.

        Args:
            excluded: Items that must not be listed, for every request.
            cold: Whether to select requests of users without an earlier event instead of those with one.
        """
        log, num = self.log, len(self.times)
        asked = self.times[log.users]
        known = np.bincount(log.users[log.times < asked], minlength=num) > 0
        inside = (log.times >= asked) & (log.grades > 0) & (known[log.users] != cold)
        relevant = Ragged.from_pairs(log.users[inside], log.rows[inside], num).without(excluded)
        return queries_with_relevant(np.arange(num, dtype=np.int32), self.times, relevant, excluded)


@dataclass(frozen=True, slots=True)
class Rolling:
    """The test requests and the validation requests of a log.

    Attributes:
        setting: The log under the temporal protocol: spans, rules of own items, categories.
        test, validation: Requests of both spans.
    """

    setting: Setting
    test: Requests
    validation: Requests

    @classmethod
    def open(cls, tables: PreparedTables, setting: Setting, limits: RequestLimits, *, seed: int = 0) -> Rolling:
        """Reads the requests of prepared tables.

        Args:
            tables: Clean prepared tables.
            setting: The tables under the temporal protocol.
            limits: The most requests of each span.
            seed: Seed of the sample of a very large log.
        """
        split, log = tables.split, setting.log
        before_test = float(np.nextafter(split.test_start, -np.inf))
        return cls(
            setting=setting,
            test=Requests.read(tables, log, split.test_start, split.log_end, limits, seed=seed),
            validation=Requests.read(tables, log, split.validation_start, before_test, limits, seed=seed),
        )

    def tasks(self) -> Tasks:
        """The test task and its slices; cold items have no event before the test start."""
        setting, known = self.setting, self.test.known
        test = self.test.task(ruled_out(known, setting.repeats, setting.strongest))
        seen = np.bincount(setting.log.before(setting.test_start).rows, minlength=len(setting.log.item_ids)) > 0
        old = seen[test.relevant.rows]
        own = ruled_out(known, "never", setting.strongest)
        return Tasks(
            test=test,
            cold_users=self.test.task(own, cold=True),
            cold_items=test.restrict(~old),
            warm_items=test.restrict(old),
            new_items=None if setting.repeats == "never" else self.test.task(own),
        )

    def validation_task(self) -> Task:
        """The same kind of task on the validation span, for choosing settings."""
        return self.validation.task(ruled_out(self.validation.known, self.setting.repeats, self.setting.strongest))

    def trainings(self, span: Span, seed: int = 0) -> tuple[tuple[Training, ...], Int64Array]:
        """The data of each refit of a baseline within a span, and the refit that answers each request [q].

        The validation span has one refit, at its start: settings are searched on it.
        """
        requests = self.test if span == "test" else self.validation
        cuts = requests.cuts
        refits = cuts[:: -(-len(cuts) // MOST_REFITS)] if span == "test" else cuts[:1]
        place = np.maximum(np.searchsorted(refits, requests.times, side="right") - 1, 0)
        known = requests.known.positives
        # A refit reads only the histories of the requests that it answers.
        refit_of = place[known.users]
        return tuple(
            self._training(requests, known.where(refit_of == number), refit, seed)
            for number, refit in enumerate(refits.tolist())
        ), place

    def _training(self, requests: Requests, known: EventLog, refit: int, seed: int) -> Training:
        base = self.setting.log.positives
        # On the requests' own clocks, so that the age of an event counts from its request.
        history = replace(known, times=known.times + (refit - requests.times)[known.users])
        return Training(
            fit=base.before(refit),
            history=history,
            now=refit,
            asked=requests.times,
            counted=base.before(int(requests.times.max(initial=refit))),
            cuts=requests.cuts,
            repeats_some=self.setting.repeats != "never",
            seed=seed,
        )


@dataclass(frozen=True, slots=True)
class _ByUser:
    """Events sorted by user and time: those of user u are `order[offsets[u]:offsets[u + 1]]`.

    Attributes:
        base: The events.
        order, offsets: See above.
        moments: Distinct times, ascending.
        keys: User and place of the time in `moments` as one number for each sorted event, ascending [n].
    """

    base: EventLog
    order: Int64Array
    offsets: Int64Array
    moments: Int64Array
    keys: Int64Array

    @classmethod
    def of(cls, base: EventLog) -> _ByUser:
        order = np.lexsort((base.times, base.users))
        offsets = np.searchsorted(base.users[order], np.arange(len(base.user_ids) + 1))
        moments, moment = np.unique(base.times[order], return_inverse=True)
        keys = base.users[order].astype(np.int64) * (len(moments) + 1) + moment
        return cls(base, order, offsets, moments, keys)

    def counts(self, users: npt.NDArray[np.integer], until: Int64Array) -> Int64Array:
        """Number of events of each user before a time [q]."""
        wanted = users.astype(np.int64) * (len(self.moments) + 1) + np.searchsorted(self.moments, until)
        counts: Int64Array = np.searchsorted(self.keys, wanted) - self.offsets[users]
        return counts

    def log_of(self, users: npt.NDArray[np.integer], until: Int64Array) -> EventLog:
        """The events of each user before a time, as a log whose users are the places of `users`."""
        counts = self.counts(users, until)
        starts = np.cumsum(counts) - counts
        at = self.order[np.arange(counts.sum()) + np.repeat(self.offsets[users] - starts, counts)]
        return replace(
            self.base.where(at),
            user_ids=self.base.user_ids[users],
            users=np.repeat(np.arange(len(users), dtype=np.int32), counts),
        )


def evenly(num: int, most: int) -> Int64Array:
    """At most `most` of `num` places, evenly spread, ascending."""
    return np.unique(np.linspace(0, num - 1, min(num, most)).astype(np.int64)) if num else np.zeros(0, dtype=np.int64)


def _evenly_by_user(users: npt.NDArray[np.integer], most: int) -> Int64Array:
    """Places [q'] of at most `most` requests of each user, evenly spread over the user's requests, ascending."""
    order = np.argsort(users, kind="stable")
    starts = np.searchsorted(users[order], users[order])
    rank = np.arange(len(users)) - starts
    count = np.searchsorted(users[order], users[order], side="right") - starts
    # The requests at round(i * (count - 1) / (most - 1)): those whose rank is the first of its share.
    share = (rank * (most - 1)) // np.maximum(count - 1, 1)
    before = ((rank - 1) * (most - 1)) // np.maximum(count - 1, 1)
    kept = (count <= most) | (rank == 0) | (share > before)
    return np.sort(order[kept])
