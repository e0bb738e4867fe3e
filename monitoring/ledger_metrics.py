"""The ledger as Prometheus reads it: when each outcome was last seen, and whether the latest retraining was in vain."""

from __future__ import annotations

import json

from monitoring.ledger import Ledger, Outcome

ENDED: tuple[Outcome, ...] = ("released", "refused", "failed")
LAST, REFUSED = "recs_retraining_last_timestamp_seconds", "recs_retraining_refused"


def ledger_metrics(dataset: str, ledger: Ledger, served: str) -> str:
    """Gauges in the text format.

    A retraining that was refused is told for as long as the bundle is served that it was to replace: a daily training
    or one that a person started ends that too, and stands in no ledger.

    Args:
        dataset: Its name; a label, as one node's collector may read the files of several.
        ledger: As it stands.
        served: Version of the bundle that was served when drift was measured.
    """
    named = f"dataset={json.dumps(dataset)}"
    ended = [one for one in ledger.retrainings if one.outcome != "running"]
    in_vain = bool(ended) and ended[-1].outcome != "released" and ended[-1].bundle == served
    lines = [f"# HELP {LAST} When a retraining last ended so.", f"# TYPE {LAST} gauge"]
    for outcome in ENDED:
        latest = ledger.last_of(outcome)
        if latest is not None and latest.finished_at is not None:
            lines.append(f'{LAST}{{{named},outcome="{outcome}"}} {latest.finished_at:.3f}')
    lines += [
        f"# HELP {REFUSED} 1 while a bundle is served whose retraining was refused or failed.",
        f"# TYPE {REFUSED} gauge",
        f"{REFUSED}{{{named}}} {int(in_vain)}",
    ]
    return "\n".join(lines) + "\n"
