"""One contract for a folder in a directory and one in a bucket; what only one of them promises stands at the end."""

from __future__ import annotations

import errno
import tempfile
import threading
from pathlib import Path

import pytest

from feature_repo.errors import StorageError
from feature_repo.storage.files import list_files
from feature_repo.storage.folder import Folder, local_path, open_folder
from feature_repo.storage.local_folder import LocalFolder
from feature_repo.storage.remote_folder import RemoteFolder
from tests.kit.small_disk import SmallDisk

OTHER_DISK = Path("/dev/shm")


@pytest.fixture(params=["local", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """A folder that does not exist yet."""
    if request.param == "local":
        return open_folder(str(tmp_path / "stores" / "shop"))
    return open_folder(f"s3://{request.getfixturevalue('bucket')}/stores/shop")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A local directory with files at two depths."""
    made = tmp_path / "tree"
    (made / "ranker").mkdir(parents=True)
    (made / "manifest.json").write_bytes(b"{}")
    (made / "items.npz").write_bytes(b"items")
    (made / "ranker" / "model.txt").write_bytes(b"trees")
    return made


def reopened(folder: Folder) -> Folder:
    """The same folder for another process."""
    return open_folder(folder.url)


def contents(directory: Path) -> dict[str, bytes]:
    return {name: (directory / name).read_bytes() for name in list_files(directory)}


def test_the_place_chooses_the_implementation(tmp_path: Path) -> None:
    for url, path, kind in (
        (str(tmp_path), tmp_path, LocalFolder),
        ("", Path(), LocalFolder),
        ("s3://bucket/shop", None, RemoteFolder),
        ("memory://shop", None, RemoteFolder),
    ):
        assert local_path(url) == path
        assert type(open_folder(url)) is kind


def test_a_folder_that_does_not_exist_is_empty(folder: Folder) -> None:
    assert folder.read("current") is None
    assert not folder.holds("current")
    assert (folder.names(), folder.names("bundles"), folder.sizes()) == ([], [], {})


def test_what_is_written_is_read_and_replaced(folder: Folder) -> None:
    for content in (b"one", b"two, and longer", b""):
        folder.write("released/v1", content)
        assert reopened(folder).read("released/v1") == content
        assert folder.holds("released/v1")
        assert folder.sizes() == {"released/v1": len(content)}
    assert not folder.holds("released")  # a folder is not a file
    assert folder.read("released/v2") is None


def test_names_are_sorted_and_of_one_level(folder: Folder) -> None:
    for name in ("b", "a", "deep/c", "deep/er/d"):
        folder.write(name, b"x")
    assert folder.names() == ["a", "b", "deep"]
    assert folder.names("deep") == ["c", "er"]
    assert folder.names("deep/none") == []
    assert sorted(folder.sizes()) == ["a", "b", "deep/c", "deep/er/d"]


def test_a_reader_never_sees_half_a_file(folder: Folder) -> None:
    versions = [bytes([number]) * 200_000 for number in range(2)]
    folder.write("current", versions[0])
    seen: set[bytes | None] = set()
    stop = threading.Event()

    def read() -> None:
        reader = reopened(folder)
        while not stop.is_set():
            seen.add(reader.read("current"))

    thread = threading.Thread(target=read)
    thread.start()
    for turn in range(20):
        folder.write("current", versions[turn % 2])
    stop.set()
    thread.join()
    assert seen
    assert seen <= set(versions)


def test_a_file_is_moved_in(folder: Folder, tmp_path: Path) -> None:
    for content in (b"rows", b"the same part, made again"):
        waiting = tmp_path / "waiting"
        waiting.write_bytes(content)
        folder.move_in(waiting, "impressions/hour=01/part-a")
        assert not waiting.exists()
        assert folder.read("impressions/hour=01/part-a") == content


def test_a_directory_is_added_whole(folder: Folder, tree: Path) -> None:
    folder.add(tree, "bundles/v1", last="manifest.json")
    assert folder.names("bundles") == ["v1"]
    assert folder.sizes() == {f"bundles/v1/{name}": len(content) for name, content in contents(tree).items()}


def test_a_directory_is_removed_whole(folder: Folder, tree: Path) -> None:
    for name in ("bundles/v1", "bundles/v10"):
        folder.add(tree, name, last="manifest.json")
    folder.remove("bundles/v1", first="manifest.json")
    folder.remove("bundles/v1", first="manifest.json")
    assert set(folder.sizes()) == {f"bundles/v10/{name}" for name in list_files(tree)}


def test_an_addition_that_breaks_off_lacks_the_last_file(folder: Folder, tree: Path) -> None:
    (tree / "items.npz").unlink()
    (tree / "items.npz").symlink_to("/proc/self/mem")  # is a file, and cannot be read
    with pytest.raises((StorageError, OSError)):
        folder.add(tree, "bundles/v1", last="manifest.json")
    assert not folder.holds("bundles/v1/manifest.json")


def test_files_come_down_as_they_are(folder: Folder, tree: Path, tmp_path: Path) -> None:
    folder.add(tree, "bundles/v1", last="manifest.json")
    folder.download("bundles/v1", ["items.npz", "ranker/model.txt"], tmp_path / "copy")
    assert contents(tmp_path / "copy") == {"items.npz": b"items", "ranker/model.txt": b"trees"}
    with pytest.raises((StorageError, FileNotFoundError)):
        folder.download("bundles/v1", ["none"], tmp_path / "copy")


def test_files_can_be_read_as_local_ones(folder: Folder, tree: Path) -> None:
    folder.add(tree, "bundles/v1", last="manifest.json")
    with folder.local("bundles/v1", ["items.npz", "ranker/model.txt"]) as directory:
        assert directory.as_posix().endswith("bundles/v1")
        assert (directory / "items.npz").read_bytes() == b"items"
        assert (directory / "ranker" / "model.txt").read_bytes() == b"trees"
    with folder.local("bundles/v2", []) as directory:
        assert list_files(directory) == []


def test_a_working_copy_ends_in_the_folder(folder: Folder) -> None:
    folder.write("items.pbtxt", b"items")
    folder.write("users.pbtxt", b"users")
    folder.write("note.txt", b"note")
    with folder.working_copy(".pbtxt") as copy:
        assert (copy / "items.pbtxt").read_bytes() == b"items"
        (copy / "items.pbtxt").write_bytes(b"items, and more")
        (copy / "interactions.pbtxt").write_bytes(b"new")
        folder.write("users.pbtxt", b"edited meanwhile")
    kept = {name: reopened(folder).read(name) for name in folder.names()}
    assert kept == {
        "interactions.pbtxt": b"new",
        "items.pbtxt": b"items, and more",
        "note.txt": b"note",
        "users.pbtxt": b"edited meanwhile",
    }


def test_a_working_copy_of_an_exception_is_not_written_to_a_bucket(bucket: str) -> None:
    folder = open_folder(f"s3://{bucket}/shop/schema")

    def stop_half_way() -> None:
        with folder.working_copy(".pbtxt") as copy:
            (copy / "items.pbtxt").write_bytes(b"half")
            raise ValueError("stopped half way")

    with pytest.raises(ValueError, match="stopped half way"):
        stop_half_way()
    assert folder.names() == []


def test_a_disk_fails_with_its_own_error_and_nothing_moves(tmp_path: Path) -> None:
    (tmp_path / "shop").write_text("in the way")
    (tmp_path / "part").write_bytes(b"rows")
    folder = open_folder(str(tmp_path / "shop"))
    for work in (
        lambda: folder.read("current"),
        lambda: folder.write("current", b"v1"),
        lambda: folder.move_in(tmp_path / "part", "impressions/part"),
    ):
        with pytest.raises(OSError, match="shop"):
            work()
    assert (tmp_path / "part").read_bytes() == b"rows"


def test_a_local_addition_that_breaks_off_leaves_nothing(tmp_path: Path, tree: Path) -> None:
    (tree / "items.npz").unlink()
    (tree / "items.npz").symlink_to("/proc/self/mem")
    with pytest.raises(OSError, match="items"):
        LocalFolder(tmp_path / "shop").add(tree, "bundles/v1", last="manifest.json")
    assert list((tmp_path / "shop" / "bundles").iterdir()) == []


def test_a_full_disk_ends_an_addition_with_its_own_error_and_leaves_nothing(disk: SmallDisk, tree: Path) -> None:
    (tree / "items.npz").write_bytes(bytes(100_000))
    folder = LocalFolder(disk.path / "shop")
    folder.write("bundles/lasting", b"so that the folders exist")
    disk.leave(20_000)
    with pytest.raises(OSError, match="No space left on device") as caught:
        folder.add(tree, "bundles/v1", last="manifest.json")
    assert caught.value.errno == errno.ENOSPC
    assert folder.names("bundles") == ["lasting"]
    disk.make_room()
    folder.add(tree, "bundles/v1", last="manifest.json")
    assert folder.holds("bundles/v1/items.npz")


def test_a_file_of_another_disk_is_moved_in(tmp_path: Path) -> None:
    if not OTHER_DISK.is_dir() or OTHER_DISK.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip(f"{OTHER_DISK} is not another disk than {tmp_path}")
    with tempfile.TemporaryDirectory(dir=OTHER_DISK) as spool:
        waiting = Path(spool, "waiting")
        waiting.write_bytes(b"rows")
        LocalFolder(tmp_path / "log").move_in(waiting, "impressions/part-a")
        assert not waiting.exists()
    assert contents(tmp_path / "log") == {"impressions/part-a": b"rows"}


def test_a_bucket_fails_in_a_sentence_and_nothing_moves(bucket: str, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"rows")
    folder = open_folder(f"s3://{bucket}-none/shop")
    for work in (
        lambda: folder.read("current"),
        folder.names,
        folder.sizes,
        lambda: folder.write("current", b"v1"),
        lambda: folder.move_in(tmp_path / "part", "impressions/part"),
    ):
        with pytest.raises(StorageError, match="the bucket does not exist: create it, or name another"):
            work()
    assert (tmp_path / "part").read_bytes() == b"rows"
