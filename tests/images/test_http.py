"""Fetching over HTTP: conditional requests, DNS and SSRF, proxies, TLS certificates, and deadlines."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from sheetsync.images.fetch.base import Fetched, FetchError, Limits, NotRequestedError, TransientError
from sheetsync.images.fetch.connections import CA_BUNDLE_VARIABLES, MAX_HOSTS
from sheetsync.images.fetch.http import HttpFetcher
from tests.helpers.outside import PUBLIC, resolve_names, serve_public_address_here
from tests.helpers.webserver import WebServer, drip, page, redirect, serving, status

PICTURE = b"a picture"
HERE = Limits(connect_seconds=2.0, read_seconds=2.0, total_seconds=10.0, max_bytes=100_000, allow_private=True)
OUTSIDE = Limits(connect_seconds=2.0, read_seconds=2.0, total_seconds=10.0, max_bytes=100_000)
REFUSED = "not a public address"


@pytest.fixture
def web() -> Iterator[WebServer]:
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", *CA_BUNDLE_VARIABLES):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def fetch_once(url: str, validator: str = "", limits: Limits = HERE) -> tuple[bytes, Fetched]:
    into = io.BytesIO()
    fetched = HttpFetcher(limits)(url, into, validator)
    return into.getvalue(), fetched


def fetch_error(url: str, limits: Limits = HERE) -> str:
    with pytest.raises(FetchError) as caught:
        fetch_once(url, limits=limits)
    return str(caught.value)


# --- conditional requests -------------------------------------------------------------------------

DATE = "Wed, 25 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"ETag": '"v1"', "Last-Modified": DATE}, '"v1"'),
        ({"ETag": 'W/"v1"'}, 'W/"v1"'),
        ({"ETag": '""'}, '""'),
        ({"Last-Modified": DATE}, DATE),
        ({}, ""),
        ({"ETag": "v1", "Last-Modified": DATE}, DATE),
        ({"ETag": '"a\tb"'}, ""),
        ({"ETag": '"ä"'}, ""),
        ({"ETag": f'"{"x" * 199}"', "Last-Modified": DATE}, DATE),
        ({"ETag": f'"{"x" * 198}"'}, f'"{"x" * 198}"'),
        ({"Last-Modified": "yesterday"}, ""),
        ({"Last-Modified": f"{DATE}\tX"}, ""),
    ],
)
def test_an_answer_is_known_again_by_its_tag_or_its_date(
    web: WebServer, headers: dict[str, str], validator: str
) -> None:
    url = web.give("/1.png", page(PICTURE, **headers))
    assert fetch_once(url) == (PICTURE, Fetched(validator))


@pytest.mark.parametrize(("validator", "header"), [('W/"v1"', "If-None-Match"), (DATE, "If-Modified-Since")])
def test_what_has_not_changed_is_not_sent_again(web: WebServer, validator: str, header: str) -> None:
    web.give("/1.png", status(304))
    url = web.give("/2.png", redirect("/1.png"))
    assert fetch_once(url, validator) == (b"", Fetched(validator, unchanged=True))
    assert [headers.get(header) for headers in web.headers] == [validator, validator]
    assert not [headers for headers in web.headers if {"If-None-Match", "If-Modified-Since"} - {header} & set(headers)]


def test_the_connection_of_an_answer_without_content_is_used_again(web: WebServer) -> None:
    fetch = HttpFetcher(HERE)
    url = web.give("/1.png", status(304, ETag='"v2"'))
    for _ in range(3):
        assert fetch(url, io.BytesIO(), '"v1"') == Fetched('"v2"', unchanged=True)
    assert web.connections == 1


def test_an_error_keeps_its_connection_unless_much_is_said_of_it(web: WebServer) -> None:
    def lengthy(handler: Any) -> None:
        handler.send_head(404, {"Content-Length": 10**9})

    def short(handler: Any) -> None:
        handler.send_head(404, {"Content-Length": 5})
        handler.wfile.write(b"sorry")

    fetch = HttpFetcher(HERE)
    for url in [web.give("/short.png", short)] * 3 + [web.give("/empty.png", status(503))] * 3:
        with pytest.raises(FetchError, match="the server answers"):
            fetch(url, io.BytesIO())
    assert web.connections == 1
    with pytest.raises(FetchError, match="the server answers 404"):
        fetch(web.give("/lengthy.png", lengthy), io.BytesIO())


def test_what_has_changed_comes_with_its_new_mark(web: WebServer) -> None:
    assert fetch_once(web.give("/1.png", page(PICTURE, ETag='"v2"')), '"v1"') == (PICTURE, Fetched('"v2"'))
    assert fetch_error(web.give("/2.png", status(304))) == "the server answers 304 (Not Modified)"


def test_a_pause_is_asked_for_in_seconds_or_until_a_time(web: WebServer) -> None:
    waits = []
    for headers in ({"Retry_After": "7"}, {"Retry_After": DATE.replace("10:00:00", "10:01:30"), "Date": DATE}, {}):
        with pytest.raises(TransientError) as caught:
            fetch_once(web.give("/busy", unavailable(**headers)))
        waits.append(caught.value.retry_after)
    assert waits == [7.0, 90.0, None]


@pytest.mark.parametrize(
    "retry_after", [DATE.replace("2026", "9" * 11), DATE.replace("GMT", f"+{'9' * 20}"), "9" * 5000, "²"]
)
def test_a_time_that_no_clock_shows_is_a_pause_like_any_other(web: WebServer, retry_after: str) -> None:
    with pytest.raises(TransientError, match="503") as caught:
        fetch_once(web.give("/busy", unavailable(Retry_After=retry_after, Date=DATE)))
    assert caught.value.retry_after in (None, float("inf"))


def unavailable(**headers: str) -> Any:
    """Answer 503 without the Date header that the server adds by itself."""

    def answer(handler: Any) -> None:
        handler.send_response_only(503)
        for name, value in ({"Content-Length": "0"} | headers).items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()

    return answer


# --- DNS and SSRF ---------------------------------------------------------------------------------


def test_a_name_that_is_public_first_and_private_then_is_refused_at_connect(
    web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second lookup is of the IP address itself: an answer of another one would redirect the connection."""
    web.give("/1.png", PICTURE)
    lookups = resolve_names(
        monkeypatch, pics_example=[PUBLIC, "127.0.0.1"], **{PUBLIC.replace(".", "_"): ["127.0.0.1"]}
    )
    assert fetch_error(f"http://pics.example:{web.port}/1.png", OUTSIDE).startswith(REFUSED)
    assert lookups == ["pics.example", PUBLIC]
    fetch_once(web.give("/2.png", PICTURE))
    assert web.asked == ["/2.png"]


