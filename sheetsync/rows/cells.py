"""Parse and normalise one cell: an image URL, a label, a split. Errors are sentences for an annotator."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import lru_cache
from urllib.parse import quote, urlsplit, urlunsplit

from sheetsync.common.text import quote_inline
from sheetsync.rows.folder_names import shorten_label
from sheetsync.rows.schema import SKIP, SPLITS

FORMULA = re.compile(r'=\s*(?:IMAGE|HYPERLINK)\s*\(\s*"((?:[^"]|"")*)"\s*[,;)]', re.IGNORECASE)
# URLs and paths that are normalised already, as nearly all are: no port, nothing to quote, no fragment; no leading dot.
NORMAL_URL = re.compile(r"https?://[a-z0-9.-]+/[\w/%:@!$&'()*+,;=~?.-]*(?<!\?)", re.ASCII)
NORMAL_PATH = re.compile(r"\w[\w.-]*(?:/\w[\w.-]*)*")
SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)  # one letter is a drive of Windows
MAX_URL_CHARS = 8000
DATA_URL = re.compile(r"data:[^,]*,.", re.IGNORECASE)
MAX_DATA_URL_CHARS = 50_000  # the limit of a cell in a Google Sheet
BUCKET_URL = re.compile(r"(s3|gs)://([a-z0-9][a-z0-9._-]*/[^/].*)", re.IGNORECASE)
FORBIDDEN_IN_HOST = re.compile(r'[\s"%<>\\^`{|}]')
MAX_ACCENTS = 30  # combining characters on one letter (Stream-Safe Text Format, Unicode Standard Annex 15)
CONTROL_CHARS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # and halves of a character (surrogates)


def image_key(url: str) -> str:
    """Return the key of an image row: 20 hex characters of the SHA-256 of its normalised URL."""
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:20]


def read_image(cell: str, *, local: bool) -> str:
    """Return the normalised URL in an image cell (http, https, data, s3, gs); `local` allows a relative path as well.

    Raises `ValueError` with a sentence for an annotator.

    >>> read_image('=IMAGE("HTTP://Example.org/a b.png#top")', local=False)
    'http://example.org/a%20b.png'
    """
    text = _unwrap_formula(cell.strip())
    if not text:
        raise ValueError("no image: put its URL here (a picture inserted into the cell has no URL to read)")
    if DATA_URL.match(text):
        return _normalise_data_url(text)
    if len(text) > MAX_URL_CHARS:
        raise ValueError(f"not an image URL (longer than {MAX_URL_CHARS} characters): {quote_inline(text)}")
    if CONTROL_CHARS.search(text):
        raise ValueError(f"not an image URL (a line break or another unseen character is in it): {quote_inline(text)}")
    if text[:5].lower() in ("s3://", "gs://"):
        return _normalise_bucket_url(text)
    if SCHEME.match(text) or not local:
        return normalise_url(text)
    return _normalise_path(text)


def _unwrap_formula(text: str) -> str:
    if not text.startswith("="):
        return text
    match = FORMULA.match(text)
    if match is None:
        raise ValueError('not an image: only =IMAGE("…") and =HYPERLINK("…") with the URL in quotes can be read')
    return match[1].replace('""', '"').strip()


def normalise_url(text: str) -> str:
    """Normalise an http or https URL. Raises `ValueError` with a sentence for an annotator."""
    if NORMAL_URL.fullmatch(text):
        return text
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"not an image URL: {quote_inline(text)}") from None
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise ValueError(f"not an image URL (it must begin with http:// or https://): {quote_inline(text)}")
    if ":" not in parts.hostname and FORBIDDEN_IN_HOST.search(parts.hostname):  # two parsers could find two hosts in it
        raise ValueError(f"not an image URL: {quote_inline(text)}")
    if parts.username is not None:
        raise ValueError("a URL here must not hold a user name or password")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default = {"http": 80, "https": 443}[parts.scheme.lower()]
    netloc = host if port in (None, default) else f"{host}:{port}"
    path, query = (quote(part, safe="/%:@!$&'()*+,;=~?[]|^{}") for part in (parts.path or "/", parts.query))
    return urlunsplit((parts.scheme.lower(), netloc, path, query, ""))


def _normalise_data_url(text: str) -> str:
    """Remove the whitespace that data: URLs may be wrapped with."""
    clean = "".join(text.split())
    if len(clean) > MAX_DATA_URL_CHARS:
        raise ValueError(f"not an image URL (longer than {MAX_DATA_URL_CHARS} characters): {quote_inline(text)}")
    if CONTROL_CHARS.search(clean):
        raise ValueError(f"not an image URL (an unseen character is in it): {quote_inline(text)}")
    return "data" + clean[4:]


def _normalise_bucket_url(text: str) -> str:
    match = BUCKET_URL.fullmatch(text)
    if match is None or {"", ".", ".."} & {*match[2].split("/")}:
        raise ValueError(
            f"not an image URL (in a bucket it is like s3://bucket/folder/image.png): {quote_inline(text)}"
        )
    return f"{match[1].lower()}://{match[2]}"


def _normalise_path(text: str) -> str:
    if NORMAL_PATH.fullmatch(text):
        return text
    parts = [part for part in text.replace("\\", "/").split("/") if part != "."]
    if not any(parts[:1]) or ".." in parts or parts[0].startswith("~") or parts[0][1:] == ":":
        raise ValueError(f"a path must stay inside the folder of images: {quote_inline(text)}")
    return "/".join(part for part in parts if part)


@lru_cache(1 << 16)
def read_label(cell: str) -> str:
    """Return the label in a cell, "" if there is none; one too long for a folder name is shortened (`shorten_label`).

    Raises `ValueError` with a sentence for an annotator.
    """
    if has_piled_accents(cell):
        raise ValueError(
            f"label cannot be used: {quote_inline(cell.strip())} has a letter with over {MAX_ACCENTS} accents"
        )
    label = read_full_label(cell)
    if CONTROL_CHARS.search(label):
        raise ValueError(f"label cannot be used: {quote_inline(label)} holds a line break or another unseen character")
    return shorten_label(label)


def has_piled_accents(text: str) -> bool:
    """True if a letter has more accents than any language needs: Unicode normalisation of them takes quadratic time."""
    marks = "".join("x" if unicodedata.combining(char) else " " for char in text) if len(text) > MAX_ACCENTS else ""
    return "x" * (MAX_ACCENTS + 1) in marks


def read_full_label(cell: str) -> str:
    """Return the label in a cell, however long, in the Unicode normal form NFC."""
    return unicodedata.normalize("NFC", cell.strip())


@lru_cache
def read_split(cell: str) -> str:
    """Return the split in a cell, "" if there is none.

    Raises `ValueError` with a sentence for an annotator when it is unknown.
    """
    split = cell.strip().casefold()
    if split not in ("", *SPLITS, SKIP):
        raise ValueError(f"unknown split {quote_inline(cell.strip())}: use train, val, test or skip, or leave it empty")
    return split
