"""Reads labels and taints of nodes as a person writes them in a setting."""

from __future__ import annotations

import re

# Of Kubernetes: the key of a label or taint with an optional prefix, and its value.
KEY = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
EFFECTS = ("", "NoSchedule", "PreferNoSchedule", "NoExecute")


def node_labels(text: str) -> dict[str, str]:
    """Labels of the nodes that may run a pod.

    Args:
        text: `label=value,label=value`, "" for no labels.

    Raises:
        ValueError: The text has another form.
    """
    pairs = [part.strip().partition("=") for part in text.split(",") if text]
    if not all(KEY.fullmatch(label) and equals and VALUE.fullmatch(value) for label, equals, value in pairs):
        raise ValueError("write it as label=value, several with commas between them")
    return {label: value for label, _, value in pairs}


def tolerations(text: str) -> list[dict[str, str]]:
    """Taints that a pod tolerates, with the field names of Kubernetes.

    Args:
        text: `key:effect,key=value:effect` as in `kubectl taint`; without an effect every effect is tolerated; "" for
            no taints.

    Raises:
        ValueError: The text has another form.
    """
    found = []
    for part in text.split(",") if text else ():
        taint, _, effect = part.strip().partition(":")
        key, equals, value = taint.partition("=")
        if not KEY.fullmatch(key) or not VALUE.fullmatch(value) or effect not in EFFECTS:
            raise ValueError("write it as key:NoSchedule or key=value:NoSchedule, several with commas between them")
        given = {"key": key, "operator": "Equal" if equals else "Exists", "value": value, "effect": effect}
        found.append({name: field for name, field in given.items() if field})
    return found
