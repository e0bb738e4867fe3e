"""The drawing of the error tree is the tree: every class stands in it, with its parent and its exit code."""

import importlib
import re
from collections import Counter

from feature_repo import errors
from feature_repo.errors import KuberecError, RequestError
from tests.kit.checkout import classes

LINE = re.compile(r"^(?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+) +(?P<code>\d+)  \S")
SHARED = 1  # the code of every failure that callers need not distinguish


def drawn() -> dict[str, tuple[str | None, int]]:
    """Parent and exit code of each class by name, as the docstring draws them."""
    found: dict[str, tuple[str | None, int]] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := LINE.match(line):
            depth = len(match["branch"]) // 4
            path = [*path[:depth], match["name"]]
            found[match["name"]] = (path[depth - 1] if depth else None, int(match["code"]))
    return found


def defined() -> dict[str, tuple[str | None, int]]:
    """The same of the classes in all packages: those that derive from an error of ours."""
    found: dict[str, tuple[str | None, int]] = {KuberecError.__name__: (None, KuberecError.exit_code)}
    known = set(drawn()) | {KuberecError.__name__}
    for module, node in classes():
        if any(getattr(base, "id", getattr(base, "attr", "")) in known for base in node.bases):
            error = getattr(importlib.import_module(module), node.name)
            assert issubclass(error, KuberecError)
            found[node.name] = (error.__bases__[0].__name__, error.exit_code)
    return found


def test_the_tree_is_drawn_as_it_is() -> None:
    assert drawn() == defined()


def test_exit_codes_are_unique_but_for_the_shared_one() -> None:
    counts = Counter(code for _, code in drawn().values())
    assert {code for code, num in counts.items() if num > 1} == {SHARED}
    assert all(0 < code < 256 for code in counts)


def test_all_errors_are_in_one_module_but_for_those_of_a_request() -> None:
    elsewhere = {name: parent for name, (parent, _) in defined().items() if not hasattr(errors, name)}
    assert set(elsewhere.values()) <= {RequestError.__name__}
