"""Containers without a container engine: the root of an image that buildah mounts, read-only, as the user of the image.

A process gets what Kubernetes gives a pod of ours: user and group 10001, no capability, no new privileges, a read-only
root, processes and mounts of its own, and only the variables and volumes that are named. It shares the network of this
machine, where the servers of the tests are. It needs root and buildah.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

USER = "10001"
BASE_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
# $0: root; then pairs of folder and place until "--"; the rest is the command.
_ENTER = """
set -e
root=$0
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
while [ "$1" != -- ]; do
  mkdir -p "$root$2"
  mount --bind "$1" "$root$2"
  shift 2
done
shift
mount -o remount,bind,ro "$root"
exec chroot "$root" setpriv --reuid=$USER_ID --regid=$USER_ID --clear-groups --no-new-privs --bounding-set=-all \
  --inh-caps=-all env -i "$@"
"""


def missing() -> str:
    """Why this machine cannot run containers, "" if it can."""
    if os.geteuid() != 0:
        return "a container needs root"
    needed = ("buildah", "unshare", "setpriv", "chroot")
    absent = [name for name in needed if shutil.which(name) is None]
    return f"{', '.join(absent)} missing" if absent else ""


@contextmanager
def mounted(reference: str) -> Iterator[Path]:
    """The root of an image as a folder, within the block."""
    container = _buildah("from", "--pull-never", reference)
    try:
        yield Path(_buildah("mount", container))
    finally:
        _buildah("rm", container)


def command_line(
    root: Path, command: Sequence[str], environment: Mapping[str, str], volumes: Mapping[str, Path]
) -> list[str]:
    """The command that starts a process in a root.

    Args:
        root: Folder of the image.
        command: Program and arguments.
        environment: All variables of the process.
        volumes: Place in the container -> folder of this machine; `/tmp` must be among them.
    """
    assert "/tmp" in volumes, "the root is read-only"
    binds = [word for place, folder in volumes.items() for word in (str(folder), place)]
    variables = [f"{name}={value}" for name, value in {"PATH": BASE_PATH, **environment}.items()]
    enter = _ENTER.replace("$USER_ID", USER)
    inside = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", enter, str(root), *binds, "--"]
    return [*inside, *variables, "sh", "-c", 'cd /tmp && exec "$@"', "sh", *command]


def volume(folder: Path) -> Path:
    """Makes a folder that everybody may write, like an emptyDir."""
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    return folder


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends a process that `command_line` started.

    The signal goes to the first process of the container: unshare ignores SIGTERM, and a change of the user clears the
    signal that `--kill-child` asks for.
    """
    for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)
    process.wait(timeout=30)


def _buildah(*words: str) -> str:
    done = subprocess.run(["buildah", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
