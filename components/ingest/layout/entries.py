"""Rules about a single entry of a dataset directory: hidden, a note, a link, similar to a table, of another format.

`listing.py` walks the folders and refuses what these rules find.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path, PurePath

SUFFIX = ".parquet"
PARQUET_SUFFIXES = (SUFFIX, ".parq", ".pq")
MAGIC = b"PAR1"
ENCRYPTED_MAGIC = b"PARE"
LINK_BYTES = 1024  # a longer file is not a link written as text
# Files next to the parts of a table that never hold rows.
NOTE_SUFFIXES = (
    *(".md", ".rst", ".html", ".pdf", ".png", ".svg", ".log", ".crc", ".md5", ".sha1", ".sha256", ".sha512"),
    *(".toml", ".yaml", ".yml", ".py", ".sql", ".ipynb", ".sh"),
)
NOTE_NAMES = ("readme", "license", "licence", "notice", "changelog", "md5sums", "sha256sums", "desktop", "thumbs")
# Hidden names of files and folders of other programs, whose Parquet files are unfinished, old, or not data.
BOOKKEEPING = (
    "._", "_temporary", "_metadata", "_common_metadata", "_impala_insert_staging", ".impala_insert_staging",
    ".hive-staging", ".spark-staging", ".ipynb_checkpoints", ".snapshot", ".Trash",
)  # fmt: skip
LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def is_hidden(name: str) -> bool:
    """Whether readers of Parquet folders skip a name; a hive folder such as `_year=2024` is data, as in Spark."""
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def is_bookkeeping(name: str) -> bool:
    """Whether a hidden name is known to hold no rows of the table."""
    return name.startswith(BOOKKEEPING)


def is_note(name: str, names: Collection[str]) -> bool:
    """Whether a file is documentation, a checksum, or a DVC pointer to a file that is there.

    Args:
        name: Name of the file.
        names: All names in its folder.
    """
    path = PurePath(name.lower())
    if path.suffix == ".dvc":
        return name[: -len(path.suffix)] in names
    return path.suffix in NOTE_SUFFIXES or path.stem in NOTE_NAMES


def is_lookalike(name: str, table: str) -> bool:
    """Whether a name is likely meant as a table: `Items`, `item.parquet`, `items.csv`, `items (1).parquet`."""
    if is_hidden(name) and not name.lower().endswith(PARQUET_SUFFIXES):
        return False  # such as the temporary file of an atomic write
    number = r"[\s_-]*(\(?\d[\d\s_-]*(of[\s_-]*\d+)?\)?|copy)?"
    pattern = rf"[\s._-]*{table[:-1]}s?{number}\s*(\..*)?"
    return name not in (table, table + SUFFIX) and re.fullmatch(pattern, name, re.IGNORECASE) is not None


def first_bytes(file: Path, number: int = LINK_BYTES) -> bytes:
    """The first bytes of a file."""
    with file.open("rb") as handle:
        return handle.read(number)


def begins_as_parquet(file: Path) -> bool:
    """Whether a file has the first bytes of Parquet."""
    return first_bytes(file, len(MAGIC)) in (MAGIC, ENCRYPTED_MAGIC)


def written_link(file: Path) -> Path | None:
    """The target of a link that a copy has turned into a file of text, as git does without symbolic links.

    Args:
        file: A file of at most `LINK_BYTES`.

    Returns:
        The path in the file if it exists, or begins as a path; None for any other content.
    """
    try:
        text = first_bytes(file).decode()
    except UnicodeDecodeError:
        return None
    if not text or not text.isprintable():
        return None
    target = file.parent / text
    return target if text.startswith(("/", "./", "../")) or os.path.lexists(target) else None


def format_in_words(file: Path) -> str:
    """What a file is instead of Parquet, for an error sentence."""
    if first_bytes(file).startswith(LFS_POINTER):
        return "a pointer of Git LFS, not the file itself (git lfs pull fetches it)"
    if file.suffix.lower() == ".dvc":
        return "a pointer of DVC, not the file itself (dvc pull fetches it)"
    return "not a complete Parquet file"
