"""Corpus of hostile addresses (SSRF) and hostile HTTP responses, each with the result or reason it must have.

Run as a program, it fetches all of them and prints the results, as JSON.
"""

from __future__ import annotations

import base64
import gzip
import json
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from sheetsync.images.download import download
from sheetsync.images.fetch.base import Limits
from sheetsync.images.fetch.sources import fetcher_for
from sheetsync.images.records import Download, Failure
from sheetsync.images.store import ImageStore
from sheetsync.rows.cells import image_key, read_image
from sheetsync.rows.records import Row
from tests.helpers.support import png
from tests.helpers.webserver import Answer, WebServer, flood, page, raw, redirect, serving, status

PICTURE = png(1)
OK = "ok"
LIMITS = {"connect_seconds": 5.0, "read_seconds": 5.0, "total_seconds": 8.0, "max_bytes": 200_000, "attempts": 1}

# --- cells, and the address or the reason that they are read as -------------------------------------

NOT = "not an image URL"
BEGIN = f"{NOT} (it must begin with http:// or https://)"
UNSEEN = f"{NOT} (a line break or another unseen character is in it)"
USER = "a URL here must not hold a user name or password"
CELLS = {
    "javascript:alert(1)": BEGIN,
    "file:///etc/passwd": BEGIN,
    "FILE://localhost/etc/passwd": BEGIN,
    "gopher://127.0.0.1:6379/_FLUSHALL": BEGIN,
    "dict://127.0.0.1:11211/stats": BEGIN,
    "ftp://h/x.png": BEGIN,
    "ldap://h/x": BEGIN,
    "jar:http://h/x!/y": BEGIN,
    "view-source:http://h/x": BEGIN,
    "az://bucket/x.png": BEGIN,
    "httpx://h/x": BEGIN,
    "http:/h/x": BEGIN,
    "http:h/x": BEGIN,
    "http:///h/x": BEGIN,
    "//h/x.png": BEGIN,
    "\\\\server\\share\\x.png": BEGIN,
    "http://a@b/x": USER,
    "http://a:b@127.0.0.1/x": USER,
    "http://@h/x": USER,
    "http://good.example@127.0.0.1/x": USER,
    "http://good.example:80@127.0.0.1/x": USER,
    "http://a\\@127.0.0.1/x": USER,
    "http://good.example\\.bad.example/x": NOT,
    "http://127%2e0%2e0%2e1/x": NOT,
    "http://good.example%00.bad.example/x": NOT,
    "http://a b.example/x": NOT,
    "http://<h>/x": NOT,
    "http://h:99999/x": NOT,
    "http://h:-1/x": NOT,
    "http://h:8 0/x": NOT,
    "http://h:http/x": NOT,
    "http://[::1/x": NOT,
    "http://[h]/x": NOT,
    "http://h℀.example/x": NOT,
    "http://h/\r\nHost: evil": UNSEEN,
    "http://h/x\tHTTP/1.1": UNSEEN,
    "http://h/\0": UNSEEN,
    "http://h/\x85x": UNSEEN,
    f"http://h/{'x' * 9000}": f"{NOT} (longer than 8000 characters)",
    f"data:,{'x' * 60_000}": f"{NOT} (longer than 50000 characters)",
    "data:image/png;base64": BEGIN,
    "s3://bucket/../other/x": f"{NOT} (in a bucket it is like s3://bucket/folder/image.png)",
    "s3://key:secret@bucket/x": f"{NOT} (in a bucket it is like s3://bucket/folder/image.png)",
    "/etc/passwd": "a path must stay inside the folder of images",
    "C:\\Users\\me\\x.png": "a path must stay inside the folder of images",
    "../x.png": "a path must stay inside the folder of images",
    "a/..\\..\\x.png": "a path must stay inside the folder of images",
    "~root/x.png": "a path must stay inside the folder of images",
    '=IMAGE("file:///etc/passwd")': BEGIN,
    '=IMPORTDATA("http://h/x")': "not an image: only =IMAGE",
    '=IMAGE("http://h/x"&A1)': "not an image: only =IMAGE",
    "HTTP://H.EXAMPLE:80/x#../../y": "http://h.example/x",
    "http://h/x?a=1&b=http://127.0.0.1/": "http://h/x?a=1&b=http://127.0.0.1/",
    "http://h/x%0d%0aHost:%20evil": "http://h/x%0d%0aHost:%20evil",
    "http://h/%2e%2e/%2e%2e/etc": "http://h/%2e%2e/%2e%2e/etc",
    "http://h/\u202egnp.x": "http://h/%E2%80%AEgnp.x",
    "http://h/a\\b": "http://h/a%5Cb",
    "Data:;base64,AA AA": "data:;base64,AAAA",
}


