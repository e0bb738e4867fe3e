"""A real S3 server as a process of the tests: it keeps buckets in memory and can be made to ask for credentials."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import botocore.session

from tests.kit.ports import free_port

START_SECONDS = 60.0
REGION = "us-east-1"


@dataclass
class ObjectStore:
    """One server.

    Attributes:
        endpoint: Its address.
        process: What serves there.
        log: A line for every request.
    """

    endpoint: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """What a client needs to find it; any key is good as long as none is asked for."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "anyone",
            "AWS_SECRET_ACCESS_KEY": "anything",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str = "s3") -> Any:
        """A plain client that shares nothing with the code under test."""
        names = {"aws_access_key_id": "anyone", "aws_secret_access_key": "anything", "region_name": REGION}
        return botocore.session.Session().create_client(service, endpoint_url=self.endpoint, **names)

    def make_bucket(self) -> str:
        """A new bucket's name."""
        name = f"kuberec-{uuid4().hex[:12]}"
        self.client().create_bucket(Bucket=name)
        return name

    @contextmanager
    def asking_for_credentials(self) -> Iterator[Mapping[str, str]]:
        """Within the block only the yielded key may do anything."""
        identities, name = self.client("iam"), uuid4().hex
        identities.create_user(UserName=name)
        key = identities.create_access_key(UserName=name)["AccessKey"]
        everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
        identities.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=json.dumps(everything))
        self._allow_unchecked("0")
        try:
            yield {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        finally:
            self._allow_unchecked("inf")

    def end(self) -> None:
        """Ends the server, and with it what it holds."""
        self.process.terminate()
        self.process.wait(timeout=10)

    def _allow_unchecked(self, num_requests: str) -> None:
        headers = {"Content-Type": "text/plain"}
        address = f"{self.endpoint}/moto-api/reset-auth"
        urllib.request.urlopen(urllib.request.Request(address, num_requests.encode(), headers), timeout=10).close()


@contextmanager
def started(log: Path, port: int = 0) -> Iterator[ObjectStore]:
    """A server on a port of the loopback (0: a free port), ended with the block."""
    port = port or free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    made = ObjectStore(f"http://127.0.0.1:{port}", process, log)
    try:
        _wait_for(made)
        yield made
    finally:
        made.end()


def _wait_for(made: ObjectStore) -> None:
    deadline = time.monotonic() + START_SECONDS
    while made.process.poll() is None and time.monotonic() < deadline:
        if "Running on" in made.log.read_text():  # else a server of another process may answer on the port
            try:
                urllib.request.urlopen(f"{made.endpoint}/moto-api/", timeout=2).close()
                return
            except urllib.error.URLError:
                pass
        time.sleep(0.05)
    raise AssertionError(f"the S3 server did not answer:\n{made.log.read_text()}")
