"""Command-line options of a shifted world, shared by the commands that make and that replay one."""

from __future__ import annotations

import argparse
from typing import Any

from feature_repo.errors import SettingsError


def add_shift_options(parser: argparse.ArgumentParser) -> None:
    """Adds what may be shifted; from which day is the command's."""
    parser.add_argument("--price-factor", type=float, default=1.0, help="every price times this")
    parser.add_argument("--boost", action="append", default=[], metavar="CATEGORY=LOGITS", help="more interest in one")
    parser.add_argument("--mobile-share", type=float, help="share of sessions on a mobile")
    parser.add_argument("--sold-out", action="append", default=[], metavar="CATEGORY", help="nothing of it in stock")


def shift_of(options: argparse.Namespace) -> dict[str, Any]:
    """The fields of `config.Shift` that the options ask for, without its day; empty where they ask for none.

    Raises:
        SettingsError: A `--boost` is not of the form CATEGORY=LOGITS.
    """
    asked = {
        "price_factor": options.price_factor if options.price_factor != 1.0 else None,
        "category_boost": dict(_boost(text) for text in options.boost) or None,
        "mobile_share": options.mobile_share,
        "sold_out": tuple(options.sold_out) or None,
    }
    return {name: value for name, value in asked.items() if value is not None}


def _boost(text: str) -> tuple[str, float]:
    """Category and logits of one `--boost`."""
    name, _, logits = text.rpartition("=")
    try:
        return name, float(logits)
    except ValueError as error:
        raise SettingsError(f"--boost {text!r} is not of the form CATEGORY=LOGITS, such as 'Garden=1.5'") from error
