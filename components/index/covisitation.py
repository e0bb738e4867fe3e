"""Item-to-item neighbours from co-visitation.

Blends two cosine-normalised counts: items in the history of the same user, and items in the same session (or day). The
second count says more about items that belong together and less about the user. Old events decay. Linden et al.,
"Amazon.com Recommendations: Item-to-Item Collaborative Filtering", IEEE Internet Computing 2003.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict
from scipy import sparse

from components.index.tables import joined, strongest, without_diagonal
from components.replay.events import Events
from feature_repo.dataset.split import DAY
from feature_repo.features.state import IntArray
from feature_repo.progress import track
from inference.models.neighbours import Neighbours

BLOCK = 1_000  # items per block: bounds the dense part of the product


class CovisitationConfig(BaseModel):
    """Settings of the neighbours.

    Attributes:
        num_neighbours: Maximum number of neighbours per item.
        session_weight: Share of the session count in the blend, 0..1.
        half_life_days: Days in which an event loses half its weight.
        most_items: Latest distinct items of a user or session that count; longer lists come from resellers or robots.
        shrinkage: Added to the norms, so that a pair seen once does not become a strong neighbour.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_neighbours: int = 100
    session_weight: float = 0.5
    half_life_days: float = 20.0
    most_items: int = 300
    shrinkage: float = 5.0


def fit_neighbours(events: Events, num_items: int, as_of: float, config: CovisitationConfig) -> Neighbours:
    """Neighbours from positive events before a time.

    Args:
        events: All positive events.
        num_items: Size m of the row map.
        as_of: Unix seconds; later events are ignored, and weights decay with the age at this time.
        config: See `CovisitationConfig`.
    """
    used = events.times < as_of
    weights = np.exp2((events.times[used] - as_of) / (config.half_life_days * DAY))
    whole = _incidence(events.users[used], events.rows[used], weights, num_items, config)
    visits = _incidence(events.sessions[used], events.rows[used], weights, num_items, config)
    found = []
    for start in track(range(0, num_items, BLOCK), "co-visitation"):
        block = config.session_weight * _cosines(visits, start, config) + (1 - config.session_weight) * _cosines(
            whole, start, config
        )
        block = sparse.csr_matrix(block)
        block.sort_indices()
        found.append(strongest(block, without_diagonal(block, start), config.num_neighbours)[0])
    return Neighbours(*joined(found))


def _incidence(
    owners: npt.NDArray[np.integer],
    rows: IntArray,
    weights: npt.NDArray[np.float64],
    num_items: int,
    config: CovisitationConfig,
) -> sparse.csc_array:
    """Owners x items; a pair has the weight of its latest event, and pairs of long lists weigh less."""
    keys = owners.astype(np.int64) * num_items + rows
    distinct, place = np.unique(keys, return_inverse=True)
    latest = np.zeros(len(distinct))
    np.maximum.at(latest, place, weights)
    owner, row = np.divmod(distinct, num_items)
    order = np.lexsort((-latest, owner))
    owner, row, latest = owner[order], row[order], latest[order]
    starts = np.searchsorted(owner, owner)
    kept = np.arange(len(owner)) - starts < config.most_items
    owner, row, latest = owner[kept], row[kept], latest[kept]
    codes = np.unique(owner, return_inverse=True)[1]
    sizes = np.bincount(codes)
    # The product of two entries is the weight of an item pair, so an entry is the root of its damped weight.
    entries = np.sqrt(latest / np.log2(1.0 + np.maximum(sizes[codes], 1)))
    shape = (len(sizes), num_items)
    return sparse.csc_array((entries, (codes, row)), shape=shape)


def _cosines(incidence: sparse.csc_array, start: int, config: CovisitationConfig) -> sparse.csr_array:
    """Shrunk cosines between a block of items and all items [block, m]."""
    norms = np.sqrt(np.asarray(incidence.power(2).sum(axis=0)).ravel() + config.shrinkage)
    block = incidence[:, start : start + BLOCK]
    counts = sparse.csr_array(block.T @ incidence)
    scale = sparse.diags_array(1.0 / norms[start : start + BLOCK])
    return sparse.csr_array(scale @ counts @ sparse.diags_array(1.0 / norms))
