"""What is outside of this machine, as tests have it: names as they like, and a public server that is here."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import urllib3

PUBLIC = "93.184.215.14"


class Far(socket.socket):
    """A connection to this machine that looks like one to the open internet."""

    def getpeername(self) -> tuple[str, int]:
        return (PUBLIC, 80)


def named(monkeypatch: pytest.MonkeyPatch, **names: list[str]) -> list[str]:
    """Have names resolve, each time to the next of these, the last one for good; gives what was asked.

    Each is an address, or several with blanks between.
    """
    real, asked = socket.getaddrinfo, []

    def resolve(host: str, port: int, *more: Any) -> Any:
        answers = names.get(host.replace(".", "_"), [host])
        asked.append(host)
        now = answers.pop(0) if len(answers) > 1 else answers[0]
        return [found for address in now.split() for found in real(address, port, *more)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


def outside_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A public address whose server is on this machine, under the name pics.example."""
    real = urllib3.util.connection.create_connection

    def connect(address: tuple[str, int], *more: Any, **options: Any) -> socket.socket:
        far = address[0] == PUBLIC
        opened = real(("127.0.0.1", address[1]) if far else address, *more, **options)
        return Far(fileno=opened.detach()) if far else opened

    monkeypatch.setattr(urllib3.util.connection, "create_connection", connect)
    named(monkeypatch, pics_example=[PUBLIC])
