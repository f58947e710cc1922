"""Fake DNS and a fake public server for tests: names resolve as a test likes, and a public address is this machine."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import urllib3

PUBLIC = "93.184.215.14"


class PublicSocket(socket.socket):
    """A connection to this machine that looks like one to the open internet."""

    def getpeername(self) -> tuple[str, int]:
        return (PUBLIC, 80)


def resolve_names(monkeypatch: pytest.MonkeyPatch, **names: list[str]) -> list[str]:
    """Have names resolve to the next of these at each lookup, to the last one from then on; return the list of lookups.

    Each is an address, or several separated by blanks. A name's dots are written as underscores.
    """
    real, lookups = socket.getaddrinfo, []

    def resolve(host: str, port: int, *more: Any) -> Any:
        answers = names.get(host.replace(".", "_"), [host])
        lookups.append(host)
        now = answers.pop(0) if len(answers) > 1 else answers[0]
        return [found for address in now.split() for found in real(address, port, *more)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return lookups


def serve_public_address_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lead connections to a public address, with the name pics.example, to the same port of this machine."""
    real = urllib3.util.connection.create_connection

    def connect(address: tuple[str, int], *more: Any, **options: Any) -> socket.socket:
        public = address[0] == PUBLIC
        opened = real(("127.0.0.1", address[1]) if public else address, *more, **options)
        return PublicSocket(fileno=opened.detach()) if public else opened

    monkeypatch.setattr(urllib3.util.connection, "create_connection", connect)
    resolve_names(monkeypatch, pics_example=[PUBLIC])
