"""Google credentials: every kind of key file, signing in, and that no secret is ever shown."""

from __future__ import annotations

import json
import logging
import os
import signal
import stat
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from google.auth import compute_engine
from google.oauth2.credentials import Credentials

from sheetsync.auth import login
from sheetsync.auth.credentials import load_credentials, other_scopes
from sheetsync.auth.key_file import SCOPE
from sheetsync.auth.login import sign_in
from sheetsync.errors import SheetError
from sheetsync.sheets.google.client import Client
from sheetsync.sheets.google.sheet import GoogleSheet
from tests.helpers.googleserver import Fault, GoogleServer, clients, faults

SHEETSYNC = str(Path(sys.executable).with_name("sheetsync"))
USER = "ada@example.com"
HEADER = ("image", "label")
PATIENCE = 300.0  # seconds until a test gives up; nothing should take so long
ALONE = {  # no credentials of this machine's; oauthlib insists on https, which the server here has not
    "PATH": os.environ["PATH"],
    "NO_GCE_CHECK": "true",
    "OAUTHLIB_INSECURE_TRANSPORT": "1",
}

TOKEN = ".sheetsync/google-token.json"


@pytest.fixture
def google() -> Iterator[GoogleServer]:
    with GoogleServer() as server:
        server.people.person.user = USER
        yield server


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Give this process a home and an environment without credentials."""
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "no gcloud"))
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")


# --- helpers --------------------------------------------------------------------------------------


def shared(google: GoogleServer, user: str = USER) -> str:
    """A sheet that this user may edit, with a row that needs no training."""
    book = google.create("Images", [HEADER, ["ftp://nowhere", "i"]], share=False)
    google.book(book).grant(user)
    return book


def project(google: GoogleServer, folder: Path, book: str, credentials: str = "credentials.json") -> Path:
    (folder / "sheetsync.toml").write_text(
        f'sheet = "https://docs.google.com/spreadsheets/d/{book}"\n'
        f'[google]\ncredentials = "{credentials}"\nendpoint = "{google.url}"\n'
    )
    return folder


def client_file(google: GoogleServer, folder: Path, kind: str = "installed") -> Path:
    path = google.client_file(folder / "credentials.json", kind)
    path.chmod(0o600)
    return path


def environment(folder: Path, **more: str) -> dict[str, str]:
    return ALONE | {"HOME": str(folder), "CLOUDSDK_CONFIG": str(folder / "no gcloud")} | more


def run(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    command, env = [SHEETSYNC, *arguments], environment(folder, **more)
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=PATIENCE)


def at_the_browser(folder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run `sheetsync login --no-browser`, and open the address that it prints; return both."""
    command = [SHEETSYNC, "login", "--no-browser", *arguments]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=folder, env=environment(folder), **pipes) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(2)]
        assert requests.get(said[1].strip(), timeout=PATIENCE).text == login.SUCCESS_MESSAGE
        out, err = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(command, process.returncode, "".join(said) + out, err), said[1].strip()


def signing_in(folder: Path, open_it: Callable[[str], object] | None = None) -> list[str]:
    """Sign in within this process; `open_it` is the browser. Return the addresses it was asked to open."""
    told: list[str] = []
    threads: list[threading.Thread] = []

    def tell(address: str) -> None:
        told.append(address)
        threads.append(threading.Thread(target=open_it or visit, args=(address,)))
        threads[0].start()

    try:
        sign_in(folder / "credentials.json", folder / TOKEN, tell, browser=False)
    finally:
        for thread in threads:
            thread.join(PATIENCE)
    return told


def visit(address: str) -> None:
    requests.get(address, timeout=PATIENCE)


@contextmanager
def open_sheet(google: GoogleServer, key: Path, book: str, **options: Any) -> Iterator[GoogleSheet]:
    """Open a sheet with the credentials in a key file; its folder is the project."""
    made = Client(load_credentials(key, key.parent / TOKEN), sleep=lambda _: None, **options)
    clients.rewriting(made.session, google.url)
    clients.rewriting(made._tokens, google.url)  # Google's library sends users to Google, whatever their file says
    try:
        yield GoogleSheet(made, book)
    finally:
        made.close()


def header(google: GoogleServer, key: Path, book: str, **options: Any) -> tuple[str, ...]:
    with open_sheet(google, key, book, **options) as sheet:
        return sheet.read().rows.header


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- signing in -----------------------------------------------------------------------------------


