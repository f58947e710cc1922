"""Images in Google Drive, by the links that people share: with the robot's credentials, else as anybody."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import BinaryIO, Protocol
from urllib.parse import parse_qs, urlencode, urlsplit

from sheetsync.images.fetch.base import Fetched, FetchError, Limits, NotRequestedError, TransientError
from sheetsync.images.fetch.http import HttpFetcher, StatusError

API = "https://www.googleapis.com"
PUBLIC = "https://drive.usercontent.google.com"
REFUSED = (401, 403, 404)  # it is not ours to see, or not there: Drive does not tell
ID = r"(?P<id>[\w-]{10,100})"
USER = r"(?:/u/\d+)?"
DRIVES = ("drive.google.com", "docs.google.com", "drive.usercontent.google.com")
PATHS = re.compile(rf"(?:/a/[\w.-]+)?{USER}/file{USER}/d/{ID}(?:/.*)?", re.ASCII)
QUERIES = re.compile(rf"(?:/a/[\w.-]+)?{USER}/(?:open|uc|thumbnail|download|leaf)", re.ASCII)
SHOWN = re.compile(rf"/d/{ID}(?:=.*)?", re.ASCII)
FOLDER = re.compile(r"(?:/drive)?(?:/mobile)?(?:/u/\d+)?/(?:folders/.*|folderview|my-drive|shared-with-me)")
PAGE = re.compile(r"(?:/a/[\w.-]+)?(?:/u/\d+)?/(document|spreadsheets|presentation|forms|drawings)(?:/u/\d+)?/d/[^/]+"
                  r"(?:/(?:edit|view|preview|copy|mobilebasic|htmlview|viewform).*)?/?")  # fmt: skip
PHOTOS = ("photos.google.com", "photos.app.goo.gl")
BUSY = b"Too many users have viewed or downloaded this file recently"


@dataclass(frozen=True, slots=True)
class Link:
    """A file in Drive. Some older ones are found only with their `resource_key`."""

    id: str
    resource_key: str = ""


class DriveToken(Protocol):
    """Who may see files that are shared with it."""

    @property
    def who(self) -> str:
        """The address with which to share; "" = not known."""

    def token(self) -> str:
        """An access token for reading files in Drive, "" where there is none. Raises `FetchError`."""


def link_in(url: str) -> Link | None:
    """The Drive file of a normal URL, None for other URLs. Raises `NotRequestedError` for folders and pages.

    >>> link_in("https://drive.google.com/file/d/1aBcDeFgHiJ/view?usp=sharing")
    Link(id='1aBcDeFgHiJ', resource_key='')
    """
    if "google" not in url and "goo.gl" not in url:  # as nearly all
        return None
    parts = urlsplit(url)
    host, query = parts.netloc, parse_qs(parts.query)
    _refuse_pages(host, parts.path)
    key = query.get("resourcekey", [""])[0]
    if host in DRIVES and (match := PATHS.fullmatch(parts.path)):
        return Link(match["id"], key)
    if host in DRIVES and QUERIES.fullmatch(parts.path):
        given = query.get("id", [""])[0]
        return Link(given, key) if re.fullmatch(ID, given, re.ASCII) else None
    if re.fullmatch(r"lh\d\.google(?:usercontent)?\.com", host) and (match := SHOWN.fullmatch(parts.path)):
        return Link(match["id"], key)
    return None


def _refuse_pages(host: str, path: str) -> None:
    if host == "drive.google.com" and FOLDER.fullmatch(path):
        raise NotRequestedError(
            "this is a folder in Google Drive: give the link of one image in it (Share › Copy link)"
        )
    if host in PHOTOS:
        raise NotRequestedError(
            "this is a page of Google Photos, which gives no image to programs: put it into Google Drive"
        )
    if host == "docs.google.com" and PAGE.fullmatch(path):
        raise NotRequestedError(
            "this is a document of Google's, not an image: save it as an image, and give that one's link"
        )


class DriveFetcher:
    """Files by `Link`. `endpoint` is a server on this machine that stands for Google's, for tests."""

    def __init__(self, limits: Limits, robot: DriveToken | None, endpoint: str = ""):
        bounds = replace(limits, allow_private=True) if endpoint else limits
        self._robot, self._endpoint = robot, endpoint.rstrip("/")
        self._web = HttpFetcher(bounds)
        self._api = HttpFetcher(bounds)  # with connections of its own, for what it sends is for nobody else

    def __call__(self, link: Link, into: BinaryIO, mark: str = "") -> Fetched:
        """Download, first as the robot and then as anybody. Raises `FetchError`."""
        token = self._robot.token() if self._robot else ""
        if token:
            try:
                return self._as_robot(link, token, into, mark)
            except StatusError as error:
                if error.status not in REFUSED:
                    raise
        return self._as_anybody(link, into, mark)

    def _as_robot(self, link: Link, token: str, into: BinaryIO, mark: str) -> Fetched:
        url = f"{self._endpoint or API}/drive/v3/files/{link.id}?alt=media&supportsAllDrives=true"
        keys = {"X-Goog-Drive-Resource-Keys": f"{link.id}/{link.resource_key}"} if link.resource_key else {}
        return self._api(url, into, mark, more={"Authorization": f"Bearer {token}"} | keys, leads=0)

    def _as_anybody(self, link: Link, into: BinaryIO, mark: str) -> Fetched:
        query = {"id": link.id, "export": "download", "confirm": "t"}
        query |= {"resourcekey": link.resource_key} if link.resource_key else {}
        try:
            fetched = self._web(f"{self._endpoint or PUBLIC}/download?{urlencode(query)}", into, mark)
        except StatusError as error:
            raise (self._not_shared() if error.status in REFUSED else error) from None
        into.seek(0)
        start = into.read(1 << 16)
        if not start.lstrip().lower().startswith((b"<!doctype html", b"<html")):
            return fetched
        if BUSY in start:
            raise TransientError(
                "Google Drive says that too many people have looked at this file: it opens again later"
            )
        raise self._not_shared()

    def _not_shared(self) -> FetchError:
        who = f", or with {self._robot.who}" if self._robot and self._robot.who else ""
        return FetchError(f"Google Drive does not give it out: share the file with anyone who has the link{who}")
