"""OAuth of the server that stands in for Google, over plain HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.helpers.googleserver import GoogleServer
from tests.helpers.googleserver.world import OWNER

SCOPE = "https://www.googleapis.com/auth/spreadsheets"
VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
HERE = "http://127.0.0.1:5050/"
Answer = tuple[int, dict[str, Any]]


@pytest.fixture
def google() -> Iterator[GoogleServer]:
    with GoogleServer() as server:
        yield server


@pytest.fixture
def client(google: GoogleServer, tmp_path: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads(google.client_file(tmp_path / "client.json").read_text())["installed"]
    return found


def consent(client: dict[str, str], **changes: str) -> requests.Response:
    asked = {
        "client_id": client["client_id"],
        "redirect_uri": HERE,
        "response_type": "code",
        "scope": f"{SCOPE} openid",
        "state": "a&b",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return requests.get(client["auth_uri"], params=asked | changes, allow_redirects=False, timeout=20)


def sent_on(answer: requests.Response) -> dict[str, list[str]]:
    assert answer.headers["Location"].startswith(f"{HERE}?")
    return parse_qs(urlsplit(answer.headers["Location"]).query)


def tokens(client: dict[str, str], **form: str) -> Answer:
    who = {"client_id": client["client_id"], "client_secret": client["client_secret"]}
    answer = requests.post(client["token_uri"], data=who | form, timeout=20)
    return answer.status_code, answer.json()


def code(client: dict[str, str], **changes: str) -> dict[str, str]:
    """Return the form that redeems a new code, with changes."""
    got = sent_on(consent(client))["code"][0]
    form = {"grant_type": "authorization_code", "code": got, "redirect_uri": HERE, "code_verifier": VERIFIER}
    return form | changes


def refresh(token: str, **changes: str) -> dict[str, str]:
    return {"grant_type": "refresh_token", "refresh_token": token} | changes


def test_a_code_gives_both_tokens_and_a_refresh_token_gives_more(google: GoogleServer, client: dict[str, str]) -> None:
    first = tokens(client, **code(client))
    assert first[0] == 200
    assert set(first[1]["scope"].split()) == {SCOPE, "openid"}
    again = tokens(client, **refresh(first[1]["refresh_token"], scope=SCOPE))
    assert (again[0], again[1]["scope"], "refresh_token" in again[1]) == (200, SCOPE, False)
    book = google.create("Mine", share=False)
    for token in (first[1]["access_token"], again[1]["access_token"]):
        headers = {"Authorization": f"Bearer {token}"}
        assert requests.get(f"{google.url}/v4/spreadsheets/{book}", headers=headers, timeout=20).status_code == 200
    assert {each.user for each in google.tokens.given.values()} == {OWNER}


def test_the_state_comes_back_and_so_does_a_refusal(google: GoogleServer, client: dict[str, str]) -> None:
    assert sent_on(consent(client))["state"] == ["a&b"]
    google.people.person.refuses = True
    assert sent_on(consent(client)) == {"error": ["access_denied"], "state": ["a&b"]}


def test_what_is_unticked_is_not_given(google: GoogleServer, client: dict[str, str]) -> None:
    google.people.person.unticks = (SCOPE,)
    assert tokens(client, **code(client))[1]["scope"] == "openid"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"redirect_uri": "https://evil.example/"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "http://127.0.0.1.evil.example/"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "https://127.0.0.1/"}, "redirect_uri_mismatch"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"response_type": "token"}, "invalid_request"),
        ({"scope": ""}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
    ],
)
def test_a_bad_question_ends_on_a_page(client: dict[str, str], changes: dict[str, str], words: str) -> None:
    answer = consent(client, **changes)
    assert (answer.status_code, "Location" in answer.headers) == (400, False)
    assert words in answer.text


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": "w" * 64}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_grant"),
        ({"redirect_uri": "http://127.0.0.1:6060/"}, "redirect_uri_mismatch"),
        ({"code": "4/made-up"}, "invalid_grant"),
        ({"client_secret": "GOCSPX-made-up"}, "invalid_client"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_a_code_is_good_only_with_all_that_belongs_to_it(
    client: dict[str, str], changes: dict[str, str], error: str
) -> None:
    status, said = tokens(client, **code(client, **changes))
    assert (status, said["error"]) == (401 if error == "invalid_client" else 400, error)


def test_a_code_is_good_once_and_not_for_long(google: GoogleServer, client: dict[str, str]) -> None:
    form = code(client)
    assert [tokens(client, **form)[0] for _ in range(2)] == [200, 400]
    late = code(client)
    google.clock = lambda: 4e9
    assert tokens(client, **late)[1]["error"] == "invalid_grant"


def test_a_client_may_name_itself_in_a_header(client: dict[str, str]) -> None:
    who = (client["client_id"], client["client_secret"])
    answers = [requests.post(client["token_uri"], data=code(client), auth=auth, timeout=20) for auth in (who, None)]
    assert [each.status_code for each in answers] == [200, 401]


def test_a_refresh_token_is_one_clients_for_what_was_given_until_withdrawn(
    google: GoogleServer, client: dict[str, str], tmp_path: Path
) -> None:
    other = json.loads(google.client_file(tmp_path / "other.json").read_text())["installed"]
    token = tokens(client, **code(client))[1]["refresh_token"]
    assert tokens(other, **refresh(token))[1]["error"] == "unauthorized_client"
    assert tokens(client, **refresh(token, scope=f"{SCOPE} https://www.googleapis.com/auth/drive"))[1] == {
        "error": "invalid_scope",
        "error_description": "Bad Request",
    }
    google.people.lasting.clear()
    assert tokens(client, **refresh(token))[1]["error"] == "invalid_grant"


def test_where_refresh_tokens_are_replaced_the_old_one_is_dead(google: GoogleServer, client: dict[str, str]) -> None:
    google.people.rotates = True
    old = tokens(client, **code(client))[1]["refresh_token"]
    new = tokens(client, **refresh(old))[1]["refresh_token"]
    assert [tokens(client, **refresh(token))[0] for token in (old, new)] == [400, 200]
