"""The state of the service: documents, who may use them, and the time."""

from __future__ import annotations

import datetime as dt
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from .batch import Updater
from .errors import NO_PERMISSION, NOT_FOUND, Refusal
from .formats import new_properties
from .pictures import Picture
from .state import Book, Json, Sheet, Switches
from .values import Call

SHEET = "application/vnd.google-apps.spreadsheet"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
OWNER = "owner@example.com"
ROBOT = "robot@sheets-test.iam.gserviceaccount.com"
RANKS = {"reader": 1, "commenter": 2, "writer": 3, "owner": 4}
T = TypeVar("T")


@dataclass
class Document:
    """A file in Drive; `book` is what Sheets sees of it."""

    book: Book
    created: float
    mime: str = SHEET
    edits: list[float] = field(default_factory=list)
    version: int = 1
    roles: dict[str, str] = field(default_factory=dict)
    parents: list[str] = field(default_factory=lambda: ["0ARootFolder"])

    def touch(self, now: float) -> None:
        self.version += 1
        self.edits = [*self.edits[-999:], now]

    def modified(self, by: float) -> float:
        """When it was last edited, as far as edits until `by` are known."""
        return max([self.created, *(at for at in self.edits if at <= by)])

    def may(self, user: str, role: str) -> bool:
        return RANKS[self.roles.get(user, "none")] >= RANKS[role] if user in self.roles else False


@dataclass
class World:
    """The state behind the server."""

    switches: Switches = field(default_factory=Switches)
    clock: Callable[[], float] = time.time
    updater: Updater = field(default_factory=Updater)
    documents: dict[str, Document] = field(default_factory=dict)
    pictures: dict[str, Picture] = field(default_factory=dict)

    @property
    def year(self) -> int:
        return dt.datetime.fromtimestamp(self.clock(), dt.UTC).year

    def call(self, user: str, *, owner: bool = False) -> Call:
        return Call(self.switches, self.year, user, owner)

    def add(self, title: str, owner: str) -> Document:
        """A new spreadsheet with one empty tab."""
        book = Book("1" + secrets.token_urlsafe(32), new_properties(title), [Sheet(0, "Sheet1")])
        document = Document(book, self.clock(), roles={owner: "owner"})
        self.documents[book.id] = document
        return document

    def copied(self, source: Document, title: str, owner: str) -> Document:
        twin = self.add(title, owner)
        old = source.book.copy()
        twin.book = Book(twin.book.id, old.properties | {"title": title}, old.sheets, old.named, old.metadata)
        return twin

    def open(self, book_id: str, user: str, role: str) -> Document:
        """Return a spreadsheet for Sheets; refuse a user who may not."""
        document = self.documents.get(book_id)
        if document is None:
            raise Refusal(404, NOT_FOUND)
        if not document.may(user, role):
            raise Refusal(403, NO_PERMISSION)
        if document.mime != SHEET:
            raise Refusal(400, "This operation is not supported for this document")
        return document

    def edit(self, document: Document, change: Callable[[Book], T]) -> T:
        """Edit a draft, and keep it only if nothing is refused."""
        draft = document.book.copy()
        result = change(draft)
        document.book = draft
        document.touch(self.clock())
        return result

    def apply(self, document: Document, requests: list[Json], call: Call) -> list[Json]:
        return self.edit(document, lambda draft: self.updater.apply(draft, requests, call))
