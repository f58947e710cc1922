"""spreadsheets.batchUpdate: one after the other, all or nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from . import kinds_cells, kinds_marks, kinds_sheets
from .errors import Refusal
from .kind import Batch, Kind
from .state import Book, Json
from .values import Call

KINDS: dict[str, Kind] = kinds_sheets.KINDS | kinds_cells.KINDS | kinds_marks.KINDS


@dataclass
class Updater:
    """Applies batches and assigns ids."""

    random: random.Random = field(default_factory=random.Random)
    missing: Callable[[str], None] = lambda _: None  # told about kinds that the service knows and this server does not

    def apply(self, book: Book, requests: list[Json], call: Call) -> list[Json]:
        """Change this draft of a book, which is thrown away if a request is refused; return a reply to each request."""
        if not requests:
            raise Refusal(400, "Must specify at least one request.")
        batch = Batch(book, call, self.random)
        return [self._one(batch, index, request) for index, request in enumerate(requests)]

    def _one(self, batch: Batch, index: int, request: Json) -> Json:
        given = [kind for kind, body in request.items() if body is not None]
        if len(given) != 1:
            text = "No request set." if not given else "Only one kind of request may be set."
            raise Refusal(400, f"Invalid requests[{index}]: {text}")
        kind = given[0]
        if kind not in KINDS:
            self.missing(kind)
            raise Refusal(501, f"{kind} is not implemented")
        try:
            reply = KINDS[kind](batch, request[kind])
        except Refusal as refusal:
            raise refusal.within(f"Invalid requests[{index}].{kind}: ") from None
        return {} if reply is None else {kind: reply}