def test_a_name_that_changes_between_connections_is_refused_at_the_second(
    web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_public_address_here(monkeypatch)
    lookups = resolve_names(monkeypatch, pics_example=[PUBLIC, "127.0.0.1"])
    web.give("/1.png", redirect("/2.png", Connection="close"))
    web.give("/2.png", PICTURE)
    assert fetch_error(f"http://pics.example:{web.port}/1.png", OUTSIDE).startswith(REFUSED)
    assert [name for name in lookups if name == "pics.example"] == ["pics.example"] * 2
    assert (web.connections, web.asked) == (1, ["/1.png"])


def test_between_the_look_at_a_name_and_the_connection_it_is_not_asked_again(
    web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the owner of a name could learn which ports are open inside, from the reason of a connection that fails."""
    serve_public_address_here(monkeypatch)
    lookups = resolve_names(monkeypatch, pics_example=[PUBLIC, "127.0.0.1"])
    web.give("/1.png", PICTURE)
    assert fetch_once(f"http://pics.example:{web.port}/1.png", limits=OUTSIDE)[0] == PICTURE
    assert lookups.count("pics.example") == 1


@pytest.mark.parametrize("both", [f"{PUBLIC} 127.0.0.1", f"127.0.0.1 {PUBLIC}", f"{PUBLIC} ::1", "64:ff9b::7f00:1"])
def test_a_name_with_one_private_address_is_refused_without_a_connection(
    web: WebServer, monkeypatch: pytest.MonkeyPatch, both: str
) -> None:
    serve_public_address_here(monkeypatch)
    resolve_names(monkeypatch, pics_example=[both])
    assert fetch_error(f"http://pics.example:{web.port}/1.png", OUTSIDE).startswith(REFUSED)
    fetch_once(web.give("/2.png", PICTURE))
    assert web.connections == 1


def test_the_next_address_of_a_name_is_tried(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    serve_public_address_here(monkeypatch)
    real = socket.getaddrinfo("127.0.0.2", 1)[0][4][0]  # nobody listens there
    resolve_names(monkeypatch, pics_example=[f"{real} {PUBLIC}"])
    web.give("/1.png", PICTURE)
    assert fetch_once(f"http://pics.example:{web.port}/1.png")[0] == PICTURE


# --- proxies --------------------------------------------------------------------------------------


def test_a_proxy_is_asked_and_may_be_private(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", web.address.replace("//", "//me:secret@"))
    web.give("http://pics.invalid/1.png", redirect("http://more.invalid/2.png"))
    web.give("http://more.invalid/2.png", PICTURE)
    assert fetch_once("http://pics.invalid/1.png", limits=OUTSIDE)[0] == PICTURE
    assert web.asked == ["http://pics.invalid/1.png", "http://more.invalid/2.png"]
    names = [{name.lower() for name in headers} for headers in web.headers]
    assert all("proxy-authorization" in each and "authorization" not in each for each in names)


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "[::1]", "localhost", "169.254.169.254", "inside.example"])
def test_a_proxy_is_not_asked_for_what_is_private_as_seen_from_here(
    web: WebServer, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    resolve_names(monkeypatch, inside_example=["10.0.0.7"])
    monkeypatch.setenv("HTTP_PROXY", web.address)
    monkeypatch.setenv("HTTPS_PROXY", web.address)
    for scheme in ("http", "https"):
        assert fetch_error(f"{scheme}://{host}/1.png", OUTSIDE).startswith(REFUSED)
    assert web.asked == []
    web.give("http://pics.invalid/1.png", redirect(f"http://{host}/1.png"))
    assert fetch_error("http://pics.invalid/1.png", OUTSIDE).startswith(REFUSED)
    assert web.asked == ["http://pics.invalid/1.png"]
    web.give(f"http://{host}/1.png", PICTURE)
    assert fetch_once(f"http://{host}/1.png")[0] == PICTURE  # where private ones are allowed


@pytest.mark.parametrize("proxy", ["socks5://proxy.example:1080", "http://", "http://[", "proxy.example:99999", ":::"])
def test_what_is_no_proxy_is_told_as_such_and_nobody_is_asked(
    web: WebServer, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(NotRequestedError, match="HTTP_PROXY or HTTPS_PROXY names no proxy that can be used"):
        fetch_once(web.give("/1.png", PICTURE))
    assert web.asked == []


def test_hosts_that_need_no_proxy_are_asked_themselves(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:3128")
    url = web.give("/1.png", PICTURE)
    assert fetch_error(url) == "the proxy gives no connection to the server"
    monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
    assert fetch_once(url)[0] == PICTURE
    assert fetch_error(url, OUTSIDE).startswith(REFUSED)


def test_a_proxy_that_makes_no_tunnel_is_told(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", web.address)
    assert fetch_error("https://pics.invalid/1.png", OUTSIDE) == "the proxy gives no connection to the server"
    assert web.asked == []


# --- TLS certificates -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a self-signed certificate of this machine, with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "here")]),
    )
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(secret + certificate.public_bytes(pem))
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[WebServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(tls=context) as server:
        yield server


def test_only_a_server_whose_certificate_is_trusted_is_asked(
    secure: WebServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = secure.give("/1.png", PICTURE)
    refused = "no secure connection to the server: its certificate may be wrong"
    assert fetch_error(url) == refused
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        with monkeypatch.context() as patch:
            patch.setenv(name, str(certificate))
            assert fetch_once(url)[0] == PICTURE
            assert fetch_error(url.replace("127.0.0.1", "localhost")) == refused
            patch.setenv(name, f"{certificate}.gone")
            with pytest.raises(NotRequestedError, match="no secure connection: REQUESTS_CA_BUNDLE, "):
                fetch_once(url)
    assert secure.asked == ["/1.png"] * 2


def test_an_answer_that_drips_through_tls_ends_in_time(
    secure: WebServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    url = secure.give("/1.png", drip(bytes(1000), 0.02))
    assert fetch_error(url, Limits(total_seconds=0.6, allow_private=True)) == "too slow: not whole after 0.6 s"


@pytest.mark.parametrize("start", [b"\x16\x03\x03\x40\x00", b"HTTP/1.1 200 OK\r\nX-Long: "])
def test_who_drips_before_tls_stands_ends_in_time(start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server in its first TLS record, of 16 kB, or a proxy in its answer to CONNECT."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        done, address = threading.Event(), f"127.0.0.1:{server.getsockname()[1]}"
        threading.Thread(target=send_and_drip, args=(server, start, done), daemon=True).start()
        if start.startswith(b"HTTP"):
            monkeypatch.setenv("HTTPS_PROXY", f"http://{address}")
        try:
            assert fetch_error(f"https://{address}/", Limits(total_seconds=0.6, allow_private=True)).startswith(
                "too slow"
            )
        finally:
            done.set()


def send_and_drip(server: socket.socket, start: bytes, done: threading.Event) -> None:
    peer, _ = server.accept()
    with peer, contextlib.suppress(OSError):
        peer.sendall(start)
        while not done.wait(0.02):
            peer.sendall(b"x")


# --- many at a time -------------------------------------------------------------------------------


def test_threads_share_their_connections(web: WebServer) -> None:
    fetch, urls = HttpFetcher(HERE), [web.give(f"/{number}.png", PICTURE) for number in range(60)]
    for _ in range(3):
        with ThreadPoolExecutor(6) as pool:  # new threads each time
            list(pool.map(lambda url: fetch(url, io.BytesIO()), urls))
    assert len(web.asked) == 180
    assert web.connections <= 6


def test_a_kept_connection_that_the_server_has_ended_costs_no_attempt(web: WebServer) -> None:
    """Nor one on which more came than its Content-Length: the rest is not taken for the next response."""

    def hasty(handler: Any) -> None:
        handler.close_connection = True
        page(PICTURE)(handler)

    def chatty(handler: Any) -> None:
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(PICTURE), PICTURE)
        handler.wfile.write(whole + b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    fetch = HttpFetcher(HERE)
    for url in (web.give("/hasty.png", hasty), web.give("/chatty.png", chatty)):
        for _ in range(100):
            fetch(url, io.BytesIO())
    assert len(web.asked) == 200


def test_of_very_many_hosts_the_connections_of_some_are_kept(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    web.give("/1.png", PICTURE)
    hosts, fetch = MAX_HOSTS + 40, HttpFetcher(HERE)
    resolve_names(monkeypatch, **{f"h{number}_example": ["127.0.0.1"] for number in range(hosts)})
    for number in range(hosts):
        fetch(f"http://h{number}.example:{web.port}/1.png", io.BytesIO())
    assert web.connections == hosts
    assert count_connections(web.port) <= MAX_HOSTS
    del fetch


def count_connections(port: int) -> int:
    """Count the connections of this process to a port."""
    count = 0
    for handle in Path("/proc/self/fd").iterdir():
        try:
            with socket.socket(fileno=os.dup(int(handle.name))) as peer:
                count += peer.family == socket.AF_INET and peer.getpeername()[1] == port
        except OSError:  # no connection, or gone
            continue
    return count


def test_one_thread_watches_the_time_of_all_and_ends_with_them(web: WebServer) -> None:
    def watchdogs() -> int:
        return sum(thread.name == "watchdog" for thread in threading.enumerate())

    before, most = watchdogs(), 0

    def counting(handler: Any) -> None:
        nonlocal most
        most = max(most, watchdogs())
        page(PICTURE)(handler)

    fetch, url = HttpFetcher(HERE), web.give("/1.png", counting)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: fetch(url, io.BytesIO()), range(40)))
    assert most <= before + 1
    until = time.monotonic() + 30
    while watchdogs() > 0 and time.monotonic() < until:
        time.sleep(0.05)
    assert watchdogs() == 0
