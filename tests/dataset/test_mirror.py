"""The dataset folder, on a real file system, and as torchvision reads it."""

from __future__ import annotations

import csv
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from sheetsync.dataset.mirror import Mirror
from sheetsync.dataset.plan import SplitFractions, make_plan
from sheetsync.dataset.records import Delete, Entry, Manifest, Move, Plan
from sheetsync.errors import MirrorError
from sheetsync.images.records import Failure
from sheetsync.images.store import ImageStore
from sheetsync.rows.cells import image_key
from sheetsync.rows.records import Row
from tests.helpers.support import png, tree
from tests.images.test_store import add_image, other_file_system


def row(number: int, label: str, split: str = "") -> Row:
    url = f"http://pics.example/{number}.png"
    return Row(number + 2, image_key(url), url, label, split)


ROWS = [
    *(row(number, ("i", "ii", "größer als", "it's 100%")[number % 4], "train") for number in range(9)),
    *(row(number, ("i", "ii")[number % 2], "val") for number in range(9, 13)),
    row(13, "ii", "test"),
    row(14, ""),
]


def fill(mirror: Mirror, rows: list[Row]) -> Manifest:
    arrivals = [add_image(mirror.store, each.key, png(each.number)) for each in rows]
    list(mirror.receive(rows, arrivals, SplitFractions()))
    return mirror.scan()


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return Mirror(tmp_path / "dataset", ImageStore(tmp_path / "objects"))


def test_every_split_is_an_image_folder(mirror: Mirror) -> None:
    from torchvision.datasets import ImageFolder

    fill(mirror, ROWS)
    for split in ("train", "val", "test"):
        labels = Counter(each.label for each in ROWS if each.split == split)
        folder = ImageFolder(str(mirror.root / split))
        assert folder.classes == sorted(labels)
        assert Counter(folder.classes[target] for target in folder.targets) == labels
        assert [image.size for image, _ in folder] == [(8, 8)] * labels.total()


def test_what_was_put_there_is_read_back(mirror: Mirror) -> None:
    assert mirror.scan() == Manifest()
    manifest = fill(mirror, ROWS)
    assert {(entry.key, entry.label, entry.split) for entry in manifest} == {
        (each.key, each.label, each.split or "unlabelled") for each in ROWS
    }
    assert make_plan(ROWS, manifest, SplitFractions()) == Plan()


def test_an_image_is_the_same_file_as_its_object(mirror: Mirror) -> None:
    for entry in fill(mirror, ROWS):
        assert (mirror.root / entry.path).samefile(mirror.store.path(entry.digest, entry.suffix))


def test_an_image_is_a_copy_where_the_store_is_on_another_file_system(tmp_path: Path) -> None:
    import tempfile

    with tempfile.TemporaryDirectory(dir=other_file_system(tmp_path)) as elsewhere:
        mirror = Mirror(tmp_path / "dataset", ImageStore(Path(elsewhere)))
        manifest = fill(mirror, ROWS)
        assert sorted(tree(mirror.root).values()) == sorted(png(each.number) for each in ROWS)
        assert make_plan(ROWS, manifest, SplitFractions()) == Plan()


def test_a_failure_is_passed_on_and_leaves_no_file(mirror: Mirror) -> None:
    failure = Failure(ROWS[0].key, ROWS[0].number, ROWS[0].url, "the server answers 404 (Not Found)")
    assert list(mirror.receive(ROWS, [failure], SplitFractions())) == [failure]
    assert mirror.scan() == Manifest()


def test_deletions_and_moves_leave_no_empty_class(mirror: Mirror) -> None:
    manifest = fill(mirror, ROWS)
    relabelled = [row(each.number - 2, "i", "train") for each in ROWS[:9]]
    mirror.apply(make_plan(relabelled, manifest, SplitFractions()))
    assert sorted(path.name for path in mirror.root.iterdir()) == ["train"]
    assert [path.name for path in (mirror.root / "train").iterdir()] == ["i"]
    assert sorted(tree(mirror.root).values()) == sorted(png(each.number) for each in relabelled)
    assert make_plan(relabelled, mirror.scan(), SplitFractions()) == Plan()


