"""Dropout with a given generator: its share, its mean, and what it leaves alone."""

from __future__ import annotations

import pytest
import torch

from inference.networks.layers import dropped


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_share_is_dropped_and_the_mean_is_kept(share: float) -> None:
    found = dropped(torch.ones(1001, 301), share, torch.Generator().manual_seed(0))
    assert float((found == 0).float().mean()) == pytest.approx(share, abs=0.003)
    assert float(found.max()) == pytest.approx(1 / (1 - share))
    assert float(found.mean()) == pytest.approx(1.0, rel=0.02)
    pairs = (found[:, 1:] == 0) & (found[:, :-1] == 0)
    assert float(pairs.float().mean()) == pytest.approx(
        share * share, abs=0.005
    )  # neighbours share a word of random bits


def test_a_generator_gives_one_mask_and_none_drops_nothing() -> None:
    x = torch.randn(7, 5)
    assert dropped(x, 0.5, None) is x
    assert dropped(x, 0.0, torch.Generator()) is x
    masks = [dropped(x, 0.5, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])