def read_cell(cell: str) -> str:
    """Read a cell of a CSV, or of a Google Sheet if it begins with slashes; return its address, or what is wrong."""
    try:
        return read_image(cell, local=not cell.startswith(("//", "\\\\")))
    except ValueError as error:
        return str(error)


# --- addresses inside the network: none is ever asked ----------------------------------------------

REFUSED = "not a public address"
UNKNOWN = "the server's name is not known"
NO_NAME = "cannot be fetched"
PRIVATE = """
127.0.0.1 127.1 127.0.1 0 0.0.0.0 2130706433 0x7f000001 0x7f.0.0.1 0177.0.0.1 017700000001 127.127.127.127
10.0.0.1 172.16.0.1 172.31.255.255 192.168.0.1 100.64.0.1 100.100.100.200
169.254.169.254 0xa9fea9fe 2852039166 168.63.129.16 192.0.0.192 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1
192.88.99.1 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255
[::] [::1] [::127.0.0.1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:169.254.169.254] [64:ff9b::7f00:1]
[64:ff9b::10.0.0.1] [64:ff9b:1::1] [2002:7f00:1::] [2002:a9fe:a9fe::1] [2001:0:7f00:1::1]
[2001:0:5db8:d70e::80ff:fffe] [2606:4700::5efe:127.0.0.1] [fd00:ec2::254] [fc00::1] [fe80::1] [fec0::1] [ff02::1]
[2001:db8::1] [100::1] [3fff::1] [5f00::1] [4000::1]
"""
HOSTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(PRIVATE.split(), (REFUSED,)),
    "localhost": (REFUSED,),
    "LOCALHOST": (REFUSED,),
    "localhost.": (REFUSED, UNKNOWN),
    "127.0.0.1.": (REFUSED, UNKNOWN),
    "１２７.０.０.１": (REFUSED, NO_NAME),
    "①②⑦.⓪.⓪.①": (REFUSED, NO_NAME),
    "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ": (REFUSED, NO_NAME),
    "127。0。0。1": (REFUSED, NO_NAME),
    "0x7f.1.": (REFUSED, UNKNOWN),
    "[fe80::1%25lo]": (REFUSED, NO_NAME, UNKNOWN, NOT),
    "256.256.256.256": (UNKNOWN,),
    "1.2.3.4.5": (UNKNOWN,),
    "-h.invalid": (UNKNOWN, NO_NAME),
    "a..b.invalid": (UNKNOWN, NO_NAME),
    f"{'a' * 70}.invalid": (NO_NAME,),
}

# --- what servers answer ---------------------------------------------------------------------------

TOO_LARGE, SLOW, BROKE = "file too large: over 0.2 MB", "too slow: not whole after 8 s", "the connection broke off"
COMPRESSED = "the server compresses the image in a way that it was not asked to"
NO_HTTP, BAD_HTTP = "the server does not speak HTTP", "the server's answer is not HTTP as it should be"
ON = "cannot be fetched: the server leads on to "
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
PACKED = HEAD + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n"
WHOLE = b"%x\r\n%s\r\n" % (len(PICTURE), PICTURE)


def compressed_zeros(size: int, kind: int) -> bytes:
    """Return so many zeros, compressed as gzip (`kind` 31) or zlib (15)."""
    packer = zlib.compressobj(9, zlib.DEFLATED, kind)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)) + packer.flush()


def with_length(declared: object, body: bytes) -> Answer:
    return raw(HEAD + f"Content-Length: {declared}\r\n\r\n".encode() + body)


