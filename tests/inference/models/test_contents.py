from __future__ import annotations

import numpy as np
import pyarrow as pa

from inference.models.contents import Contents


def test_contents_are_aligned_and_always_titled():
    table = pa.table({"item_id": ["b", "a", "x"], "title": ["B", None, "X"], "brand": ["Acme", "Other", None]})
    contents = Contents.from_table(table, np.array(["a", "b", "c"], dtype=object))
    assert contents.describe(0) == {"title": "a", "brand": "Other"}
    assert contents.describe(1) == {"title": "B", "brand": "Acme"}
    assert contents.describe(2) == {"title": "c"}
