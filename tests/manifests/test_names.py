"""Forms that an API server checks beyond the schemas: names, labels, ports, schedules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.manifests.cluster import Document, namespace_of, of_kind, pods, services

LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")  # DNS-1035, the strictest of the forms of names
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?")
LABEL_KEY = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
LONGEST = {"CronJob": 52, "StatefulSet": 52, "InferenceService": 40}  # what they make has longer names
BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))


def test_everything_is_in_the_namespace(documents: list[Document]) -> None:
    for namespace in of_kind(documents, "Namespace"):
        assert namespace["metadata"]["name"] == namespace_of(documents)
        assert documents[0] is namespace, "kubectl applies in order"
    assert bool(of_kind(documents, "Namespace")) != bool(of_kind(documents, "PodDefault")), (
        "a profile has its namespace"
    )


def test_the_namespace_admits_restricted_pods_alone(documents: list[Document]) -> None:
    for namespace in of_kind(documents, "Namespace"):
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_names_are_unique_and_of_their_form(documents: list[Document]) -> None:
    names = [(document["kind"], document["metadata"]["name"]) for document in documents]
    assert len(set(names)) == len(names)
    for kind, name in names:
        assert LABEL.fullmatch(name), name
        assert len(name) <= LONGEST.get(kind, 63), name


def test_labels_are_of_their_form(documents: list[Document]) -> None:
    found = [labels for document in documents for labels in _labels(document)]
    assert len(found) > len(documents)
    for labels in found:
        for key, value in labels.items():
            assert LABEL_KEY.fullmatch(key), key
            assert isinstance(value, str), f"{key}: {value!r}"
            assert LABEL_VALUE.fullmatch(value), f"{key}: {value}"
            assert len(value) <= 63, f"{key}: {value}"


def _labels(value: Any) -> Iterator[dict[str, str]]:
    """All labels and selectors in a document."""
    if isinstance(value, dict):
        for name, part in value.items():
            if name in ("labels", "matchLabels") and isinstance(part, dict):
                yield part
            yield from _labels(part)
    if isinstance(value, list):
        for part in value:
            yield from _labels(part)


def test_ports_are_named_and_told_apart(documents: list[Document]) -> None:
    lists = [container.get("ports", []) for pod in pods(documents) for container in pod.containers]
    lists += [service["spec"]["ports"] for service in services(documents)]
    assert sum(map(len, lists)) >= 6
    for ports in lists:
        names = [port["name"] for port in ports]
        numbers = [port.get("containerPort", port.get("port")) for port in ports]
        assert len(set(names)) == len(names)
        assert len(set(numbers)) == len(numbers)
        for name in names:
            assert LABEL.fullmatch(name), name
            assert len(name) <= 15, name


def test_schedules(documents: list[Document]) -> None:
    schedules = {job["metadata"]["name"]: job["spec"]["schedule"] for job in of_kind(documents, "CronJob")}
    assert schedules.keys() == {"refresh", "drift", "training"}
    for schedule in schedules.values():
        assert _is_schedule(schedule), schedule


@pytest.mark.parametrize("schedule", ["", "* * * *", "60 * * * *", "0 24 * * *", "0 0 0 * *", "*/0 * * * *", "@often"])
def test_a_wrong_schedule_is_noticed(schedule: str) -> None:
    assert not _is_schedule(schedule)


def _is_schedule(schedule: str) -> bool:
    """Whether these are five fields of numbers within their bounds, or stars, each perhaps with a step."""
    fields = schedule.split()
    return len(fields) == len(BOUNDS) and all(
        (found := re.fullmatch(r"(\*|\d+)(/[1-9]\d*)?", field)) and (found[1] == "*" or low <= int(found[1]) <= high)
        for field, (low, high) in zip(fields, BOUNDS, strict=True)
    )
