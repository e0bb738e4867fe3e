"""`make evaluate`: the recommender beside the baselines on a dataset, without releasing anything.

python -m pipelines.evaluate --dataset DIR [--protocol temporal|leave-one-out] [--recipe fast|best]
"""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

from components.ingest import dataset_fingerprint
from feature_repo.dataset.config import DatasetConfig
from feature_repo.errors import exit_with_sentence
from pipelines.definitions.evaluation import leave_one_out, temporal
from pipelines.local.run_folder import fresh_folder
from pipelines.local.runner import run_pipeline
from pipelines.settings import PipelineSettings

PROTOCOLS = {"temporal": temporal, "leave-one-out": leave_one_out}


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `make evaluate`."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.evaluate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", type=Path, required=True, help="dataset directory (tables and dataset.toml)")
    parser.add_argument("--protocol", choices=tuple(PROTOCOLS), default="temporal")
    parser.add_argument(
        "--recipe", choices=("fast", "best"), default="fast", help="how long models and baselines are searched"
    )
    parser.add_argument("--seed", type=int, default=0, help="of every random choice")
    options = parser.parse_args(arguments)
    # A terminated run ends its steps and servers like an interrupted one.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with exit_with_sentence():
        settings = PipelineSettings.from_environment()
        measure(options.dataset, options.protocol, options.recipe, options.seed, settings)


def measure(dataset: Path, protocol: str, recipe: str, seed: int, settings: PipelineSettings) -> None:
    """Measure on a dataset and write build/evaluation.json and build/evaluation/.

    Args:
        dataset: Dataset directory.
        protocol: temporal or leave-one-out.
        recipe: fast or best.
        seed: Of every random choice.
        settings: Of this process.

    Raises:
        RunFailed: A step ended the run; the message is its own sentence.
    """
    with fresh_folder(settings.build_dir / "evaluation") as out:
        name = DatasetConfig.load(dataset).name
        arguments = {
            "dataset": str(dataset.resolve()),
            "fingerprint": dataset_fingerprint(dataset),
            "recipe": recipe,
            "seed": seed,
            "report_dir": str(out),
        }
        run_pipeline(PROTOCOLS[protocol], arguments, settings, name=name, run_dir=out)
        (out / "metrics.json").replace(settings.build_dir / "evaluation.json")
    print(f"figures are in {settings.build_dir / 'evaluation.json'}, lists and report in {out}")


if __name__ == "__main__":
    main()
