"""Runs a compiled pipeline, a container a step, as driver and launcher of Kubeflow Pipelines do.

Like them it resolves the inputs of a task from the definition, copies artifacts between a bucket and the folder `/s3`
of a container with nothing else in it, and hands the step its executor input. It knows the parts of a definition that
ours use: dependencies, conditions that compare a parameter with a constant, sub-pipelines, parameters and artifacts.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

from tests.kit.containers import command_line, volume

OUTPUT_FILE = "/tmp/kfp_outputs/output_metadata.json"
_CONDITION = re.compile(r"(!\()?inputs\.parameter_values\['([^']+)'\] == ('[^']*'|true|false)\)?")
Values = dict[str, Any]


@dataclass
class Launcher:
    """One run of a pipeline.

    Attributes:
        package: The compiled file.
        roots: Reference of an image -> its root.
        variables: Reference of an image -> variables of the image.
        secrets: Name of a Secret -> its keys and values.
        claims: Name of a volume claim -> its folder.
        s3: Client of the object store.
        bucket: Bucket of the artifacts.
        scratch: Folder for the volumes of the steps.
        seconds: Wall seconds of every step, filled by the run.
    """

    package: Path
    roots: Mapping[str, Path]
    variables: Mapping[str, Mapping[str, str]]
    secrets: Mapping[str, Mapping[str, str]]
    claims: Mapping[str, Path]
    s3: Any
    bucket: str
    scratch: Path
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._spec, platforms = yaml.safe_load_all(self.package.read_text())
        self._pods = platforms["platforms"]["kubernetes"]["deploymentSpec"]["executors"]

    def run(self, arguments: Values) -> None:
        """Runs the pipeline to its end; a failed step raises CalledProcessError with its output."""
        root = self._spec["root"]
        declared = root["inputDefinitions"]["parameters"]
        defaults = {name: one["defaultValue"] for name, one in declared.items() if "defaultValue" in one}
        assert arguments.keys() <= declared.keys()
        self._dag(root["dag"], {**defaults, **arguments}, {})

    def _dag(self, dag: Values, parameters: Values, artifacts: Values) -> None:
        tasks = dag["tasks"]
        made: Values = {}
        graph = {name: task.get("dependentTasks", []) for name, task in tasks.items()}
        for name in TopologicalSorter(graph).static_order():
            task = tasks[name]
            component = self._spec["components"][task["componentRef"]["name"]]
            given = self._parameters(task, component, parameters, made)
            taken = self._artifacts(task, artifacts, made)
            condition = task.get("triggerPolicy", {}).get("condition")
            if condition and not _holds(condition, given):
                continue
            if "dag" in component:
                self._dag(component["dag"], given, taken)
            else:
                made[name] = self._step(name, component, given, taken)

    def _parameters(self, task: Values, component: Values, parameters: Values, made: Values) -> Values:
        found: Values = {}
        declared = component.get("inputDefinitions", {}).get("parameters", {})
        for name, source in task.get("inputs", {}).get("parameters", {}).items():
            if "runtimeValue" in source:
                value = source["runtimeValue"]["constant"]
            elif "componentInputParameter" in source:
                value = parameters[source["componentInputParameter"]]
            else:
                output = source["taskOutputParameter"]
                value = made[output["producerTask"]]["parameters"][output["outputParameterKey"]]
            found[name] = int(value) if declared[name]["parameterType"] == "NUMBER_INTEGER" else value
        return found

    def _artifacts(self, task: Values, artifacts: Values, made: Values) -> Values:
        found: Values = {}
        for name, source in task.get("inputs", {}).get("artifacts", {}).items():
            if "componentInputArtifact" in source:
                found[name] = artifacts[source["componentInputArtifact"]]
            else:
                output = source["taskOutputArtifact"]
                found[name] = made[output["producerTask"]]["artifacts"][output["outputArtifactKey"]]
        return found

    def _step(self, name: str, component: Values, parameters: Values, artifacts: Values) -> Values:
        label, started = component["executorLabel"], time.monotonic()
        container, pod = self._spec["deploymentSpec"]["executors"][label]["container"], self._pods[label]
        folder = self.scratch / f"{len(self.seconds):02}-{name}"
        volumes = {place: volume(folder / place.strip("/")) for place in ("/tmp", "/s3")}
        volumes |= {one["mountPath"]: self.claims[one["constant"]] for one in pod.get("pvcMount", [])}
        for artifact in artifacts.values():
            self._download(artifact["uri"], volumes["/s3"])
        declared = component.get("outputDefinitions", {})
        made = {
            output: {
                "name": output,
                "type": one["artifactType"],
                "uri": f"s3://{self.bucket}/runs/{name}/{output}",
                "metadata": {},
            }
            for output, one in declared.get("artifacts", {}).items()
        }
        executor_input = {
            "inputs": {
                "parameterValues": parameters,
                "artifacts": {key: {"artifacts": [artifact]} for key, artifact in artifacts.items()},
            },
            "outputs": {
                "parameters": {key: {"outputFile": f"/tmp/kfp/{key}"} for key in declared.get("parameters", {})},
                "artifacts": {key: {"artifacts": [artifact]} for key, artifact in made.items()},
                "outputFile": OUTPUT_FILE,
            },
        }
        for artifact in made.values():
            for parent in reversed([*_local(artifact["uri"], volumes["/s3"]).parents][: -len(folder.parents)]):
                parent.mkdir(exist_ok=True)
                parent.chmod(0o777)
        self._execute(container, pod, json.dumps(executor_input), volumes)
        written = json.loads((volumes["/tmp"] / OUTPUT_FILE.removeprefix("/tmp/")).read_text())
        for key, artifact in made.items():
            told = written.get("artifacts", {}).get(key, {}).get("artifacts", [{}])[0]
            artifact["metadata"] = told.get("metadata", {})
            self._upload(artifact["uri"], volumes["/s3"])
        shutil.rmtree(folder)
        self.seconds[name] = time.monotonic() - started
        return {"parameters": written.get("parameterValues", {}), "artifacts": made}

    def _execute(self, container: Values, pod: Values, executor_input: str, volumes: Mapping[str, Path]) -> None:
        image = container["image"]
        environment = dict(self.variables[image])
        environment |= {one["name"]: one["value"] for one in container.get("env", [])}
        for secret in pod.get("secretAsEnv", []):
            content = self.secrets[secret["secretName"]]
            pairs = {one["envVar"]: one["secretKey"] for one in secret["keyToEnv"]}
            environment |= {name: content[key] for name, key in pairs.items() if key in content}
        command = [
            word.replace("{{$}}", executor_input) for word in (*container["command"], *container.get("args", []))
        ]
        line = command_line(self.roots[image], command, environment, volumes)
        done = subprocess.run(line, capture_output=True, text=True, timeout=pod_seconds(pod), check=False)
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"

    def _download(self, uri: str, folder: Path) -> None:
        for key in self._keys(uri):
            path = folder / self.bucket / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def _upload(self, uri: str, folder: Path) -> None:
        path = _local(uri, folder)
        files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
        for one in files:
            key = str(one.relative_to(folder / self.bucket))
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=one.read_bytes())

    def _keys(self, uri: str) -> Iterator[str]:
        prefix = uri.removeprefix(f"s3://{self.bucket}/")
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
            keys = [one["Key"] for one in page.get("Contents", [])]
            yield from (key for key in keys if key == prefix or key.startswith(f"{prefix}/"))


def pod_seconds(pod: Values) -> float:
    """The deadline of a pod."""
    return float(pod["activeDeadlineSeconds"])


def _local(uri: str, folder: Path) -> Path:
    return folder / uri.removeprefix("s3://")


def _holds(condition: str, parameters: Values) -> bool:
    for part in condition.split(" && "):
        found = _CONDITION.fullmatch(part)
        assert found, f"the launcher does not know the condition {part}"
        wanted: Any = json.loads(found[3].replace("'", '"'))
        if (parameters[found[2]] == wanted) == bool(found[1]):
            return False
    return True
