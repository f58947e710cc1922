"""Evaluate the part of the formula language that people use in a sheet of pictures; others are unknown names."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

from . import a1
from .state import Area, Book, Sheet, Value

TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>"(?:[^"]|"")*")
    |(?P<ref>(?:'(?:[^']|'')*'!|[A-Za-z_][A-Za-z0-9_]*!)?
        \$?[A-Za-z]{1,3}\$?[0-9]+(?::\$?[A-Za-z]{1,3}\$?[0-9]+)?(?![A-Za-z0-9_(]))
    |(?P<name>[A-Za-z_][A-Za-z0-9_.]*)
    |(?P<number>[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|\.[0-9]+)
    |(?P<sign><>|<=|>=|[-+*/^&=<>(),;%]))""",
    re.VERBOSE,
)
ERRORS = {
    "#NAME?": "NAME",
    "#ERROR!": "ERROR",
    "#DIV/0!": "DIVIDE_BY_ZERO",
    "#VALUE!": "VALUE",
    "#REF!": "REF",
    "#N/A": "N_A",
}
BINDS = {"=": 1, "<>": 1, "<": 1, ">": 1, "<=": 1, ">=": 1, "&": 2, "+": 3, "-": 3, "*": 4, "/": 4, "^": 5}
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
SUMS: dict[str, Callable[[Any, Any], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "^": operator.pow,
}
MOST_STEPS = 40  # of formulas that refer to formulas


class Failure(str):
    """An error in a cell, such as #NAME? is."""

    __slots__ = ()

    @property
    def kind(self) -> str:
        return ERRORS[self]


class _Wrong(Exception):
    def __init__(self, shown: str):
        super().__init__(shown)
        self.shown = shown


def evaluate(formula: str, book: Book, sheet: Sheet, row: int, column: int, depth: int = 0) -> Value:
    """The result of a formula; pictures give an empty cell."""
    if formula[:7].upper() == "=IMAGE(" and '"' in formula[7:9]:
        return None
    if array := re.match(r'=ARRAYFORMULA\(IF\(ROW\(\w+:\w+\)=1;"((?:[^"]|"")*)";', formula):
        return array[1].replace('""', '"')  # what spills below it is not worked out
    if depth > MOST_STEPS:
        return Failure("#REF!")
    try:
        result = _Parser(formula[1:], book, sheet, depth).whole()
    except _Wrong as wrong:
        return Failure(wrong.shown)
    return result[0] if isinstance(result, list) and result else (None if isinstance(result, list) else result)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at, text = 0, text.strip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise _Wrong("#ERROR!")
        yield match.lastgroup, match[match.lastgroup]
        at = match.end()


def _numeric(value: Any) -> float:
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, Failure):
        raise _Wrong(str(value))
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise _Wrong("#VALUE!") from None
    return float(value or 0)


def _single(value: Any) -> Any:
    value = (value[0] if value else None) if isinstance(value, list) else value
    if isinstance(value, Failure):
        raise _Wrong(str(value))
    return value