def answers(web: WebServer) -> dict[str, tuple[Answer, str]]:
    """Return by path: the response, and the result it must have."""
    bomb = compressed_zeros(100 << 20, 31)
    good = web.give("/good.png", PICTURE)
    for number in range(7):
        web.give(f"/chain/{number}", redirect(f"/chain/{number + 1}" if number < 6 else "/good.png"))
    return {
        "/headers": (flood(HEAD, b"X-Many: of these\r\n" * 500), BAD_HTTP),
        "/header": (flood(HEAD + b"X-Long: ", b"x" * 65536), BAD_HTTP),
        "/status-line": (flood(b"HTTP/1.1 200 ", b"x" * 65536), BAD_HTTP),
        "/continue": (flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 500), SLOW),
        "/processing": (flood(b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 500), "the server answers 102 (Processing)"),
        "/chunk-of-what": (raw(CHUNKED + b"zz\r\n" + PICTURE), BROKE),
        "/chunk-below-zero": (raw(CHUNKED + b"-5\r\n" + PICTURE), "cannot be fetched: ValueError"),
        "/chunk-of-all": (flood(CHUNKED + b"-1\r\n", bytes(1 << 20)), "cannot be fetched: ValueError"),
        "/chunk-size": (flood(CHUNKED, b"0" * 65536), BAD_HTTP),
        "/chunk-extension": (flood(CHUNKED + b"5;", b"x" * 65536), BAD_HTTP),
        "/chunk-cut": (raw(CHUNKED + b"ffffff\r\n" + PICTURE), BROKE),
        "/chunks": (flood(CHUNKED, b"1\r\nx\r\n" * 1000), TOO_LARGE),
        "/trailers": (flood(CHUNKED + WHOLE + b"0\r\n", b"X-More: of these\r\n" * 500), SLOW),
        "/trailer": (flood(CHUNKED + WHOLE + b"0\r\nX: ", b"x" * 65536), BAD_HTTP),
        "/trailers-few": (raw(CHUNKED + WHOLE + b"0\r\nX-Some: more\r\n\r\n"), OK),
        "/length-below-zero": (with_length(-1, PICTURE), OK),
        "/length-of-what": (with_length("many", PICTURE), OK),
        "/length-huge": (with_length(10**18, PICTURE), BROKE),
        "/length-too-long": (with_length(len(PICTURE) + 5, PICTURE), BROKE),
        "/length-too-short": (with_length(len(PICTURE) - 30, PICTURE), "broken image"),
        "/lengths": (with_length(f"{len(PICTURE)}\r\nContent-Length: 5", PICTURE), "cannot be fetched: InvalidHeader"),
        "/bomb-gzip": (page(bomb, Content_Encoding="gzip"), TOO_LARGE),
        "/bomb-deflate": (page(compressed_zeros(100 << 20, 15), Content_Encoding="deflate"), TOO_LARGE),
        "/bomb-twice": (page(gzip.compress(bomb), Content_Encoding="gzip, gzip"), TOO_LARGE),
        "/bomb-redirect": (redirect_with(bomb), TOO_LARGE),
        "/gzip-nothing": (flood(PACKED, gzip.compress(b"") * 5000), TOO_LARGE),
        "/gzip-and-more": (flood(PACKED + gzip.compress(PICTURE), bytes(1 << 20)), TOO_LARGE),
        "/gzip-twice": (page(gzip.compress(gzip.compress(PICTURE)), Content_Encoding="gzip, gzip"), OK),
        "/gzip-often": (page(PICTURE, Content_Encoding=", ".join(["gzip"] * 50)), "cannot be fetched: DecodeError"),
        "/gzip-not": (page(PICTURE, Content_Encoding="gzip"), "cannot be fetched: DecodeError"),
        "/brotli": (page(PICTURE, Content_Encoding="br"), COMPRESSED),
        "/zstd": (page(PICTURE, Content_Encoding="gzip, ZSTD"), COMPRESSED),
        "/encoding-none": (page(PICTURE, Content_Encoding="none"), OK),
        "/http-0.9": (raw(PICTURE), NO_HTTP),
        "/ssh": (raw(b"SSH-2.0-OpenSSH_9.6\r\n"), NO_HTTP),
        "/status-none": (raw(b"HTTP/1.1 abc OK\r\n\r\n"), NO_HTTP),
        "/status-9999": (raw(b"HTTP/1.1 9999 OK\r\n\r\n"), NO_HTTP),
        "/http-9": (raw(b"HTTP/9.9 200 OK\r\n\r\n"), BAD_HTTP),
        "/nothing-said": (raw(b""), BROKE),
        "/partial": (status(206), "the server answers 206 (Partial Content)"),
        "/not-modified": (status(304), "the server answers 304 (Not Modified)"),
        "/sign-in": (status(401, WWW_Authenticate='Basic realm="x"'), "the server answers 401 (Unauthorized)"),
        "/proxy-sign-in": (status(407), "the server answers 407"),
        **{f"/by-{code}": (redirect("/good.png", code), OK) for code in (301, 302, 303, 307, 308)},
        "/by-300": (redirect("/good.png", 300), "the server answers 300 (Multiple Choices)"),
        "/by-305": (redirect("/good.png", 305), "the server answers 305 (Use Proxy)"),
        "/to-relative": (redirect("good.png"), OK),
        "/to-dots": (redirect("../../good.png"), OK),
        "/to-same-scheme": (redirect(f"//127.0.0.1:{web.port}/good.png"), OK),
        "/to-fragment": (redirect("/good.png#../secret"), OK),
        "/to-blanks": (redirect(f"   {good}  "), OK),
        "/to-itself": (redirect(""), "too many redirects"),
        "/to-query": (redirect("?"), "too many redirects"),
        "/to-5-more": (redirect("/chain/3"), OK),
        "/to-6-more": (redirect("/chain/2"), "too many redirects"),
        **{
            f"/to-{where.partition(':')[0].lower()}": (redirect(where), ON + "something that is no image URL")
            for where in (
                *("file:///etc/passwd", "ftp://h/x", "gopher://h/x", "javascript:alert(1)", "s3://bucket/x", "az://x"),
                *(f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}", "mailto:me@h", "about:blank"),
            )
        },
        "/to-user": (redirect(f"http://me:secret@127.0.0.1:{web.port}/good.png"), ON),
        "/to-empty-user": (redirect(f"//@127.0.0.1:{web.port}/good.png"), ON),
        "/to-backslash": (redirect(f"http://127.0.0.1:{web.port}\\@h.invalid/good.png"), ON),
        "/to-folded": (raw_redirect(b"/good.png\r\n X: y"), "the server answers 404 (Not Found)"),
        "/to-nul": (raw_redirect(b"/a\0b"), ON),
        "/to-port": (redirect("http://127.0.0.1:99999/"), ON),
        "/to-utf-8": (raw_redirect("/ä.png".encode()), OK),
        "/to-latin-1": (raw_redirect("/ä.png".encode("latin-1")), OK),
    }  # fmt: skip


