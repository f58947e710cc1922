"""Fetching from Google Drive: which links are recognised, with which access, and the reasons of refusals."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from sheetsync.api import drive_access, open_pass
from sheetsync.images.fetch.base import Fetch, FetchError, Limits, TransientError
from sheetsync.images.fetch.drive import Link, link_in
from sheetsync.images.fetch.sources import fetcher_for
from sheetsync.project.config import load_project
from tests.helpers.googleserver import GoogleServer, faults
from tests.helpers.googleserver.pictures import Picture, put
from tests.helpers.googleserver.world import OWNER, ROBOT
from tests.helpers.support import png
from tests.helpers.webserver import redirect, serving

A = "1aBcDeFgHiJ_k-LmNoP"
SHEET = "https://docs.google.com/spreadsheets/d/1abcdefghij/edit#gid=0"
PICTURE = png(1)


@pytest.mark.parametrize(
    "url",
    [
        f"https://drive.google.com/file/d/{A}/view?usp=sharing",
        f"https://drive.google.com/file/d/{A}/view?usp=drive_link",
        f"https://drive.google.com/file/d/{A}/preview",
        f"https://drive.google.com/file/d/{A}",
        f"https://drive.google.com/file/u/0/d/{A}/edit",
        f"https://drive.google.com/u/1/file/d/{A}/view",
        f"https://drive.google.com/a/school.example/file/d/{A}/view",
        f"https://drive.google.com/open?id={A}",
        f"https://drive.google.com/open?usp=drive_fs&id={A}",
        f"https://drive.google.com/uc?id={A}",
        f"https://drive.google.com/uc?export=view&id={A}",
        f"https://drive.google.com/u/0/uc?id={A}&export=download",
        f"https://drive.google.com/thumbnail?id={A}&sz=w1000",
        f"https://docs.google.com/uc?export=download&id={A}",
        f"https://docs.google.com/u/0/uc?id={A}",
        f"https://drive.usercontent.google.com/download?id={A}&export=download&authuser=0",
        f"https://drive.usercontent.google.com/u/0/uc?id={A}&export=download",
        f"https://lh3.googleusercontent.com/d/{A}",
        f"https://lh3.googleusercontent.com/d/{A}=w1000",
        f"https://lh5.googleusercontent.com/d/{A}=s220?authuser=0",
        f"http://drive.google.com/file/d/{A}/view",
    ],
)
def test_every_form_of_a_link_leads_to_its_file(url: str) -> None:
    assert link_in(url) == Link(A)


def test_a_link_of_old_keeps_its_resource_key() -> None:
    for form in (f"file/d/{A}/view?usp=sharing&resourcekey=0-aB_c", f"open?id={A}&resourcekey=0-aB_c"):
        assert link_in(f"https://drive.google.com/{form}") == Link(A, "0-aB_c")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/drive.google.com/file/d/1aBcDeFgHiJ/view",
        "https://drive.google.com.example.org/file/d/1aBcDeFgHiJ/view",
        "https://drive.google.com:8443/file/d/1aBcDeFgHiJ/view",
        "https://lh3.googleusercontent.com/abcdefghijk",
        "https://drive.google.com/uc?id=../../x",
        "https://drive.google.com/uc",
        "https://docs.google.com/drawings/d/e/2PACX-1v/pub?w=960&h=720",
        "https://docs.google.com/presentation/d/1aBcDeFgHiJ/export/png",
        "https://www.google.com/logo.png",
    ],
)
def test_what_only_looks_like_a_link_is_fetched_as_it_stands(url: str) -> None:
    assert link_in(url) is None


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"https://drive.google.com/drive/folders/{A}?usp=sharing", "this is a folder in Google Drive"),
        (f"https://drive.google.com/drive/u/0/folders/{A}", "this is a folder in Google Drive"),
        (f"https://drive.google.com/folderview?id={A}", "this is a folder in Google Drive"),
        (f"https://docs.google.com/document/d/{A}/edit", "this is a document of Google's, not an image"),
        (f"https://docs.google.com/spreadsheets/u/1/d/{A}/edit?gid=0", "this is a document of Google's"),
        ("https://photos.app.goo.gl/AbCdEf", "this is a page of Google Photos"),
        ("https://photos.google.com/share/AF1Q", "this is a page of Google Photos"),
    ],
)
def test_a_folder_or_a_page_is_told_from_an_image(url: str, words: str) -> None:
    with pytest.raises(FetchError, match=words):
        link_in(url)


# --- who may see them -----------------------------------------------------------------------------


@pytest.fixture
def google() -> Iterator[GoogleServer]:
    with GoogleServer() as server:
        yield server


def fetch_file(
    google: GoogleServer, folder: Path, name: str, *, sheet: str = SHEET, query: str = "", key: bool = True
) -> bytes:
    """Fetch a share link with the credentials of a sheet, and return the content."""
    if key:
        google.key_file(folder / "credentials.json")
    drive_token, endpoint = drive_access(sheet, folder, credentials="credentials.json", endpoint=google.url)
    into = io.BytesIO()
    fetcher_for(folder, Limits(), drive_token=drive_token, endpoint=endpoint)(
        f"https://drive.google.com/file/d/{name}/view{query}", into
    )
    return into.getvalue()


def requests_to(google: GoogleServer) -> list[str]:
    return [path.split("/1")[0] for _, path, _ in google.log]


def test_a_file_that_is_shared_with_the_robot_arrives_through_the_api(google: GoogleServer, tmp_path: Path) -> None:
    name = put(google.world, Picture(PICTURE, {OWNER: "owner", ROBOT: "reader"}))
    assert fetch_file(google, tmp_path, name) == PICTURE
    assert requests_to(google) == ["/token", "/drive/v3/files"]
    ((_, scopes),) = {(each.user, each.scopes) for each in google.tokens.given.values()}
    assert scopes == {"https://www.googleapis.com/auth/drive.readonly"}


def test_a_file_that_anyone_may_see_needs_no_robot(google: GoogleServer, tmp_path: Path) -> None:
    name = put(google.world, Picture(PICTURE, {OWNER: "owner", "anyone": "reader"}, large=True))
    assert fetch_file(google, tmp_path, name, sheet="labels.csv", key=False) == PICTURE
    assert requests_to(google) == ["/download"]
    google.client_file(tmp_path / "credentials.json")  # with which nobody has signed in
    assert fetch_file(google, tmp_path, name, key=False) == PICTURE
    assert requests_to(google) == ["/download", "/download"]


def test_an_older_file_is_found_with_its_key_by_robot_and_by_anybody(google: GoogleServer, tmp_path: Path) -> None:
    name = put(google.world, Picture(PICTURE, {"anyone": "reader"}, resource_key="0-aB_c"))
    for sheet in (SHEET, "labels.csv"):
        assert fetch_file(google, tmp_path, name, sheet=sheet, query="?resourcekey=0-aB_c") == PICTURE
        with pytest.raises(FetchError, match="share the file"):
            fetch_file(google, tmp_path, name, sheet=sheet)
    assert requests_to(google).count("/download") == 3


def test_a_file_that_is_shared_with_nobody_says_with_whom_to_share_it(google: GoogleServer, tmp_path: Path) -> None:
    name = put(google.world, Picture(PICTURE, {OWNER: "owner"}))
    reason = "Google Drive does not give it out: share the file with anyone who has the link"
    for file_id in (name, "1" + "x" * 30):
        with pytest.raises(FetchError) as caught:
            fetch_file(google, tmp_path, file_id)
        assert str(caught.value) == f"{reason}, or with {ROBOT}"
        with pytest.raises(FetchError) as caught:
            fetch_file(google, tmp_path, file_id, sheet="labels.csv")
        assert str(caught.value) == reason


def test_a_file_that_too_many_look_at_may_come_later(google: GoogleServer, tmp_path: Path) -> None:
    name = put(google.world, Picture(PICTURE, {"anyone": "reader"}, busy=True))
    with pytest.raises(TransientError, match="too many people"):
        fetch_file(google, tmp_path, name, sheet="labels.csv")


def test_people_who_signed_in_gave_no_right_to_their_drive_and_it_is_not_tried(
    google: GoogleServer, tmp_path: Path
) -> None:
    google.user_file(tmp_path / "credentials.json", OWNER, ("spreadsheets",))
    name = put(google.world, Picture(PICTURE, {OWNER: "owner"}))
    with pytest.raises(FetchError, match=r"anyone who has the link$"):
        fetch_file(google, tmp_path, name, key=False)
    assert requests_to(google) == ["/download", "/ServiceLogin"]


def test_trouble_at_the_api_is_not_taken_for_a_file_that_is_not_shared(google: GoogleServer, tmp_path: Path) -> None:
    name = put(google.world, Picture(PICTURE, {ROBOT: "reader"}))
    google.faults.plan = lambda _, path, number: faults.html(503) if "files" in path and number < 2 else None
    with pytest.raises(TransientError, match="503"):
        fetch_file(google, tmp_path, name)
    assert fetch_file(google, tmp_path, name) == PICTURE


def test_a_token_goes_to_the_api_and_along_no_redirect(google: GoogleServer, tmp_path: Path) -> None:
    name = put(google.world, Picture(PICTURE, {ROBOT: "reader", "anyone": "reader"}))
    google.key_file(tmp_path / "credentials.json")
    drive_token, _ = drive_access(SHEET, tmp_path, credentials="credentials.json", endpoint=google.url)
    with serving() as elsewhere:
        path = f"/drive/v3/files/{name}?alt=media&supportsAllDrives=true"
        elsewhere.give(path, redirect("/steal"))
        elsewhere.give("/steal", PICTURE)
        fetch = fetcher_for(tmp_path, Limits(allow_private=True), drive_token=drive_token, endpoint=elsewhere.address)
        with pytest.raises(FetchError, match="too many redirects"):
            fetch(f"https://drive.google.com/file/d/{name}/view", io.BytesIO())
        fetch(elsewhere.give("/other.png", PICTURE), io.BytesIO())
        assert elsewhere.asked == [path, "/other.png"]
        assert ["Authorization" in headers for headers in elsewhere.headers] == [True, False]


def test_an_endpoint_for_tests_opens_no_other_private_address(google: GoogleServer, tmp_path: Path) -> None:
    fetch = fetcher_for(tmp_path, Limits(), endpoint=google.url)
    with pytest.raises(FetchError, match="not a public address"):
        fetch(f"{google.url}/download?id={A}", io.BytesIO())
    assert google.log == []


def test_a_project_gives_its_credentials_buckets_and_folder_along(google: GoogleServer, tmp_path: Path) -> None:
    google.key_file(tmp_path / "credentials.json")
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics" / "one.png").write_bytes(PICTURE)
    (tmp_path / "sheetsync.toml").write_text(
        f'sheet = "{SHEET}"\n[download]\nfolder = "pics"\nbuckets = ["s3://mine"]\ntotal_seconds = 2\n'
        f'[google]\nendpoint = "{google.url}"\n'
    )
    fetch = open_pass(load_project(tmp_path), lambda *_: None).environment.fetch
    name = put(google.world, Picture(PICTURE, {ROBOT: "reader"}))
    for url in (f"https://drive.google.com/open?id={name}", "one.png"):
        into = io.BytesIO()
        fetch(url, into)
        assert into.getvalue() == PICTURE
    assert "is not opened" in str(fetch_error(fetch, "s3://other/x"))
    assert "is not opened" not in str(fetch_error(fetch, "s3://mine/x"))


def fetch_error(fetch: Fetch, url: str) -> FetchError:
    with pytest.raises(FetchError) as caught:
        fetch(url, io.BytesIO())
    return caught.value
