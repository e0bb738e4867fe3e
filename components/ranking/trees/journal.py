"""The journal of a study: its trials as lines of JSON, in a folder or a bucket, so that a killed training continues.

Optuna reads and writes the journal in a temporary folder. After every trial the file is copied to the folder that
`KUBEREC_CHECKPOINTS` names, and it is removed when the study has ended. A journal of other rows, settings or versions
is removed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from components.retrieval.config import CHECKPOINTS_VARIABLE
from feature_repo.errors import StorageError
from feature_repo.progress import say
from feature_repo.storage.folder import open_folder


@dataclass
class StudyJournal:
    """Keeps the trials of one study.

    Attributes:
        folder: Directory or URL; "" keeps nothing.
        name: Name of the study among those that share the folder.
    """

    folder: str
    name: str
    _local: Path | None = None
    _kept: str = ""

    @classmethod
    def of(cls, name: str) -> Self:
        """A journal in the folder that the environment names.

        Args:
            name: Name of the study; characters other than letters and digits become `-`.
        """
        plain = "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in name)
        return cls(os.environ.get(CHECKPOINTS_VARIABLE, ""), plain)

    @contextmanager
    def opened(self, key: str) -> Iterator[JournalStorage]:
        """The storage of a study, with the trials of the kept journal of the same key; removed if the block succeeds.

        Args:
            key: Hash of all that the trials depend on.

        Raises:
            StorageError: A bucket cannot be read.
        """
        self._kept = f"{self.name}/{key}.journal"
        with tempfile.TemporaryDirectory() as directory:
            self._local = Path(directory) / "trials.journal"
            content = open_folder(self.folder).read(self._kept) if self.folder else None
            if content is None:
                self._remove()
            self._local.write_bytes(content or b"")
            yield JournalStorage(JournalFileBackend(str(self._local)))
        self._remove()

    def save(self) -> None:
        """Copies the journal to the folder; a bucket that cannot be reached does not end the study."""
        if not self.folder or self._local is None:
            return
        try:
            open_folder(self.folder).write(self._kept, self._local.read_bytes())
        except StorageError as error:
            say(f"ranker: the trials are not kept, and the study continues: {error}")

    def _remove(self) -> None:
        if self.folder:
            open_folder(self.folder).remove(self.name, first=self._kept.partition("/")[2])
