"""`make serve` as a person runs it: both servers until it is stopped, by the clock that it is told."""

from __future__ import annotations

import subprocess
import sys

import httpx

from feature_repo.storage.files import read_json
from tests.e2e import main_job
from tests.kit.checkout import ROOT
from tests.kit.ports import free_port
from tests.pipelines.drifting import Shop

ASKED = "/api/v1/recommendations?user_id=somebody&count=5"


def test_a_replay_brings_its_own_time(shop: Shop) -> None:
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "pipelines.serve", "--dataset", str(shop.dataset), "--clock", "request"]
    with subprocess.Popen(
        [*command, "--port", address.split(":")[1]],
        cwd=ROOT,
        env=shop.environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(f"Bundle {shop.version} is served at http://{address};")
            with httpx.Client(base_url=f"http://{address}", timeout=30) as client:
                refused = client.get(ASKED)
                assert refused.status_code == 422
                assert "takes the time from the header Kuberec-Time" in refused.json()["detail"]
                answer = client.get(ASKED, headers={"Kuberec-Time": "2023-11-14T23:00:00Z"})
                assert answer.status_code == 200, answer.text
                assert answer.json()["bundle_version"] == shop.version
            targets = {one["labels"]["job"]: one["targets"] for one in read_json(shop.build / "serve" / "targets.json")}
            assert targets["kuberec-transformer"] == [address]
        finally:
            process.terminate()
        assert process.wait(timeout=60) == 0
    assert main_job.left_behind(shop.build) == []
