"""The nearest-neighbour index over item embeddings: the choice of the FAISS structure, search, and recall.

Reads and writes the index file and its description (`index.faiss`, `index.json`). Ids in the index are item rows. FAISS
marks a missing result with row -1. Such rows never leave this module: a query with too few results is searched again
exhaustively. An index whose recall is below `IndexConfig.minimum_recall` of the exact search is rejected.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import faiss
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from feature_repo.errors import BundleError
from feature_repo.features.state import FloatArray, IntArray
from feature_repo.storage.files import atomic_write, read_json, write_json

IndexKind = Literal["flat", "hnsw", "ivf", "ivfpq"]
NUM_RECALLED = 500


class IndexConfig(BaseModel):
    """The catalogue sizes from which each kind of index is used, and the required recall.

    Attributes:
        hnsw_from, ivf_from, ivfpq_from: Smallest number of items for each kind; below `hnsw_from` the search is exact.
            A quantiser needs at least some hundred items for training.
        minimum_recall: Smallest share of the exact top 500 that the index must find.
        hnsw_links: Links per item in the HNSW graph.
        pq_bytes: Bytes of a product-quantised vector; rounded down to a divisor of the dimension.
        seed: Seed of the clustering.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hnsw_from: int = Field(default=50_000, ge=1)
    ivf_from: int = Field(default=500_000, ge=1)
    ivfpq_from: int = Field(default=5_000_000, ge=1_000)
    minimum_recall: float = Field(default=0.95, gt=0, le=1)
    hnsw_links: int = Field(default=32, ge=4)
    pq_bytes: int = Field(default=32, ge=1)
    seed: int = 0

    def kind(self, num_items: int) -> IndexKind:
        """Returns the kind for a catalogue of `num_items`."""
        if num_items < self.hnsw_from:
            return "flat"
        if num_items < self.ivf_from:
            return "hnsw"
        return "ivf" if num_items < self.ivfpq_from else "ivfpq"