@pytest.mark.parametrize("litter", [".DS_Store", "Thumbs.db", "._1.png"])
def test_what_a_file_manager_leaves_is_no_image_and_keeps_no_class_alive(mirror: Mirror, litter: str) -> None:
    manifest = fill(mirror, ROWS)
    for label in ("i", "ii"):
        (mirror.root / "train" / label / litter).write_bytes(b"litter")
    assert mirror.scan() == manifest
    mirror.apply(make_plan([each for each in ROWS if each.label != "ii"], manifest, SplitFractions()))
    assert not (mirror.root / "train" / "ii").exists()
    assert (mirror.root / "train" / "i" / litter).exists()


def test_carrying_out_a_plan_twice_is_like_once(mirror: Mirror) -> None:
    manifest = fill(mirror, ROWS)
    mirror.apply(Plan(deletes=(Delete(manifest.entries[0]),)))
    before = tree(mirror.root)
    mirror.apply(Plan(deletes=(Delete(manifest.entries[0]),)))
    assert tree(mirror.root) == before


def test_half_made_links_and_empty_classes_are_swept(mirror: Mirror) -> None:
    fill(mirror, ROWS)
    before = tree(mirror.root)
    (mirror.root / "train" / "i" / ".tmp-half.png").write_bytes(b"half")
    (mirror.root / "val" / "gone").mkdir()
    mirror.apply(Plan())
    assert tree(mirror.root) == before
    assert not (mirror.root / "val" / "gone").exists()


def test_moving_keeps_the_content(mirror: Mirror) -> None:
    entry = fill(mirror, ROWS).entries[0]
    target = Entry(entry.key, entry.digest, "val", "new", entry.suffix)
    content = (mirror.root / entry.path).read_bytes()
    mirror.apply(Plan(moves=(Move(entry, target),)))
    assert (mirror.root / target.path).read_bytes() == content
    assert not (mirror.root / entry.path).exists()


STRANGERS = [
    "train/i/mine.png",
    "train/loose.png",
    "val/i/deep/mine.png",
    "unlabelled/mine.jpg",
    "train/new class/notes.txt",
    f"train/{'a' * 20}-{'b' * 32}.png",
    f"unlabelled/i/{'a' * 20}-{'b' * 32}.png",
]


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_strangers_file_stops_the_pass_and_is_kept(mirror: Mirror, stranger: str) -> None:
    fill(mirror, ROWS)
    path = mirror.root / stranger
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(99))
    before = tree(mirror.root)
    with pytest.raises(MirrorError) as raised:
        mirror.scan()
    assert f"1 files in {mirror.root} did not come from the sheet, such as {stranger}: move" in str(raised.value)
    assert tree(mirror.root) == before


def test_a_strangers_link_to_a_folder_is_seen(mirror: Mirror, tmp_path: Path) -> None:
    """Readers of the folder follow it, so a model would learn from its images."""
    fill(mirror, ROWS)
    (tmp_path / "more").mkdir()
    (mirror.root / "train" / "linked").symlink_to(tmp_path / "more")
    with pytest.raises(MirrorError, match="such as train/linked"):
        mirror.scan()


def test_files_beside_the_splits_are_nobodys_business(mirror: Mirror) -> None:
    manifest = fill(mirror, ROWS)
    (mirror.root / "README.md").write_text("ours")
    (mirror.root / "extra").mkdir()
    (mirror.root / "extra" / "1.png").write_bytes(png(1))
    assert mirror.scan() == manifest
    mirror.apply(Plan())
    assert (mirror.root / "extra" / "1.png").exists()


@pytest.mark.parametrize("folder", ["", "train", "train/i"])
def test_a_file_where_a_folder_belongs_is_said(mirror: Mirror, folder: str) -> None:
    path = mirror.root / folder
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a file")
    with pytest.raises(MirrorError):
        mirror.scan()


# --- metadata.csv ---------------------------------------------------------------------------------


KEPT = ("file_name", "url", "label", "split", "status", "confidence")


def write_metadata(mirror: Mirror, manifest: Manifest) -> None:
    values = {ROWS[0].key: {"status": "ok", "confidence": 0.25}, ROWS[1].key: {"status": 'a "b", c'}}
    mirror.metadata.write(manifest, ROWS, values)


def test_metadata_says_what_the_sheet_says_of_every_file(mirror: Mirror) -> None:
    manifest = fill(mirror, ROWS)
    write_metadata(mirror, manifest)
    with (mirror.root / "metadata.csv").open(encoding="utf-8", newline="") as file:
        lines = {line["file_name"]: line for line in csv.DictReader(file)}
    assert list(lines) == sorted(entry.path for entry in manifest)
    assert all((mirror.root / name).is_file() for name in lines)
    for entry in manifest:
        number = next(each.number for each in ROWS if each.key == entry.key)
        assert {name: cell for name, cell in lines[entry.path].items() if cell or name in KEPT} == {
            "file_name": entry.path,
            "url": f"http://pics.example/{number - 2}.png",
            "label": entry.label,
            "split": entry.split,
            "status": {2: "ok", 3: 'a "b", c'}.get(number, ""),
            "confidence": "0.25" if number == 2 else "",
        }
    assert mirror.scan() == manifest


