"""The checkout: its root, its packages, and their classes, read from the sources without importing them."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("feature_repo", "inference", "components", "pipelines", "monitoring")


def classes() -> Iterator[tuple[str, ast.ClassDef]]:
    """Module and definition of each class, nested ones too."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    yield module, node