def test_the_whole_way_of_a_user_at_the_command_line(google: GoogleServer, tmp_path: Path) -> None:
    client_file(google, tmp_path)
    done, address = at_the_browser(tmp_path)  # before there is a sheetsync.toml
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == f"signed in, and kept in {TOKEN}"
    assert mode(tmp_path / TOKEN) == 0o600
    book = shared(google)
    project(google, tmp_path, book)
    for command in ("init", "plan"):
        assert run(tmp_path, command).returncode == 0, command
    synced = run(tmp_path, "sync")
    assert (synced.returncode, synced.stderr.count("Traceback")) == (0, 0), synced.stderr
    shown = dict(zip(*google.book(book).values("Sheet1"), strict=False))
    assert "not an image URL" in shown["status"]
    assert leaks([address, done.stdout, synced.stdout, synced.stderr], every_secret(google)) == []


def test_only_spreadsheets_are_asked_for_with_pkce_and_the_answer_comes_to_this_machine(
    google: GoogleServer, tmp_path: Path, no_credentials: None
) -> None:
    client_file(google, tmp_path)
    [address] = signing_in(tmp_path)
    asked = parse_qs(urlsplit(address).query)
    assert asked["scope"] == ["https://www.googleapis.com/auth/spreadsheets"]
    assert asked["code_challenge_method"] == ["S256"]
    assert urlsplit(asked["redirect_uri"][0]).hostname == "127.0.0.1"
    assert google.log[-1].status == 200


