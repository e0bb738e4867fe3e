"""`make evaluate`: compares the recommender with the baselines on a dataset, without a release.

python -m pipelines.evaluate --dataset DIR|URL [--protocol rolling|temporal|leave-one-out] [--recipe fast|best]
"""

from __future__ import annotations

import argparse
import signal

from components.ingest import dataset_fingerprint
from feature_repo.command import Command
from feature_repo.dataset.place import Place, absolute, dataset_place, load_config
from pipelines.definitions.evaluation import leave_one_out, rolling, temporal
from pipelines.definitions.parameters import TrainingParameters
from pipelines.local.run_folder import fresh_folder
from pipelines.local.runner import run_pipeline
from pipelines.settings import PipelineSettings

PROTOCOLS = {"temporal": temporal, "rolling": rolling, "leave-one-out": leave_one_out}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "--dataset", type=dataset_place, required=True, help="dataset directory or URL (tables and dataset.toml)"
    )
    parser.add_argument("--protocol", choices=tuple(PROTOCOLS), default="temporal", help="how test events are held out")
    parser.add_argument(
        "--recipe",
        choices=("fast", "best"),
        default="fast",
        help="effort of the search over settings of models and baselines",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of all random choices")


def work(options: argparse.Namespace) -> None:
    """Runs the evaluation with the parsed options."""
    settings = PipelineSettings.from_environment()
    seed = TrainingParameters.parse([f"seed={options.seed}"]).seed
    measure(options.dataset, options.protocol, options.recipe, seed, settings)


def measure(dataset: Place, protocol: str, recipe: str, seed: int, settings: PipelineSettings) -> None:
    """Evaluates on a dataset and writes build/evaluation.json and build/evaluation/.

    Args:
        dataset: Dataset directory or URL.
        protocol: temporal, rolling or leave-one-out.
        recipe: fast or best.
        seed: Seed of all random choices.
        settings: Settings of this process.

    Raises:
        RunFailed: A step failed; the message is the step's error sentence.
    """
    with fresh_folder(settings.build / "evaluation") as out:
        name = load_config(dataset).name
        arguments = {
            "dataset": absolute(dataset),
            "fingerprint": dataset_fingerprint(dataset),
            "recipe": recipe,
            "seed": seed,
            "report_dir": str(out),
        }
        run_pipeline(PROTOCOLS[protocol], arguments, settings, name=name, run_dir=out)
        (out / "metrics.json").replace(settings.build / "evaluation.json")
    print(f"Figures are in {settings.build / 'evaluation.json'}, lists and report in {out}.")


main = Command("pipelines.evaluate", __doc__, work, add_arguments, interrupts=(signal.SIGTERM,))


if __name__ == "__main__":
    main()
