"""People who ask without a pause, and check every answer against what its bundle answers in one process."""

from __future__ import annotations

import itertools
import random
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from inference.api.requests import RecommendationRequest
from inference.api.responses import body
from inference.bundles.bundle import Bundle
from inference.feature_store import OnlineFeatures, StoreSettings
from inference.models.artifacts import Artifacts
from inference.recommender import Recommender
from inference.scorers.local import LocalScorer
from inference.scorers.protocol import Ranker
from inference.stages import Stages
from tests.kit import world
from tests.kit.crowd import Crowd

MOMENT = datetime.fromtimestamp(world.NOW, UTC).isoformat()
HEADERS = {"kuberec-time": MOMENT}  # ages, and with them scores, are those of one moment
Items = list[dict[str, Any]]
Question = tuple[Mapping[str, Any], ...]  # the requests of one call


def questions() -> list[Question]:
    """Single requests of every kind, and calls for several people at once."""
    users = [f"u{number}" for number in range(24)]
    single: list[dict[str, Any]] = [{"user_id": user} for user in users]
    single += [{"user_id": user, "surface": "email", "count": 7} for user in users[:4]]
    single += [{"user_id": f"stranger{n}", "country": country} for n, country in enumerate(world.COUNTRIES)]
    single += [{"user_id": "u1", "surface": "similar", "item_id": world.item_id(row)} for row in (150, 201, 259)]
    return [*((one,) for one in single), tuple(single[:3]), tuple(single[20:30])]


def expected(question: Question, artifacts: Artifacts, ranker: Ranker, place: StoreSettings) -> list[Items]:
    """What the artifacts with a ranker answer."""
    reader = OnlineFeatures(artifacts.feature_set, artifacts.items.item_ids, place)
    queries = [RecommendationRequest(**one).query(world.NOW, "r") for one in question]
    slates = Recommender(artifacts, Stages.of(artifacts, reader, LocalScorer(ranker))).recommend(queries)
    return [body(slate, artifacts, [])["items"] for slate in slates]


def book(bundle: Bundle, asked: Sequence[Question], place: StoreSettings) -> list[list[Items]]:
    """A bundle's answers to all questions."""
    artifacts, ranker = bundle.artifacts(), bundle.ranker()
    return [expected(question, artifacts, ranker, place) for question in asked]


def same(left: list[Items], right: list[Items]) -> bool:
    """Whether two answers are one; scores to the last digits that sums in another order leave alone."""
    if [len(one) for one in left] != [len(one) for one in right]:
        return False
    pairs = zip(itertools.chain(*left), itertools.chain(*right), strict=True)
    return all(
        abs(one["score"] - other["score"]) < 1e-5 and {**one, "score": 0} == {**other, "score": 0}
        for one, other in pairs
    )


@dataclass
class Clients(Crowd):
    """Clients that compare answers; each stays with one server.

    Attributes:
        asked: What they ask.
        books: Bundle version -> its answers.
        turns: Client -> the versions it saw, each as often as it came back to it.
        seconds: When each answer came (`time.perf_counter()`), and how long it took.
    """

    asked: Sequence[Question]
    books: Mapping[str, list[list[Items]]]
    turns: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    seconds: list[tuple[float, float]] = field(default_factory=list)

    headers = HEADERS

    def __post_init__(self) -> None:
        self._choices = [random.Random(number) for number in range(len(self.urls))]

    def answered(self, num: int) -> bool:
        """Whether so many answers came, or something went wrong."""
        return len(self.seconds) >= num or bool(self.failures)

    def ask(self, number: int, client: httpx.Client) -> None:
        """Asks a question at random."""
        place = self._choices[number].randrange(len(self.asked))
        begun = time.perf_counter()
        failure = self._check(number, place, _sent(client, self.asked[place]))
        self.seconds.append((begun, time.perf_counter() - begun))
        if failure:
            self.failures.append(f"{self.asked[place]}: {failure}")

    def _check(self, number: int, place: int, answer: httpx.Response) -> str:
        if answer.status_code != 200:
            return f"{answer.status_code} {answer.text}"
        content = answer.json()
        bodies = content.get("predictions", [content])
        versions = {one["bundle_version"] for one in bodies}
        degraded = {reason for one in bodies for reason in one["degraded"]}
        if degraded or len(versions) != 1:
            return f"degraded {degraded}, versions {versions}"
        (version,) = versions
        seen = self.turns[number]
        if not seen or seen[-1] != version:
            seen.append(version)
        answers = [one["items"] for one in bodies]
        if not same(answers, self.books[version][place]):
            return f"not what {version} answers: {answers}"
        return ""


def _sent(client: httpx.Client, question: Question) -> httpx.Response:
    if len(question) == 1:
        return client.get("/api/v1/recommendations", params=dict(question[0]))
    return client.post("/v1/models/recommender:predict", json={"instances": [dict(one) for one in question]})
