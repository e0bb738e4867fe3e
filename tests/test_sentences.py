"""Every error sentence begins like a sentence and ends with a full stop."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

import pytest

from tests.kit.checkout import PACKAGES, ROOT, classes

ERRORS = ROOT / "feature_repo" / "errors.py"
BEGINNING = re.compile(r"[A-Z0-9\"'`]")


def classes_of_the_tree() -> set[str]:
    """Names of all classes below `KuberecError`, wherever they are defined."""
    bases = {node.name: {ast.unparse(base).rpartition(".")[2] for base in node.bases} for _, node in classes()}
    tree = {"KuberecError"}
    while grown := {name for name, above in bases.items() if above & tree} - tree:
        tree |= grown
    return tree


TREE = classes_of_the_tree()


def faults(source: str) -> Iterator[tuple[int, str]]:
    """Line and fault of each sentence of a module that is neither begun nor ended like a sentence."""
    yield from _faults(ast.parse(source), {})


def _faults(node: ast.AST, caught: Mapping[str, set[str]]) -> Iterator[tuple[int, str]]:
    """`caught` maps the name of a caught error to the classes that its handlers name."""
    if isinstance(node, ast.ExceptHandler) and node.name and node.type:
        classes = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        caught = {**caught, node.name: {ast.unparse(each) for each in classes}}
    if isinstance(node, ast.Call) and node.args and ast.unparse(node.func).rpartition(".")[2] in TREE:
        parts = _parts(node.args[0])
        if parts and not _begins(parts[0]):
            yield node.lineno, "begins without a capital letter"
        if parts and not _ends(parts[-1], caught):
            yield node.lineno, "ends without a full stop"
    for child in ast.iter_child_nodes(node):
        yield from _faults(child, caught)


def _parts(text: ast.expr) -> list[ast.expr]:
    """Literals and placeholders of a text in order; empty where the text is not written here."""
    if isinstance(text, ast.JoinedStr):
        return text.values
    return [text] if isinstance(text, ast.Constant) and isinstance(text.value, str) else []


def _begins(part: ast.expr) -> bool:
    return not isinstance(part, ast.Constant) or BEGINNING.match(str(part.value)) is not None


def _ends(part: ast.expr, caught: Mapping[str, set[str]]) -> bool:
    """A placeholder ends a sentence only if it holds the sentence of another error of the tree."""
    if isinstance(part, ast.Constant):
        return str(part.value).endswith(".")
    value = part.value if isinstance(part, ast.FormattedValue) else part
    return isinstance(value, ast.Name) and bool(caught.get(value.id)) and caught[value.id] <= TREE


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('raise BundleError("The bundle is damaged: train again.")', []),
        ('raise BundleError(f"{path} is damaged: train again.")', []),
        ("raise BundleError(\"'v1' is not a bundle version.\")", []),
        ('refused.set_exception(errors.StorageError("The disk is full"))', ["ends without a full stop"]),
        ('raise InvalidFields("the field is missing.")', ["begins without a capital letter"]),
        ('raise LeaseLost(f"the lease of {name}")', ["begins without a capital letter", "ends without a full stop"]),
        ("raise RunFailed(str(error))", []),
        ('raise ValueError("not an error of the tree")', []),
        ("try: work()\nexcept StorageError as error: raise BundleError(f'It failed: {error}') from error", []),
        (
            "try: work()\nexcept (OSError, StorageError) as error: raise BundleError(f'It failed: {error}') from error",
            ["ends without a full stop"],
        ),
        ('raise BundleError(f"It failed: {reason}")', ["ends without a full stop"]),
    ],
)
def test_faults_of_a_sentence_are_found(text: str, found: list[str]) -> None:
    assert [fault for _, fault in faults(text)] == found


def test_the_tree_holds_the_errors_of_every_package() -> None:
    assert {"KuberecError", "DatasetError", "RequestError", "InvalidFields"} <= TREE
    assert len(TREE) >= len(re.findall(r"^class ", ERRORS.read_text(encoding="utf-8"), re.MULTILINE))


def test_every_error_sentence_begins_with_a_capital_letter_and_ends_with_a_full_stop() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} {fault}"
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        for line, fault in faults(path.read_text(encoding="utf-8"))
    ]
    assert not found
