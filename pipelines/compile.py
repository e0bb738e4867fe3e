"""`make compile`: compiles the pipelines to YAML that a person can upload to Kubeflow Pipelines.

python -m pipelines.compile [--out build/pipelines]

The settings `KUBEREC_IMAGES` and `KUBEREC_KFP_*` decide images, credentials and pods of the steps.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from feature_repo.command import Command
from pipelines.cluster.pods import compile_pipeline
from pipelines.definitions.drift import drift
from pipelines.definitions.evaluation import leave_one_out, rolling, temporal
from pipelines.definitions.refresh import refresh
from pipelines.definitions.training import training
from pipelines.settings import ClusterSettings

PIPELINES = {
    "training": training,
    "refresh": refresh,
    "drift": drift,
    "evaluation": temporal,
    "evaluation-rolling": rolling,
    "evaluation-leave-one-out": leave_one_out,
}


def compile_all(out_dir: Path, settings: ClusterSettings) -> list[Path]:
    """Writes every pipeline to a YAML file and returns the paths."""
    out_dir.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, pipeline in PIPELINES.items():
        path = out_dir / f"{name}.yaml"
        compile_pipeline(pipeline, path, settings)
        paths.append(path)
    return paths


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("--out", type=Path, default=Path("build/pipelines"), help="folder of the YAML files")


def work(options: argparse.Namespace) -> None:
    """Writes the files and prints their paths."""
    for path in compile_all(options.out, ClusterSettings.from_environment()):
        print(path)


main = Command("pipelines.compile", __doc__, work, add_arguments)


if __name__ == "__main__":
    main()
