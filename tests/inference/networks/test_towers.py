"""The towers: unit vectors, padding that does not matter, missing values, unknown ids and codes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inference.networks.layers import Standardise
from inference.networks.towers import ItemTower, TowersConfig, UserTower

CONFIG = TowersConfig(
    num_item_ids=9,
    item_categorical=(4, 3),
    num_item_numeric=5,
    num_words=50,
    user_categorical=(3,),
    num_user_numeric=2,
    request_categorical=(4, 2),
    num_request_numeric=4,
    num_grades=2,
    dimension=16,
    hidden=8,
)


def user_inputs(num_users: int = 3, num_events: int = 4) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    return [
        torch.randn(num_users, num_events, 16, generator=random),
        torch.rand(num_users, num_events, generator=random) * 10,
        torch.randint(1, 3, (num_users, num_events), generator=random),
        torch.randint(3, (num_users, 1), generator=random),
        torch.randn(num_users, 2, generator=random),
        torch.randn(num_users, 4, generator=random),
        torch.randint(2, (num_users, 2), generator=random),
    ]


@pytest.fixture
def users() -> UserTower:
    torch.manual_seed(1)
    tower = UserTower(CONFIG).eval()
    for parameter in tower.parameters():  # what starts at zero would hide its inputs
        torch.nn.init.normal_(parameter, std=0.3)
    return tower


@pytest.fixture
def items() -> ItemTower:
    torch.manual_seed(1)
    return ItemTower(CONFIG).eval()


@torch.no_grad()
def test_users_are_unit_vectors_whatever_is_missing(users: UserTower) -> None:
    inputs = user_inputs()
    inputs[2][1] = 0  # no history
    inputs[4][2] = torch.nan
    vectors = users(*inputs)
    assert vectors.shape == (3, 16)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))


@torch.no_grad()
def test_padding_does_not_matter(users: UserTower) -> None:
    inputs = user_inputs()
    padded = [
        torch.cat([inputs[0], 9 * torch.ones(3, 2, 16)], dim=1),
        torch.cat([inputs[1], 7 * torch.ones(3, 2)], dim=1),
        torch.cat([inputs[2], torch.zeros(3, 2, dtype=torch.int64)], dim=1),
        *inputs[3:],
    ]
    torch.testing.assert_close(users(*padded), users(*inputs))


@torch.no_grad()
def test_every_input_of_a_user_is_read(users: UserTower) -> None:
    before = users(*user_inputs())
    for place in range(7):
        inputs = user_inputs()
        changed = {2: 3 - inputs[place], 3: (inputs[place] + 1) % 3, 6: 1 - inputs[place]}
        inputs[place] = changed.get(place, inputs[place] + 1)
        assert (users(*inputs) - before).abs().max() > 1e-4, place


@torch.no_grad()
def test_a_state_reads_nothing_later(users: UserTower) -> None:
    history, ages, grades = user_inputs(num_events=6)[:3]
    states = users.history(history, ages, grades)
    for known in range(7):
        changed = history.clone()
        changed[:, known:] += 1.0
        again = users.history(changed, ages, grades)
        torch.testing.assert_close(again[:, : known + 1], states[:, : known + 1])
        if known < 6:
            assert (again[:, known + 1 :] - states[:, known + 1 :]).abs().max() > 1e-3


@torch.no_grad()
def test_the_order_of_events_matters_and_the_clock_of_ages_does_not(users: UserTower) -> None:
    inputs = user_inputs(num_events=6)
    inputs[1] = inputs[1].sort(dim=1, descending=True).values
    states = users.history(*inputs[:3])
    torch.testing.assert_close(users.history(inputs[0], inputs[1] + 5.0, inputs[2]), states, atol=1e-4, rtol=0)
    turned = users.history(inputs[0].flip(1), inputs[1], inputs[2].flip(1))
    assert (turned[:, -1] - states[:, -1]).abs().max() > 1e-2


@torch.no_grad()
def test_items_are_unit_vectors_and_unknown_content_adds_nothing(items: ItemTower) -> None:
    ids = torch.tensor([1, 0, 0])
    codes = torch.tensor([[1, 2], [0, 0], [3, 2]])
    numeric = torch.full((3, 5), torch.nan)
    words = torch.tensor([[4, 0], [0, 0], [0, 0]])
    vectors = items(ids, codes, numeric, words)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(vectors[1], vectors[2])  # codes without training start at zero


def test_standardise_does_not_overflow_at_the_bounds_of_numbers() -> None:
    values = torch.tensor([[1e38], [-1e38], [1e38], [0.0], [torch.nan]])
    standardise = Standardise(1)
    standardise.fit(values)
    assert torch.isfinite(standardise.std).all()
    assert standardise(values).squeeze(1).tolist() == pytest.approx([0.905, -1.508, 0.905, -0.302, 0.0], abs=1e-3)


def test_standardise_ignores_what_is_missing_or_constant() -> None:
    values = torch.tensor([[1.0, 5.0, torch.nan], [3.0, 5.0, torch.nan], [torch.nan, 5.0, torch.nan]])
    standardise = Standardise(3)
    standardise.fit(values)
    scaled = standardise(values)
    np.testing.assert_allclose(scaled[:, 0].numpy(), [-1.0, 1.0, 0.0], atol=1e-6)
    assert (scaled[:, 1:] == 0).all()
    standardise.fit(torch.zeros(0, 3))  # nobody has a profile
    assert torch.isfinite(standardise(values)).all()
