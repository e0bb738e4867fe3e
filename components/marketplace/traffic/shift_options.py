"""Command-line options of a shift, shared by the commands that simulate and that replay a marketplace."""

from __future__ import annotations

import argparse
from typing import Any

from feature_repo.errors import SettingsError


def add_shift_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of a shift; each command decides on which day it begins."""
    parser.add_argument("--price-factor", type=float, default=1.0, help="factor on every price")
    parser.add_argument("--boost", action="append", default=[], metavar="CATEGORY=LOGITS", help="more interest in it")
    parser.add_argument("--mobile-share", type=float, help="share of sessions on a mobile device")
    parser.add_argument("--sold-out", action="append", default=[], metavar="CATEGORY", help="no item of it in stock")


def shift_of(options: argparse.Namespace) -> dict[str, Any]:
    """The fields of `config.Shift` that the options set, without the day; empty if no option is set.

    Raises:
        SettingsError: A `--boost` does not have the form CATEGORY=LOGITS.
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
        raise SettingsError(
            f"The option --boost {text!r} is invalid: write CATEGORY=LOGITS, such as 'Garden=1.5'."
        ) from error