def test_the_browser_is_opened_and_the_key_file_is_the_one_of_the_project(google: GoogleServer, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    client_file(google, tmp_path / "keys")
    project(google, tmp_path, shared(google), "keys/credentials.json")
    browser = tmp_path / "browser.py"
    browser.write_text("import sys, urllib.request\nurllib.request.urlopen(sys.argv[1]).read()\n")
    done = run(tmp_path, "login", BROWSER=f"{sys.executable} {browser} %s &")
    assert (done.returncode, done.stderr) == (0, "")
    assert run(tmp_path, "plan").returncode == 0


@pytest.mark.parametrize("command", [["plan"], ["init", "https://docs.google.com/spreadsheets/d/x", "-p", "new"]])
def test_who_has_not_signed_in_is_told_how(google: GoogleServer, tmp_path: Path, command: list[str]) -> None:
    project(google, tmp_path, "x")
    (tmp_path / "new").mkdir()
    client_file(google, tmp_path)
    client_file(google, tmp_path / "new")
    done = run(tmp_path, *command)
    assert (done.returncode, done.stdout) == (1, "")
    assert "nobody has signed in with it yet: run `sheetsync login`" in done.stderr
    assert not google.log


def test_who_refuses_at_the_consent_screen_is_not_signed_in(
    google: GoogleServer, tmp_path: Path, no_credentials: None
) -> None:
    client_file(google, tmp_path)
    google.people.person.refuses = True
    with pytest.raises(SheetError, match=r"did not sign you in \(access_denied\): run `sheetsync login` again"):
        signing_in(tmp_path)
    assert not (tmp_path / TOKEN).exists()


def test_who_unticks_the_box_is_not_signed_in(google: GoogleServer, tmp_path: Path, no_credentials: None) -> None:
    client_file(google, tmp_path)
    google.people.person.unticks = ("https://www.googleapis.com/auth/spreadsheets",)
    with pytest.raises(SheetError, match="no right to your spreadsheets: run `sheetsync login` again and tick the box"):
        signing_in(tmp_path)
    assert not (tmp_path / TOKEN).exists()


def test_an_answer_that_nobody_asked_for_signs_nobody_in(
    google: GoogleServer, tmp_path: Path, no_credentials: None
) -> None:
    """Any page can send a browser to the waiting port; only a request with the state of this sign-in is accepted."""
    client_file(google, tmp_path)

    def forged(address: str) -> None:
        answer = requests.get(address, allow_redirects=False, timeout=PATIENCE)
        state = parse_qs(urlsplit(address).query)["state"][0]
        visit(answer.headers["Location"].replace(state, "0" * len(state)))

    with pytest.raises(SheetError, match="mismatching_state"):
        signing_in(tmp_path, forged)
    assert not (tmp_path / TOKEN).exists()
    assert google.token_requests == 0


@pytest.mark.timeout(PATIENCE)
def test_a_sign_in_that_nobody_finishes_ends(
    google: GoogleServer, tmp_path: Path, no_credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    client_file(google, tmp_path)
    monkeypatch.setattr(login, "SIGN_IN_SECONDS", 0.1)
    with pytest.raises(SheetError, match="nobody signed in"):
        signing_in(tmp_path, lambda _: None)


TROUBLE_THEN: dict[str, tuple[Callable[[GoogleServer], Fault], str]] = {
    "silence": (lambda google: faults.silent(), "Google does not answer"),
    "an end": (lambda google: faults.dropped(), "Google does not answer"),
    "trouble of its own": (lambda google: faults.html(), "did not sign you in"),
    "a page": (lambda google: faults.answered(200, page(google)), "did not sign you in"),
    "a refusal": (lambda google: faults.answered(400, echo(google)), r"did not sign you in \(invalid_grant\)"),
    "no refresh token": (
        lambda google: faults.answered(200, b'{"access_token": "ya29.x", "expires_in": 3599, "token_type": "Bearer"}'),
        "no lasting sign-in",
    ),
}


@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("trouble", TROUBLE_THEN)
def test_trouble_while_signing_in_is_told_and_bounded(
    google: GoogleServer, tmp_path: Path, no_credentials: None, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    client_file(google, tmp_path)
    fault, words = TROUBLE_THEN[trouble]
    monkeypatch.setattr(login, "TIMEOUT", (5.0, 0.3))
    google.faults.plan = lambda method, path, number: fault(google) if path == "/token" else None
    with pytest.raises(SheetError, match=words) as caught:
        signing_in(tmp_path)
    assert google.people.codes
    assert leaks([format_error(caught.value)], every_secret(google)) == []
    assert not (tmp_path / TOKEN).exists()


def web_client(google: GoogleServer, folder: Path) -> None:
    client_file(google, folder, "web")


def service_key(google: GoogleServer, folder: Path) -> None:
    google.key_file(folder / "credentials.json").chmod(0o600)


def no_key_file(google: GoogleServer, folder: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("give", "words"),
    [
        (web_client, "is an OAuth client for web servers: make one of type “Desktop app”"),
        (service_key, "works without signing in: go on with `sheetsync plan`"),
        (no_key_file, "there is no credentials.json: make an OAuth client of type “Desktop app”"),
    ],
)
def test_login_says_which_file_it_needs(
    google: GoogleServer, tmp_path: Path, give: Callable[[GoogleServer, Path], None], words: str
) -> None:
    give(google, tmp_path)
    done = run(tmp_path, "login", "--no-browser")
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr


def test_a_web_client_reads_no_sheet(google: GoogleServer, tmp_path: Path) -> None:
    with pytest.raises(SheetError, match="make one of type “Desktop app”"):
        load_credentials(client_file(google, tmp_path, "web"), tmp_path / TOKEN)


# --- the stored sign-in ---------------------------------------------------------------------------


def signed_in(google: GoogleServer, folder: Path, **changes: Any) -> tuple[Path, str]:
    """A key file with a stored sign-in beside it, with changes to what is stored, and a sheet to read."""
    key = client_file(google, folder)
    client = json.loads(key.read_text())["installed"]["client_id"]
    scopes = ["https://www.googleapis.com/auth/spreadsheets"]
    stored = {
        "client_id": client,
        "refresh_token": google.people.refresh_token(client, USER, frozenset(scopes)),
        "scopes": scopes,
    }
    (folder / TOKEN).parent.mkdir(exist_ok=True)
    (folder / TOKEN).write_text(json.dumps(stored | changes))
    (folder / TOKEN).chmod(0o600)
    return key, shared(google)


def test_what_login_stores_is_what_is_read(google: GoogleServer, tmp_path: Path, no_credentials: None) -> None:
    key = client_file(google, tmp_path)
    signing_in(tmp_path)
    stored = json.loads((tmp_path / TOKEN).read_text())
    assert header(google, key, shared(google)) == HEADER
    _, _ = signed_in(google, tmp_path)
    assert stored.keys() == json.loads((tmp_path / TOKEN).read_text()).keys()


def test_a_sign_in_that_was_withdrawn_asks_for_another(google: GoogleServer, tmp_path: Path) -> None:
    key, book = signed_in(google, tmp_path)
    google.people.lasting.clear()
    with pytest.raises(
        SheetError, match=r"no longer accepts your sign-in \(invalid_grant: .*: run `sheetsync login` a"
    ):
        header(google, key, book)


def test_a_sign_in_with_another_client_is_not_even_tried(google: GoogleServer, tmp_path: Path) -> None:
    key, book = signed_in(google, tmp_path)
    client_file(google, tmp_path)
    with pytest.raises(SheetError, match=r"made with another OAuth client than .*: run `sheetsync login` again"):
        header(google, key, book)
    assert google.token_requests == 0


def test_a_stored_sign_in_without_the_right_is_not_even_tried(google: GoogleServer, tmp_path: Path) -> None:
    key, book = signed_in(google, tmp_path, scopes=["https://www.googleapis.com/auth/drive.file"])
    with pytest.raises(SheetError, match="no right to your spreadsheets"):
        header(google, key, book)
    assert google.token_requests == 0


def test_a_right_that_was_taken_away_is_noticed(google: GoogleServer, tmp_path: Path) -> None:
    key, book = signed_in(google, tmp_path)
    for token, grant in google.people.lasting.items():
        google.people.lasting[token] = replace(grant, scopes=frozenset())
    with pytest.raises(SheetError, match="no right to your spreadsheets"):
        header(google, key, book)


def test_an_access_token_of_fewer_rights_is_noticed(google: GoogleServer, tmp_path: Path) -> None:
    key, book = signed_in(google, tmp_path)
    answer = {"access_token": "ya29.x", "expires_in": 3599, "scope": "openid", "token_type": "Bearer"}
    google.faults.plan = lambda method, path, number: faults.answered(200, json.dumps(answer).encode())
    with pytest.raises(SheetError, match="no right to your spreadsheets"):
        header(google, key, book)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"refresh_token": "TOPSECRET"}', '{"client_id": null}'])
def test_a_stored_sign_in_that_is_none_asks_for_another(google: GoogleServer, tmp_path: Path, content: str) -> None:
    key, book = signed_in(google, tmp_path)
    (tmp_path / TOKEN).write_text(content)
    with pytest.raises(SheetError, match="run `sheetsync login` again") as caught:
        header(google, key, book)
    assert "TOPSECRET" not in format_error(caught.value)


@pytest.mark.parametrize("token", [None, "", 5, ["TOPSECRET"]])
def test_a_stored_sign_in_without_a_token_asks_for_another(google: GoogleServer, tmp_path: Path, token: Any) -> None:
    key, book = signed_in(google, tmp_path, refresh_token=token)
    with pytest.raises(SheetError, match="holds no sign-in: run `sheetsync login` again"):
        header(google, key, book)


def test_a_refresh_token_that_is_replaced_is_not_lost(google: GoogleServer, tmp_path: Path) -> None:
    key, book = signed_in(google, tmp_path)
    google.people.rotates = True
    tokens = set()
    for _ in range(3):
        assert header(google, key, book) == HEADER
        tokens.add(json.loads((tmp_path / TOKEN).read_text())["refresh_token"])
    assert len(tokens) == 3
    assert tokens & google.people.lasting.keys() == set(google.people.lasting)
    assert mode(tmp_path / TOKEN) == 0o600
    assert [path.name for path in (tmp_path / TOKEN).parent.iterdir()] == [Path(TOKEN).name]


def test_an_access_token_that_expires_is_renewed(google: GoogleServer, tmp_path: Path) -> None:
    key, book = signed_in(google, tmp_path)
    with open_sheet(google, key, book) as sheet:
        sheet.read()
        google.expire_tokens()
        assert sheet.read().rows.header == HEADER


def test_a_sign_in_is_at_no_moment_readable_by_others(tmp_path: Path) -> None:
    """Its file is created with its final mode: no mode is changed later, even with an umask of 0."""
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom sheetsync.auth.user_token import save_sign_in\n"
        "os.umask(0)\nsys.addaudithook(lambda event, _: event == 'os.chmod' and sys.exit('chmod'))\n"
        "for token in ('token', 'new'):\n    save_sign_in(Path('folder/token.json'), 'client', token)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert mode(tmp_path / "folder" / "token.json") == 0o600
    assert json.loads((tmp_path / "folder" / "token.json").read_text())["refresh_token"] == "new"
    assert len(list((tmp_path / "folder").iterdir())) == 1


def test_a_disk_that_refuses_leaves_the_old_sign_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import resource, signal\nfrom pathlib import Path\nfrom sheetsync.auth.user_token import save_sign_in\n"
        "save_sign_in(Path('token.json'), 'client', 'token')\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))\n"
        "save_sign_in(Path('token.json'), 'client', 'n' * 500)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert "File too large" in done.stderr
    assert json.loads((tmp_path / "token.json").read_text())["refresh_token"] == "token"
    assert len(list(tmp_path.iterdir())) == 1


# --- key files ------------------------------------------------------------------------------------


def edited(content: dict[str, Any], **changes: Any) -> str:
    return json.dumps({name: value for name, value in (content | changes).items() if value is not ...})


SPOILT: dict[str, tuple[Callable[[dict[str, Any]], str], str]] = {
    "cut short": (lambda key: json.dumps(key)[:-300], "or a part of one"),
    "empty": (lambda key: "", "or a part of one"),
    "a list": (lambda key: json.dumps([key]), "or a part of one"),
    "nested without end": (lambda key: "[" * 200_000, "or a part of one"),
    "broken key": (lambda key: edited(key, private_key=key["private_key"].replace("M", "!")), "cannot be used"),
    "half a key": (lambda key: edited(key, private_key=key["private_key"][:900]), "cannot be used"),
    "no PEM": (
        lambda key: edited(key, private_key="".join(key["private_key"].splitlines()[1:-1])),
        "cannot be used",
    ),
    "no key": (lambda key: edited(key, private_key=...), "has no usable private_key"),
    "a number": (lambda key: edited(key, client_email=5), "has no usable client_email"),
    "no fields": (
        lambda key: edited({}, type="service_account"),
        "no usable client_email, private_key, token_uri",
    ),
    "no type": (lambda key: edited(key, type=...), "is neither the key of a service account nor"),
    "another type": (
        lambda key: edited(key, type="external_account"),
        "is neither the key of a service account nor",
    ),
    "a type that is none": (lambda key: edited(key, type=["service_account"]), "is neither the key of a service"),
    "a client of nothing": (lambda key: json.dumps({"installed": key["private_key"]}), "has no usable client_id"),
    "half a client": (lambda key: json.dumps({"installed": {"client_id": "x"}}), "no usable client_secret, auth_uri"),
    "half a user": (
        lambda key: edited(key, type="authorized_user"),
        "has no usable client_secret, refresh_token",
    ),
    "a user of another time": (
        lambda key: edited(key, type="authorized_user", client_secret="x", refresh_token="y", expiry=5),
        "cannot be used",
    ),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_key_file_that_is_none_is_told_and_not_its_content(google: GoogleServer, tmp_path: Path, kind: str) -> None:
    spoil, words = SPOILT[kind]
    key = google.key_file(tmp_path / "credentials.json")
    hidden = every_secret(google, key)
    key.write_text(spoil(json.loads(key.read_text())))
    with pytest.raises(SheetError, match=words) as caught:
        load_credentials(key, tmp_path / TOKEN)
    assert str(key) in str(caught.value)
    assert leaks([format_error(caught.value)], hidden) == []


def test_bytes_that_are_no_text_and_a_folder_are_no_key_file(tmp_path: Path) -> None:
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe{")
    for name, words in (("bytes.json", "or a part of one"), (".", "Is a directory")):
        with pytest.raises(SheetError, match=words):
            load_credentials(tmp_path / name, tmp_path / TOKEN)


def test_files_that_others_can_read_get_a_warning(
    google: GoogleServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key, _ = signed_in(google, tmp_path)
    load_credentials(key, tmp_path / TOKEN)
    assert caplog.messages == []
    for path in (key, tmp_path / TOKEN):
        path.chmod(0o640)
    load_credentials(key, tmp_path / TOKEN)
    assert [words.rpartition("chmod 600 ")[2] for words in caplog.messages] == [str(key), str(tmp_path / TOKEN)]


def test_what_credentials_open_is_said_as_far_as_it_is_known(google: GoogleServer, tmp_path: Path) -> None:
    key, _ = signed_in(google, tmp_path)
    assert other_scopes(load_credentials(key, tmp_path / TOKEN)) == "and nothing else"
    assert (
        other_scopes(load_credentials(google.key_file(tmp_path / "key.json"), tmp_path / TOKEN)) == "and nothing else"
    )
    assert "perhaps for more" in other_scopes(compute_engine.Credentials())  # type: ignore[no-untyped-call]
    assert "perhaps for more" in other_scopes(Credentials("token"))  # type: ignore[no-untyped-call]
    assert other_scopes(Credentials("token", granted_scopes=[SCOPE])) == "and nothing else"  # type: ignore[no-untyped-call]
    more = other_scopes(Credentials("token", granted_scopes=[SCOPE, "drive"]))  # type: ignore[no-untyped-call]
    assert more == "and for more than sheetsync needs: drive"


# --- the credentials of the machine ---------------------------------------------------------------


def test_a_service_account_of_the_machine(google: GoogleServer, tmp_path: Path) -> None:
    key, book = google.key_file(tmp_path / "elsewhere.json"), google.create("Images", [HEADER])
    done = run(project(google, tmp_path, book), "plan", GOOGLE_APPLICATION_CREDENTIALS=str(key))
    assert done.returncode == 0, done.stderr
    assert "200" in str(google.log[-1])


def test_a_user_of_the_machine(
    google: GoogleServer, tmp_path: Path, no_credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = google.user_file(tmp_path / "user.json", USER)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(user))
    assert header(google, tmp_path / "none.json", shared(google)) == HEADER
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    assert header(google, user, shared(google)) == HEADER  # as the key file itself


def test_without_any_credentials_all_three_ways_are_told(google: GoogleServer, tmp_path: Path) -> None:
    done = run(project(google, tmp_path, "x"), "sync", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    ways = ("the key of a service account", "run `sheetsync login`", "Application Default Credentials")
    assert [way for way in ways if way not in line] == []
    assert str(tmp_path / "credentials.json") in line


@pytest.mark.parametrize("content", [None, "{", "[]", '{"type": "service_account"}', '{"type": "authorized_user"}'])
def test_credentials_of_the_machine_that_are_none(
    tmp_path: Path, no_credentials: None, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "given.json").write_text(content)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "given.json"))
    with pytest.raises(SheetError, match=r"given\.json, which GOOGLE_APPLICATION_CREDENTIALS names, is none"):
        load_credentials(tmp_path / "none.json", tmp_path / TOKEN)


# --- no secret is ever told -----------------------------------------------------------------------


def every_secret(google: GoogleServer, *files: Path) -> set[str]:
    """Return everything that must stay between sheetsync and Google."""
    found = {*google.tokens.given, *google.people.lasting, *google.people.codes, *google.people.clients.values()}
    for path in files:
        content = json.loads(path.read_text())
        flat = content.get("installed", content)
        found |= {flat[name] for name in ("client_secret", "refresh_token") if name in flat}
        found |= {line for line in flat.get("private_key", "").splitlines() if len(line) > 30 and "-----" not in line}
    return found


def leaks(texts: list[str], secrets: set[str]) -> list[str]:
    """Return the secrets that are in some texts, or parts of them are."""
    assert all(len(secret) > 20 for secret in secrets)
    everything = "\n".join(texts)
    parts = {secret: [secret[:20], secret[-20:]] for secret in secrets}
    return sorted(secret for secret, each in parts.items() if any(part in everything for part in each))


def format_error(error: BaseException) -> str:
    """Format an error as a traceback shows it, with all its causes."""
    return "".join(traceback.format_exception(error))


def file_contents(folder: Path, *but: Path) -> list[str]:
    """Return the content of the files of a project."""
    files = [path for path in folder.rglob("*") if path.is_file() and path not in but]
    return [path.read_bytes().decode(errors="replace") for path in files]


def echo(google: GoogleServer, *files: Path) -> bytes:
    """Return a refusal that repeats everything that was sent."""
    said = {"error": "invalid_grant", "error_description": "What is " + " and ".join(every_secret(google, *files))}
    return json.dumps(said).encode()


def page(google: GoogleServer, *files: Path) -> bytes:
    return f"<html><pre>{' '.join(every_secret(google, *files))}".encode()


TROUBLE: dict[str, Callable[[GoogleServer, tuple[Path, ...]], Fault]] = {
    "a refusal that repeats what was sent": lambda google, files: faults.answered(400, echo(google, *files)),
    "a refusal without words": lambda google, files: faults.answered(401, b'{"error": "invalid_client"}'),
    "no token in the answer": lambda google, files: faults.answered(200, echo(google, *files)),
    "a page that repeats what was sent": lambda google, files: faults.answered(200, page(google, *files), "text/html"),
    "a page that is called text": lambda google, files: faults.answered(200, page(google, *files), "text/plain"),
    "a page with a status": lambda google, files: faults.answered(403, page(google, *files), "text/html"),
    "trouble of its own": lambda google, files: faults.html(502),
    "silence": lambda google, files: faults.silent(),
    "an end": lambda google, files: faults.dropped(),
}
PASSES = ("a page", "trouble", "silence", "an end")


@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("kind", ["service account", "user"])
@pytest.mark.parametrize("trouble", TROUBLE)
def test_trouble_with_tokens_is_bounded_told_and_without_a_secret(
    google: GoogleServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, trouble: str, kind: str
) -> None:
    caplog.set_level(logging.DEBUG, "sheetsync")
    if kind == "user":
        key, book = signed_in(google, tmp_path)
        files: tuple[Path, ...] = (key, tmp_path / TOKEN)
    else:
        key, book = google.key_file(tmp_path / "credentials.json"), google.create("Images", [HEADER])
        files = (key,)
    fault = TROUBLE[trouble](google, files)
    google.faults.plan = lambda method, path, number: fault if path == "/token" else None
    with pytest.raises(SheetError) as caught:
        header(google, key, book, patience=0.5, timeout=(5.0, 0.3))
    assert ("does not answer" in str(caught.value)) == trouble.startswith(PASSES)
    assert "Google" in str(caught.value)
    assert leaks([format_error(caught.value), *caplog.messages], every_secret(google, *files)) == []
    google.faults.plan = None
    assert header(google, key, book) == HEADER


def test_trouble_with_tokens_that_passes_is_waited_out(google: GoogleServer, tmp_path: Path) -> None:
    key, book = signed_in(google, tmp_path)
    passing = {1: faults.html(502), 2: faults.answered(200, b"<p>Welcome"), 3: faults.dropped()}
    google.faults.plan = lambda method, path, number: passing.get(number) if path == "/token" else None
    assert header(google, key, book) == HEADER
    assert google.token_requests == 4


def a_revoked_sign_in(google: GoogleServer, book: str) -> None:
    google.people.lasting.clear()


def a_sheet_of_others(google: GoogleServer, book: str) -> None:
    google.book(book).withdraw(USER)


def tokens_that_nobody_knows(google: GoogleServer, book: str) -> None:
    google.before = lambda method, path: google.expire_tokens()


def nothing_wrong(google: GoogleServer, book: str) -> None:
    pass


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (a_revoked_sign_in, "run `sheetsync login` again"),
        (a_sheet_of_others, "The caller does not have permission"),
        (tokens_that_nobody_knows, "invalid authentication credentials"),
        (nothing_wrong, ""),
    ],
)
def test_no_secret_leaves_the_command_line(
    google: GoogleServer, tmp_path: Path, spoil: Callable[[GoogleServer, str], None], words: str
) -> None:
    key, book = signed_in(google, tmp_path)
    project(google, tmp_path, book)
    hidden = every_secret(google, key)
    spoil(google, book)
    done = run(tmp_path, "sync", "--json")
    assert done.returncode == (1 if words else 0), done.stderr
    assert words in done.stderr
    hidden |= every_secret(google)
    assert leaks([done.stdout, done.stderr, *file_contents(tmp_path, key, tmp_path / TOKEN)], hidden) == []
    assert leaks(file_contents(tmp_path), hidden) != []  # the search itself finds what there is


@pytest.mark.parametrize("spoil", [a_revoked_sign_in, nothing_wrong])
def test_no_secret_is_logged_by_watch(
    google: GoogleServer, tmp_path: Path, spoil: Callable[[GoogleServer, str], None]
) -> None:
    key, book = signed_in(google, tmp_path)
    key.chmod(0o644)
    hidden = every_secret(google, key)
    spoil(google, book)
    google.faults.plan = lambda method, path, number: faults.html(502) if (path, number) == ("/token", 1) else None
    command = [SHEETSYNC, "watch", "-p", str(project(google, tmp_path, book))]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment(tmp_path), **pipes) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline()]
        while "ERROR" not in lines[-1] and " rows, " not in lines[-1]:
            lines.append(process.stderr.readline())
            assert lines[-1], lines
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE)
    assert ("run `sheetsync login` again" in lines[-1]) == (spoil is a_revoked_sign_in)
    assert "chmod 600" in "".join(lines)
    assert leaks([*lines, out, err], hidden | every_secret(google)) == []
