"""Fetch images from Google Drive by their share links: with an access token, else without signing in."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import BinaryIO, Protocol
from urllib.parse import parse_qs, urlencode, urlsplit

from sheetsync.images.fetch.base import Fetched, FetchError, Limits, NotRequestedError, TransientError
from sheetsync.images.fetch.http import HttpFetcher, StatusError

API = "https://www.googleapis.com"
PUBLIC = "https://drive.usercontent.google.com"
NO_ACCESS = (401, 403, 404)  # HTTP statuses of Drive for a file that is not shared, or does not exist
ID = r"(?P<id>[\w-]{10,100})"
USER = r"(?:/u/\d+)?"
DRIVE_HOSTS = ("drive.google.com", "docs.google.com", "drive.usercontent.google.com")
PATH_WITH_ID = re.compile(rf"(?:/a/[\w.-]+)?{USER}/file{USER}/d/{ID}(?:/.*)?", re.ASCII)
PATH_WITH_ID_IN_QUERY = re.compile(rf"(?:/a/[\w.-]+)?{USER}/(?:open|uc|thumbnail|download|leaf)", re.ASCII)
EMBED_PATH = re.compile(rf"/d/{ID}(?:=.*)?", re.ASCII)  # on lh3.googleusercontent.com and its like
FOLDER = re.compile(r"(?:/drive)?(?:/mobile)?(?:/u/\d+)?/(?:folders/.*|folderview|my-drive|shared-with-me)")
DOCUMENT = re.compile(
    r"(?:/a/[\w.-]+)?(?:/u/\d+)?/(document|spreadsheets|presentation|forms|drawings)(?:/u/\d+)?/d/[^/]+"
    r"(?:/(?:edit|view|preview|copy|mobilebasic|htmlview|viewform).*)?/?"
)
PHOTOS_HOSTS = ("photos.google.com", "photos.app.goo.gl")
BUSY = b"Too many users have viewed or downloaded this file recently"


@dataclass(frozen=True, slots=True)
class Link:
    """A file in Drive. Some older ones are found only with their `resource_key`."""

    id: str
    resource_key: str = ""


class DriveToken(Protocol):
    """An account that may see the files shared with it."""

    @property
    def email(self) -> str:
        """The address with which to share a file; "" = not known."""

    def token(self) -> str:
        """Return an access token for reading files in Drive, "" where there is none. Raises `FetchError`."""


def link_in(url: str) -> Link | None:
    """Return the Drive file of a normalised URL, None for other URLs.

    Raises `NotRequestedError` for folders, documents and Google Photos.

    >>> link_in("https://drive.google.com/file/d/1aBcDeFgHiJ/view?usp=sharing")
    Link(id='1aBcDeFgHiJ', resource_key='')
    """
    if "google" not in url and "goo.gl" not in url:  # nearly all: this is quicker than to parse
        return None
    parts = urlsplit(url)
    host, query = parts.netloc, parse_qs(parts.query)
    _refuse_pages(host, parts.path)
    key = query.get("resourcekey", [""])[0]
    if host in DRIVE_HOSTS and (match := PATH_WITH_ID.fullmatch(parts.path)):
        return Link(match["id"], key)
    if host in DRIVE_HOSTS and PATH_WITH_ID_IN_QUERY.fullmatch(parts.path):
        file_id = query.get("id", [""])[0]
        return Link(file_id, key) if re.fullmatch(ID, file_id, re.ASCII) else None
    if re.fullmatch(r"lh\d\.google(?:usercontent)?\.com", host) and (match := EMBED_PATH.fullmatch(parts.path)):
        return Link(match["id"], key)
    return None


def _refuse_pages(host: str, path: str) -> None:
    if host == "drive.google.com" and FOLDER.fullmatch(path):
        raise NotRequestedError(
            "this is a folder in Google Drive: give the link of one image in it (Share › Copy link)"
        )
    if host in PHOTOS_HOSTS:
        raise NotRequestedError(
            "this is a page of Google Photos, which gives no image to programs: put it into Google Drive"
        )
    if host == "docs.google.com" and DOCUMENT.fullmatch(path):
        raise NotRequestedError(
            "this is a document of Google's, not an image: save it as an image, and give that one's link"
        )


class DriveFetcher:
    """A fetcher of files by `Link`. `endpoint` is a server on this machine that stands for Google's, for tests."""

    def __init__(self, limits: Limits, drive_token: DriveToken | None, endpoint: str = ""):
        bounds = replace(limits, allow_private=True) if endpoint else limits
        self._drive_token, self._endpoint = drive_token, endpoint.rstrip("/")
        self._web = HttpFetcher(bounds)
        self._api = HttpFetcher(bounds)  # with connections of its own: the token is sent to nobody else

    def __call__(self, link: Link, into: BinaryIO, validator: str = "") -> Fetched:
        """Download with the token, and without it where that gives no access. Raises `FetchError`."""
        token = self._drive_token.token() if self._drive_token else ""
        if token:
            try:
                return self._fetch_with_token(link, token, into, validator)
            except StatusError as error:
                if error.status not in NO_ACCESS:
                    raise
        return self._fetch_public(link, into, validator)

    def _fetch_with_token(self, link: Link, token: str, into: BinaryIO, validator: str) -> Fetched:
        url = f"{self._endpoint or API}/drive/v3/files/{link.id}?alt=media&supportsAllDrives=true"
        headers = {"Authorization": f"Bearer {token}"}
        if link.resource_key:
            headers["X-Goog-Drive-Resource-Keys"] = f"{link.id}/{link.resource_key}"
        return self._api(url, into, validator, headers=headers, max_redirects=0)

    def _fetch_public(self, link: Link, into: BinaryIO, validator: str) -> Fetched:
        query = {"id": link.id, "export": "download", "confirm": "t"}
        query |= {"resourcekey": link.resource_key} if link.resource_key else {}
        try:
            fetched = self._web(f"{self._endpoint or PUBLIC}/download?{urlencode(query)}", into, validator)
        except StatusError as error:
            raise (self._not_shared() if error.status in NO_ACCESS else error) from None
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
        email = self._drive_token.email if self._drive_token else ""
        account = f", or with {email}" if email else ""
        return FetchError(f"Google Drive does not give it out: share the file with anyone who has the link{account}")
