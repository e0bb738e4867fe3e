"""Rules of the tree that no linter knows."""

from collections import defaultdict

from tests.packages import classes


def test_no_two_public_classes_share_a_name() -> None:
    places = defaultdict(list)
    for module, node in classes():
        if not node.name.startswith("_"):
            places[node.name].append(module)
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}
