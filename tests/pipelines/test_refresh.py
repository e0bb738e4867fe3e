"""What ends a refresh early, in a sentence; what is served keeps the features it has."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from feature_repo.errors import BundleError, RunFailed
from inference.bundles.store import BundleStore
from inference.feature_store import OnlineFeatures, StoreSettings
from pipelines.refresh import main, run_refresh
from pipelines.settings import PipelineSettings
from tests.kit import released_shop


def test_nothing_is_refreshed_before_the_first_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    released_shop.write_dataset(tmp_path / "dataset")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBEREC_BUILD", str(tmp_path / "build"))
        patch.setenv("KUBEREC_VALIDATION_PYTHON", sys.executable)
        with pytest.raises(SystemExit) as caught:
            main(["--dataset", str(tmp_path / "dataset")])
    assert caught.value.code == BundleError.exit_code
    assert "has no current bundle whose features could be refreshed" in capsys.readouterr().err


def test_the_data_gate_refuses_bad_rows(tmp_path: Path) -> None:
    rows = released_shop.write_dataset(tmp_path / "dataset")
    settings = PipelineSettings(build=tmp_path / "build", validation_python=sys.executable)
    store = BundleStore(settings.store("shop"))
    online = StoreSettings(Path(store.url) / "online", "shop")
    bundle = released_shop.release(tmp_path / "dataset", tmp_path / "release", store, online)
    reader = OnlineFeatures(bundle.feature_set, np.array(["i1"], dtype=object), online)
    before = reader.freshness()
    broken = [{**row, "price": -1.0} for row in rows["interactions"]]
    released_shop.write_table(tmp_path / "dataset", "interactions", [*rows["interactions"], *broken])
    with pytest.raises(RunFailed) as caught:
        run_refresh(tmp_path / "dataset", settings)
    message = str(caught.value)
    assert "below the minimum of 95.0%" in message
    assert message.endswith(f"; bundle {bundle.version} keeps its previous features.")
    assert (tmp_path / "build" / "refresh" / "quality.html").is_file()
    assert reader.freshness() == before
