"""Types of settings that several processes share: addresses, URLs and folders, checked when a process starts."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import fsspec
from pydantic import AfterValidator

from feature_repo.storage.folder import local_path
from feature_repo.storage.quoting import unusable_character

UNWRITABLE = frozenset({"http", "https", "data", "memory"})  # protocols of fsspec that keep nothing
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?")


def is_host(text: str) -> bool:
    """Whether a text is a host name or an IP address (without brackets)."""
    if _HOST.fullmatch(text):
        return True
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _has_host_and_port(url: str, *, port_required: bool) -> bool:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    has_port = port is not None and port > 0
    return is_host(host) and (has_port or (port is None and not port_required and not parts.netloc.endswith(":")))


def _bind_address(text: str) -> str:
    if not is_host(text):
        raise ValueError("write an IP address or a host name")
    return text


def _host_port(text: str) -> str:
    if re.search(r"[\s@/?#]", text) or not _has_host_and_port(f"//{text}", port_required=True):
        raise ValueError("write host:port, with a port from 1 to 65535 and an IPv6 address in brackets")
    return text


def _http_url(text: str) -> str:
    if not text:
        return text
    is_url = text.startswith(("http://", "https://")) and not re.search(r"\s", text)
    if not is_url or not _has_host_and_port(text, port_required=False):
        raise ValueError("write it as http://host:port or https://host")
    return text


def _place(text: str) -> str:
    folder = local_path(text)
    if folder is not None:
        return str(_directory(folder)) if text else text
    scheme, _, rest = text.partition("://")
    has_bucket = rest.strip("/") if scheme == "file" else rest.partition("/")[0]
    if scheme not in fsspec.available_protocols() or scheme in UNWRITABLE or not has_bucket:
        raise ValueError("write a directory or s3://bucket/folder")
    if (character := _CONTROL.search(text)) is not None:
        raise ValueError(f"it contains {character[0]!r}; choose a folder without it")
    return text


def is_kubernetes_name(text: str) -> bool:
    """Whether a text is a valid name of a Secret, a claim or another object of Kubernetes."""
    return _NAME.fullmatch(text) is not None


def _kubernetes_name(text: str) -> str:
    if text and not is_kubernetes_name(text):
        raise ValueError("write the name of a Kubernetes object: small letters, digits, - and .")
    return text


def _directory(path: Path) -> Path:
    if (character := unusable_character(path)) is not None:
        raise ValueError(f"it contains {character}; choose a folder without it")
    path = path.expanduser()
    try:
        existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    except OSError as error:
        raise ValueError(f"it cannot be opened ({error.strerror})") from error
    if not existing.is_dir():
        raise ValueError(f"{existing} is a file, not a directory")
    return path


def _optional_directory(text: str) -> str:
    return str(_directory(Path(text))) if text else text


BindAddress = Annotated[str, AfterValidator(_bind_address)]
HostPort = Annotated[str, AfterValidator(_host_port)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
KubernetesName = Annotated[str, AfterValidator(_kubernetes_name)]  # "" stays ""
Place = Annotated[str, AfterValidator(_place)]  # a directory or URL of a store or log; "" stays ""
Directory = Annotated[Path, AfterValidator(_directory)]
OptionalDirectory = Annotated[str, AfterValidator(_optional_directory)]  # "" stays ""
