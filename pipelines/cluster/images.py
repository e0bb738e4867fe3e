"""Names of our images: the setting KUBEREC_IMAGES, with the version of the code as the tag.

python -m pipelines.cluster.images

Prints the setting with its tag filled in. `.ci/images` builds the images with it and `.ci/render` writes it into the
manifests; pods of steps get it from `pods.py`. A pod has no checkout, so its setting must already contain the tag.
"""

from __future__ import annotations

import argparse
import hashlib
import tomllib
from pathlib import Path

from feature_repo.command import Command
from feature_repo.errors import SettingsError
from pipelines.local.runner import ROOT, code_version
from pipelines.settings import ClusterSettings

# What decides the packages of an image; the sources are covered by `code_version`.
PACKAGE_LISTS = ("pyproject.toml", "constraints.txt", "components/validation/requirements.txt")
FOLDER = "manifests/images"


def image_names(template: str) -> str:
    """The setting with its tag filled in.

    Args:
        template: `KUBEREC_IMAGES`; `{tag}` stands for the version of the project and twelve digits of a hash of
            sources, package lists and image definitions.

    Raises:
        SettingsError: The tag is left out and this process runs in an image, without a checkout.
    """
    return template.replace("{tag}", _tag(ROOT, template)) if "{tag}" in template else template


def _tag(root: Path, template: str) -> str:
    files = [root / name for name in PACKAGE_LISTS] + sorted((root / FOLDER).glob("*.Dockerfile"))
    if not all(path.is_file() for path in files):
        raise SettingsError(
            f"KUBEREC_IMAGES is {template!r}, and only a checkout knows the tag: write the tag instead of "
            "{tag}, as `make render` does."
        )
    digest = hashlib.sha256(code_version().encode())
    for path in files:
        digest.update(path.read_bytes())
    project = tomllib.loads((root / PACKAGE_LISTS[0]).read_text(encoding="utf-8"))["project"]
    return f"{project['version']}-{digest.hexdigest()[:12]}"


def work(_options: argparse.Namespace) -> None:
    """Prints the names."""
    print(image_names(ClusterSettings.from_environment().images.images))


main = Command("pipelines.cluster.images", __doc__, work)


if __name__ == "__main__":
    main()