def raw_redirect(where: bytes) -> Answer:
    return raw(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + where + b"\r\n\r\n")


def redirect_with(body: bytes) -> Answer:
    """Return a redirect whose own body is a decompression bomb."""

    def answer(handler: object) -> None:
        page(body, Content_Encoding="gzip")(_Moved(handler))

    return answer


class _Moved:
    """A handler that sends a redirect in place of a 200."""

    def __init__(self, handler: object):
        self._handler = handler

    def __getattr__(self, name: str) -> object:
        return getattr(self._handler, name)

    def send_head(self, _: int, headers: dict[str, object]) -> None:
        self._handler.send_head(302, headers | {"Location": "/good.png"})  # type: ignore[attr-defined]


# --- all of them -----------------------------------------------------------------------------------


def fetch_all(folder: Path, urls: dict[str, str], *, private: bool) -> Iterator[tuple[str, str]]:
    """Download addresses, given by name; yield each name with the result: `ok` or a reason."""
    limits = Limits(workers=24, per_host=24, allow_private=private, **LIMITS)  # type: ignore[arg-type]
    downloads = [Download(Row(2, image_key(url), url)) for url in urls.values()]
    names = {image_key(url): name for name, url in urls.items()}
    for each in download(downloads, ImageStore(folder), fetcher_for(folder, limits), limits):
        yield names[each.key], each.reason if isinstance(each, Failure) else OK


def main() -> dict[str, dict[str, str]]:
    with serving() as web, tempfile.TemporaryDirectory() as folder:
        inside = {host: f"http://{host}:{web.port}/good.png" for host in HOSTS}
        refused = dict(fetch_all(Path(folder), inside, private=False))
        asked = len(web.asked)
        for at in ("/%C3%A4.png", "/%E4.png"):
            web.give(at, PICTURE)
        paths = {path: web.give(path, answer) for path, (answer, _) in answers(web).items()}
        expected = {path: reason for path, (_, reason) in answers(web).items()}
        served = dict(fetch_all(Path(folder), paths, private=True))
        web.closing.set()
    return {"hosts": refused, "asked": {"hosts": str(asked)}, "answers": served, "expected": expected}


if __name__ == "__main__":
    json.dump(main(), sys.stdout)