def test_metadata_that_says_the_same_is_not_written_again(mirror: Mirror) -> None:
    manifest = fill(mirror, ROWS)
    path = mirror.root / "metadata.csv"
    write_metadata(mirror, manifest)
    before = path.stat()
    write_metadata(mirror, manifest)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    write_metadata(mirror, Manifest(manifest.entries[1:]))
    assert path.stat().st_ino != before.st_ino


@pytest.mark.parametrize("spoiled", ["größer".encode("latin-1"), b""])
def test_metadata_that_somebody_saved_otherwise_is_put_right(mirror: Mirror, spoiled: bytes) -> None:
    manifest = fill(mirror, ROWS)
    path = mirror.root / "metadata.csv"
    write_metadata(mirror, manifest)
    right = path.read_bytes()
    for content in (spoiled, right.replace(b"\n", b"\r\n")):
        path.write_bytes(content)
        write_metadata(mirror, manifest)
        assert path.read_bytes() == right


def test_no_temporary_file_stays(mirror: Mirror) -> None:
    write_metadata(mirror, fill(mirror, ROWS))
    assert not [name for _, _, names in os.walk(mirror.root) for name in names if name.startswith(".")]


def test_metadata_of_somebody_else_is_kept(mirror: Mirror) -> None:
    fill(mirror, ROWS)
    (mirror.root / "metadata.csv").write_text("file_name,caption\n1.png,a one\n")
    with pytest.raises(MirrorError, match=r"metadata.csv did not come from sheetsync"):
        mirror.scan()
    assert (mirror.root / "metadata.csv").read_text().startswith("file_name,caption")


def test_tags_travel_along(mirror: Mirror) -> None:
    rows = [replace(row, tags={"light": f"l{row.number}"}) for row in ROWS]
    mirror.metadata.write(fill(mirror, rows), rows, {})
    with (mirror.root / "metadata.csv").open(encoding="utf-8", newline="") as file:
        assert {line["url"]: line["light"] for line in csv.DictReader(file)} == {
            row.url: f"l{row.number}" for row in rows
        }


def test_a_hidden_folder_of_images_is_not_overlooked_since_others_read_it(mirror: Mirror) -> None:
    fill(mirror, ROWS)
    hidden = mirror.root / "train" / "i" / ".ipynb_checkpoints" / "1.png"
    hidden.parent.mkdir(parents=True)
    hidden.write_bytes(b"")
    with pytest.raises(MirrorError, match=r"\.ipynb_checkpoints/1\.png"):
        mirror.scan()


def test_folders_follow_labels_where_case_does_not_count(mirror: Mirror) -> None:
    (mirror.root / "Case").mkdir(parents=True)
    if not (mirror.root / "case").exists():
        pytest.skip("case counts on this file system")
    (mirror.root / "Case").rmdir()
    labels = [("cat", "dog"), ("cat", "Cat"), ("Cat", "cat"), ("CAT", "CAT"), ("cat", "CAT")]
    fill(mirror, [row(number, labels[0][number % 2], "train") for number in range(4)])
    for pair in labels:
        rows = [row(number, pair[number % 2], "train") for number in range(4)]
        mirror.apply(make_plan(rows, mirror.scan(), SplitFractions()))
        assert {entry.key: entry.label for entry in mirror.scan()} == {each.key: each.label for each in rows}
        assert make_plan(rows, mirror.scan(), SplitFractions()) == Plan()


def test_a_folder_whose_accents_stand_apart_is_moved_where_it_is_another(mirror: Mirror) -> None:
    rows = [row(1, "é", "train"), row(2, "i", "train")]
    fill(mirror, rows)
    (mirror.root / "train" / "é").rename(mirror.root / "train" / "e\u0301")
    mirror.apply(make_plan(rows, mirror.scan(), SplitFractions()))
    assert make_plan(rows, mirror.scan(), SplitFractions()) == Plan()
    assert sorted(tree(mirror.root).values()) == sorted(png(each.number) for each in rows)
