"""Image definitions, read as far as the tests ask: no docker is needed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from tests.kit.checkout import ROOT

IMAGES = ROOT / "manifests" / "images"


@dataclass(frozen=True)
class Image:
    """One definition.

    Attributes:
        name: serving, predictor, pipeline or validation.
        instructions: Name and rest of each, in order; continued lines are one.
    """

    name: str
    instructions: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, path: Path) -> Image:
        """Reads a definition."""
        lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
        joined = "\n".join(lines).replace("\\\n", " ")
        found = [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]
        return cls(path.name.removesuffix(".Dockerfile"), tuple((one, " ".join(rest.split())) for one, rest in found))

    def all(self, instruction: str) -> list[str]:
        """The arguments of every instruction of a name."""
        return [rest for name, rest in self.instructions if name == instruction]

    @property
    def sources(self) -> list[str]:
        """What it copies out of the checkout."""
        return [name for rest in self.all("COPY") if not rest.startswith("--from=") for name in rest.split()[:-1]]

    @property
    def packages(self) -> list[str]:
        """The sources that are our packages, as they lie in the image."""
        return [name for name in self.sources if (ROOT / name / "__init__.py").is_file()]

    @property
    def extras(self) -> list[str]:
        """Extras of pyproject.toml that it installs."""
        return [name for rest in self.all("RUN") for name in re.findall(r"--extra (\S+)", rest)]

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the finished image."""
        return dict(pair.split("=", 1) for pair in self.all("ENV")[-1].split())

    @property
    def command(self) -> list[str]:
        """What it runs unless told otherwise."""
        (found,) = self.all("ENTRYPOINT") or self.all("CMD")
        return [str(word) for word in json.loads(found)]


def images() -> dict[str, Image]:
    """Every definition by its name."""
    return {image.name: image for image in map(Image.read, sorted(IMAGES.glob("*.Dockerfile")))}