class _Parser:
    def __init__(self, text: str, book: Book, sheet: Sheet, depth: int):
        self.tokens = list(_tokens(text))
        self.book, self.sheet, self.depth = book, sheet, depth

    def whole(self) -> Any:
        result = self.expression(0)
        if self.tokens:
            raise _Wrong("#ERROR!")
        return result

    def take(self, *signs: str) -> str:
        if not self.tokens or (signs and self.tokens[0][1] not in signs):
            raise _Wrong("#ERROR!")
        return self.tokens.pop(0)[1]

    def next_sign(self) -> str:
        return self.tokens[0][1] if self.tokens and self.tokens[0][0] == "sign" else ""

    def expression(self, least: int) -> Any:
        left = self.operand()
        while BINDS.get(self.next_sign(), 0) > least:
            sign = self.take()
            left = self.join(sign, left, self.expression(BINDS[sign]))
        return left

    def join(self, sign: str, left: Any, right: Any) -> Any:
        left, right = _single(left), _single(right)
        if sign == "&":
            from .show import text_of

            return text_of(left) + text_of(right)
        if sign in COMPARE:
            same = isinstance(left, str) == isinstance(right, str)
            return COMPARE[sign](left, right) if same else COMPARE[sign](str(left or ""), str(right or ""))
        if sign == "/":
            if _numeric(right) == 0:
                raise _Wrong("#DIV/0!")
            return self.number(_numeric(left) / _numeric(right))
        return self.number(SUMS[sign](_numeric(left), _numeric(right)))

    @staticmethod
    def number(value: float) -> int | float:
        return int(value) if value.is_integer() and abs(value) < 1e15 else value

    def operand(self) -> Any:
        if not self.tokens:
            raise _Wrong("#ERROR!")
        kind, text = self.tokens.pop(0)
        match kind:
            case "text":
                return text[1:-1].replace('""', '"')
            case "number":
                return self.postfix(self.number(float(text)))
            case "ref":
                return self.cells(text)
            case "name":
                return self.named(text)
        if text == "(":
            inside = self.expression(0)
            self.take(")")
            return inside
        if text in "+-":
            value = self.expression(5)
            return self.number(-_numeric(value)) if text == "-" else value
        raise _Wrong("#ERROR!")

    def postfix(self, value: float) -> float:
        if self.next_sign() == "%":
            self.take()
            return value / 100
        return value

    def cells(self, text: str) -> list[Value]:
        title, cells = a1.split_title(text)
        sheet = self.sheet if title is None else self.book.titled(title)
        area = a1.parse_cells(cells or "", sheet) if sheet else None
        if sheet is None or area is None:
            raise _Wrong("#REF!")
        return [self.value(sheet, *at) for at in self.places(area)]

    @staticmethod
    def places(area: Area) -> Iterator[tuple[int, int]]:
        rows, columns = range(area.top, area.bottom or 0), range(area.left, area.right or 0)
        return ((row, column) for row in rows for column in columns)

    def value(self, sheet: Sheet, row: int, column: int) -> Value:
        cell = sheet.get(row, column)
        if cell.formula is None:
            return cell.value
        return evaluate(cell.formula, self.book, sheet, row, column, self.depth + 1)

    def named(self, name: str) -> Any:
        if name.upper() in ("TRUE", "FALSE"):
            return name.upper() == "TRUE"
        if self.next_sign() != "(":
            raise _Wrong("#NAME?")
        function = FUNCTIONS.get(name.upper())
        arguments = self.arguments()
        if function is None:
            raise _Wrong("#NAME?")
        try:
            return function(*arguments)
        except (TypeError, IndexError):
            raise _Wrong("#N/A") from None

    def arguments(self) -> list[Any]:
        self.take("(")
        found: list[Any] = []
        while self.next_sign() != ")":
            found.append(self.expression(0))
            if self.next_sign() != ")":
                self.take(",", ";")
        self.take(")")
        return found


def _flat(values: tuple[Any, ...]) -> list[Any]:
    return [each for value in values for each in (value if isinstance(value, list) else [value])]


def _image(url: Any, *_: Any) -> None:
    _single(url)


def _link(url: Any, label: Any = None) -> Any:
    return _single(url) if label is None else _single(label)


def _sum(*values: Any) -> float:
    return _Parser.number(float(sum(each for each in _flat(values) if isinstance(each, (int, float)))))


def _if(test: Any, then: Any, other: Any = False) -> Any:
    return _single(then) if _single(test) else _single(other)


def _join(*values: Any) -> str:
    from .show import text_of

    return "".join(text_of(each) for each in _flat(values))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "IMAGE": _image,
    "HYPERLINK": _link,
    "SUM": _sum,
    "COUNTA": lambda *values: sum(each is not None for each in _flat(values)),
    "IF": _if,
    "CONCATENATE": _join,
}
