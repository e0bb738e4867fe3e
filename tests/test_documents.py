"""What the documents name exists: links, paths, modules and make targets; a folder's page stays short."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.checkout import PACKAGES, ROOT

FOLDER_PAGES = tuple(ROOT / folder / "README.md" for folder in (*PACKAGES, "manifests", "tests"))
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *FOLDER_PAGES)
MAX_LINES = 40

LINK = re.compile(r"\]\(([^)\s]+)\)")
CLICK = re.compile(r'\bclick \w+ href "([^"]+)"')  # boxes of a Mermaid diagram
SPAN = re.compile(r"`([^`\n]+)`")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
MODULE = re.compile(r"python -m ([\w.]+)")
TARGET = re.compile(r"\bmake ([a-z-]+)")
PATH = re.compile(r"[\w.<>*-]+(?:/[\w.<>*-]*)+|[\w-]+\.(?:py|yml|md)")
# What commands write, what an owner has, and folders within those.
NOT_IN_THE_TREE = re.compile(r"build/|path/to/|history/|s3://|report\.md$")
# A path of the tree within a command, up to the characters that end it there.
TREE_PATH = re.compile(rf"(?<![\w./$-])(?:{'|'.join((*PACKAGES, 'manifests', 'tests'))})/[\w./*<>-]+")


def exists(path: str, page: Path) -> bool:
    """Whether a path exists below the page's folder or the root; `<name>` and `*` stand for any name."""
    concrete = re.sub(r"<[\w-]+>", "*", path.rstrip("/")).strip("/")
    # A file that somebody is to add cannot be found: its folder can.
    is_new = "<" in path.rsplit("/", 1)[-1]
    pattern = concrete.rpartition("/")[0] if is_new else concrete
    return any(True for folder in (page.parent, ROOT) for _ in folder.glob(pattern))


def text_and_code(page: Path) -> tuple[str, str]:
    """A page without its code blocks, and the code blocks without Mermaid's and sketches of a diff."""
    text = page.read_text(encoding="utf-8")
    code = "\n".join(body for language, body in BLOCK.findall(text) if language not in ("diff", "mermaid"))
    return BLOCK.sub("", text), code


def named_paths(page: Path) -> Iterator[str]:
    """Paths in code spans and in commands."""
    text, code = text_and_code(page)
    for span in SPAN.findall(text):
        if PATH.fullmatch(span) and not NOT_IN_THE_TREE.match(span):
            yield span
        else:
            yield from TREE_PATH.findall(span)
    yield from TREE_PATH.findall(code)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [target for target in (*LINK.findall(text), *CLICK.findall(text)) if "://" not in target]
    assert [link for link in links if not (page.parent / link.partition("#")[0]).exists()] == []
    assert [path for path in named_paths(page) if not exists(path, page)] == []
    modules = [ROOT / module.replace(".", "/") for module in MODULE.findall(text)]
    assert [at for at in modules if not (at.with_suffix(".py").is_file() or (at / "__main__.py").is_file())] == []
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    prose, code = text_and_code(page)
    commands = "\n".join((*SPAN.findall(prose), code))
    assert set(TARGET.findall(commands)) <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_to_a_heading_find_it(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if anchor and "://" not in target:
            headings = re.findall(r"^#+ (.*)$", (page.parent / path).read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}, target


@pytest.mark.parametrize("page", FOLDER_PAGES, ids=lambda page: page.parent.name)
def test_the_page_of_a_folder_is_short(page: Path) -> None:
    assert len(page.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_every_box_of_the_data_flow_links_to_a_folder() -> None:
    (diagram,) = (body for language, body in BLOCK.findall((ROOT / "README.md").read_text()) if language == "mermaid")
    boxes = set(re.findall(r"(\w+)[\[(]+\"<b>", diagram))
    linked = dict(re.findall(r'click (\w+) href "([^"]+)"', diagram))
    assert set(linked) == boxes
    assert all((ROOT / target).is_dir() for target in linked.values())


def test_a_name_that_is_gone_is_found(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text('`inference/gone.py`, `make test ARGS="tests/gone -k x"`\n\n```\nls manifests/gone/*.env\n```\n')
    assert list(named_paths(page)) == ["inference/gone.py", "tests/gone", "manifests/gone/*.env"]
    assert not any(exists(path, page) for path in named_paths(page))
    assert exists("inference/sources/<name>.py", page)
    assert not exists("inference/gone/<name>.py", page)
