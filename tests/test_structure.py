"""Rules of the tree that no linter knows."""

import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.kit.checkout import PACKAGES, ROOT, classes

MOST_FILES = 14
MOST_LINES = 300
# Folders of tests that belong to no package: offline against online, whole processes, and the rendered manifests.
WITHOUT_PACKAGE = ("parity", "e2e", "manifests")
# Tests of all modules of their folder together.
OF_A_FOLDER = ("monitoring/test_live.py",)


def _files() -> list[Path]:
    """Files of the checkout that git does not ignore, relative to its root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [Path(name) for name in sorted(set(listed)) if (ROOT / name).is_file()]


def _tests_of_packages() -> Iterator[Path]:
    """Test modules in folders, relative to `tests/`; those on top test the checkout."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        place = path.relative_to(ROOT / "tests")
        if place.parent != Path() and place.parts[0] not in WITHOUT_PACKAGE:
            yield place


def _names(folder: Path) -> set[str]:
    """Modules and folders of a folder; `__main__` is `main`."""
    return {path.stem.strip("_") for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}


def test_no_two_public_classes_share_a_name() -> None:
    places = defaultdict(list)
    for module, node in classes():
        if not node.name.startswith("_"):
            places[node.name].append(module)
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}


def test_every_test_lies_in_the_folder_of_what_it_tests() -> None:
    places = list(_tests_of_packages())
    assert len(places) > 100
    assert [str(each) for each in places if each.parts[0] not in PACKAGES or not (ROOT / each.parent).is_dir()] == []


def test_every_test_carries_the_name_of_what_it_tests() -> None:
    """The name of a module or package of that folder, and a suffix where it is one of several tests of it."""
    strays = []
    for place in _tests_of_packages():
        name = place.stem.removeprefix("test_")
        if not any(name == each or name.startswith(f"{each}_") for each in _names(ROOT / place.parent)):
            strays.append(place.as_posix())
    assert strays == list(OF_A_FOLDER)


def test_no_folder_holds_too_many_files() -> None:
    counts = Counter(path.parent.as_posix() for path in _files() if path.parts[0] != "tests")
    assert counts["inference/flow"] > 0
    assert {folder: number for folder, number in counts.items() if number > MOST_FILES} == {}


def test_no_module_is_too_long() -> None:
    modules = [path for path in _files() if path.suffix == ".py" and path.parts[0] != "tests"]
    lengths = {path.as_posix(): len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in modules}
    assert len(lengths) > 100
    assert {name: number for name, number in lengths.items() if number > MOST_LINES} == {}