class ItemIndex:
    """Inner-product search over item embeddings [m, d]; thread-safe.

    Attributes:
        kind: The FAISS structure in use.
        recall: Measured share of the exact top 500 at build time, None if it was not measured.
    """

    def __init__(self, index: Any, kind: IndexKind, recall: float | None = None) -> None:
        self._index = index
        self.kind: IndexKind = kind
        self.recall = recall

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def dimension(self) -> int:
        """Length d of a vector."""
        return int(self._index.d)

    @classmethod
    def build(
        cls, embeddings: FloatArray, config: IndexConfig | None = None, queries: FloatArray | None = None
    ) -> ItemIndex:
        """Builds the index for the catalogue's size, and widens its search until the recall is sufficient.

        Args:
            embeddings: Item embeddings [m, d]; row i is item row i.
            config: Sizes and limits.
            queries: User embeddings [s, d] for measuring recall; item embeddings are used if there are none.

        Raises:
            BundleError: If recall@500 is below `config.minimum_recall` even at the widest search.
        """
        config = config or IndexConfig()
        vectors = np.ascontiguousarray(embeddings, dtype=np.float32)
        if vectors.ndim != 2 or not len(vectors):
            raise BundleError(f"An index needs item embeddings [items, dimension] and received shape {vectors.shape}.")
        if not np.isfinite(vectors).all():
            raise BundleError("The item embeddings contain values that are not finite; train the towers again.")
        kind = config.kind(len(vectors))
        item_index = cls(_build(kind, vectors, config), kind)
        sample = _sample(queries if queries is not None and len(queries) else vectors, config.seed)
        target = min(1.0, config.minimum_recall + 0.02)
        for effort in _efforts(kind, item_index._index):
            item_index._set_effort(effort)
            item_index.recall = item_index.recall_at(NUM_RECALLED, sample, vectors)
            if item_index.recall >= target:
                break
        recall = item_index.recall or 0.0
        if recall < config.minimum_recall:
            raise BundleError(
                f"The {kind} index finds {recall:.3f} of the exact top {NUM_RECALLED}, "
                f"{config.minimum_recall} is required: raise hnsw_links or pq_bytes in its configuration."
            )
        return item_index

    def search(self, vectors: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
        """Returns the k best items of each query.

        Args:
            vectors: User embeddings [q, d].
            k: Number of items per query.

        Returns:
            Rows [q, k'] and inner products [q, k'], best first, k' = min(k, m). There is no padding: the rows of a
            query are distinct and never -1.
        """
        k = min(k, len(self))
        queries = np.ascontiguousarray(vectors, dtype=np.float32)
        scores, rows = self._index.search(queries, k)
        short = np.flatnonzero((rows < 0).any(axis=1))
        if len(short):
            scores[short], rows[short] = self._search_exhaustively(queries[short], k)
        return rows.astype(np.int32), scores

    def recall_at(self, k: int, sample: FloatArray, embeddings: FloatArray) -> float:
        """Returns the mean share of the exact top k that the index finds, without the exhaustive second search.

        Args:
            k: Length of the lists, at most the number of items.
            sample: Query vectors [s, d].
            embeddings: The exact item embeddings [m, d].
        """
        k = min(k, len(self))
        if self.kind == "flat":
            return 1.0
        queries = np.ascontiguousarray(sample, dtype=np.float32)
        _, found = self._index.search(queries, k)
        _, exact = faiss.knn(queries, embeddings, k, metric=faiss.METRIC_INNER_PRODUCT)
        hits = [len(np.intersect1d(a, b, assume_unique=True)) for a, b in zip(found, exact, strict=True)]
        return float(np.mean(hits)) / k

    def save(self, directory: Path) -> None:
        """Writes `index.faiss` and `index.json` into `directory`."""
        # FAISS ignores an error at closing a file, which leaves a truncated index on a full disk, so Python writes it.
        with atomic_write(directory / "index.faiss") as path:
            path.write_bytes(faiss.serialize_index(self._index).data)
        write_json(
            directory / "index.json",
            {
                "kind": self.kind,
                "num_items": len(self),
                "dimension": self.dimension,
                f"recall_at_{NUM_RECALLED}": self.recall,
            },
        )

    @classmethod
    def load(cls, directory: Path) -> ItemIndex:
        """Loads an index from `directory`.

        Raises:
            BundleError: If a file is missing or unreadable, or the files do not match.
        """
        description = read_json(directory / "index.json")
        try:
            index = faiss.read_index(str(directory / "index.faiss"))
        except RuntimeError as error:
            raise BundleError(f"The index {directory / 'index.faiss'} cannot be read: build it again.") from error
        if index.ntotal != description["num_items"]:
            raise BundleError(
                f"{directory / 'index.faiss'} holds {index.ntotal} items, index.json says {description['num_items']}."
            )
        return cls(index, description["kind"], description[f"recall_at_{NUM_RECALLED}"])

    def _set_effort(self, effort: int) -> None:
        """Sets the width of the search: candidates per step (HNSW) or lists probed (IVF)."""
        if self.kind == "hnsw":
            self._index.hnsw.efSearch = effort
        elif self.kind in ("ivf", "ivfpq"):
            faiss.extract_index_ivf(_base(self._index)).nprobe = effort

    def _search_exhaustively(self, queries: FloatArray, k: int) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        """Returns scores and rows of a search that visits every item; it always returns k rows, k <= m."""
        if self.kind == "ivf":
            every_list = faiss.SearchParametersIVF()
            every_list.nprobe = self._index.nlist
            scores, rows = self._index.search(queries, k, params=every_list)
        else:
            exact = self._index.storage if self.kind == "hnsw" else self._index.refine_index
            scores, rows = faiss.downcast_index(exact).search(queries, k)
        return scores, rows


def _base(index: Any) -> Any:
    """Returns the quantising index, without the exact re-scoring around it."""
    index = faiss.downcast_index(index)
    return faiss.downcast_index(index.base_index) if isinstance(index, faiss.IndexRefine) else index


def _build(kind: IndexKind, vectors: FloatArray, config: IndexConfig) -> Any:
    num_items, dimension = vectors.shape
    if kind == "flat":
        index: Any = faiss.IndexFlatIP(dimension)
    elif kind == "hnsw":
        index = faiss.IndexHNSWFlat(dimension, config.hnsw_links, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = 200
    else:
        num_lists = max(1, min(int(4 * math.sqrt(num_items)), num_items // 39))  # FAISS requires 39 vectors per list
        quantiser = faiss.IndexFlatIP(dimension)
        if kind == "ivf":
            inverted: Any = faiss.IndexIVFFlat(quantiser, dimension, num_lists, faiss.METRIC_INNER_PRODUCT)
            index = inverted
        else:
            num_bytes = max(size for size in range(1, config.pq_bytes + 1) if dimension % size == 0)
            bits = 8 if num_items >= 39 * 256 else 4
            inverted = faiss.IndexIVFPQ(quantiser, dimension, num_lists, num_bytes, bits, faiss.METRIC_INNER_PRODUCT)
            index = faiss.IndexRefineFlat(inverted)  # exact inner products for the best quantised results
            index.k_factor = 4.0
        inverted.cp.seed = config.seed
        index.train(_sample(vectors, config.seed, 64 * num_lists if kind == "ivf" else 256 * max(num_lists, 256)))
    index.add(vectors)
    return index


def _efforts(kind: IndexKind, index: Any) -> list[int]:
    """Returns the search widths to try, in ascending order."""
    if kind == "flat":
        return [0]
    if kind == "hnsw":
        return [512, 1024, 2048, 4096]
    num_lists = int(faiss.extract_index_ivf(_base(index)).nlist)
    widths = [8, 16, 32, 64, 128, 256, 512, 1024]
    return [width for width in widths if width < num_lists] + [num_lists]


def _sample(vectors: FloatArray, seed: int, size: int = 200) -> FloatArray:
    """Returns a reproducible sample of at most `size` vectors."""
    if len(vectors) <= size:
        return np.ascontiguousarray(vectors, dtype=np.float32)
    chosen = np.random.default_rng(seed).choice(len(vectors), size, replace=False)
    return np.ascontiguousarray(vectors[np.sort(chosen)], dtype=np.float32)
