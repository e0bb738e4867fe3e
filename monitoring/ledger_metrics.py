"""Prometheus metrics of the ledger: the last time of each outcome, and whether the latest retraining was refused."""

from __future__ import annotations

import json

from monitoring.ledger import Ledger, Outcome

ENDED: tuple[Outcome, ...] = ("released", "refused", "failed")
LAST, REFUSED = "recs_retraining_last_timestamp_seconds", "recs_retraining_refused"


def ledger_metrics(dataset: str, ledger: Ledger, served: str) -> str:
    """Gauges in the text format.

    `recs_retraining_refused` stays 1 until another bundle is served. Any training can release that bundle, also a daily
    one or one started by a person, which the ledger does not list.

    Args:
        dataset: Name of the dataset, a label of every gauge: one collector may read the files of several datasets.
        ledger: The current ledger.
        served: Version of the bundle that was served when drift was measured.
    """
    named = f"dataset={json.dumps(dataset)}"
    ended = [one for one in ledger.retrainings if one.outcome != "running"]
    refused = bool(ended) and ended[-1].outcome != "released" and ended[-1].bundle == served
    lines = [f"# HELP {LAST} When a retraining last ended with this outcome, unix seconds.", f"# TYPE {LAST} gauge"]
    for outcome in ENDED:
        latest = ledger.last_of(outcome)
        if latest is not None and latest.finished_at is not None:
            lines.append(f'{LAST}{{{named},outcome="{outcome}"}} {latest.finished_at:.3f}')
    lines += [
        f"# HELP {REFUSED} 1 while the served bundle's retraining was refused or failed, else 0.",
        f"# TYPE {REFUSED} gauge",
        f"{REFUSED}{{{named}}} {int(refused)}",
    ]
    return "\n".join(lines) + "\n"
