"""The server that stands in for Google, as unmodified clients of Google see it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import google_auth_httplib2
import gspread
import httplib2
import pytest
import requests
from google.oauth2.service_account import Credentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError
from gspread.exceptions import APIError
from gspread.utils import ExportFormat, ValueRenderOption

from tests.helpers.googleserver import Fault, GoogleServer, Switches, clients, faults
from tests.helpers.googleserver.book import BookOf

SCOPES = ["https://www.googleapis.com/auth/spreadsheets", "https://www.googleapis.com/auth/drive"]
ROWS: list[list[Any]] = [
    ["url", "label", "n"],
    ['=IMAGE("http://x/1.png")', "ii", 3],
    ["http://x/2.png", "i", 1],
    ["", "iii", 2],
]


class Bench:
    """A server, a shared spreadsheet, and a client of it that opened it."""

    def __init__(self, google: GoogleServer, folder: Path):
        self.google = google
        self.key = google.key_file(folder / "key.json")
        self.client: Any = clients.gspread_client(google.url, self.key)
        self.id = google.create("Data", ROWS)
        self.book: BookOf = google.book(self.id)
        self.sheet: Any = self.client.open_by_key(self.id)
        self.tab: Any = self.sheet.sheet1

    def ask(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """Send a request by hand; return the whole answer, even an error."""
        headers = {"Authorization": f"Bearer {self.client.http_client.auth.token}"}
        url = f"{self.google.url}{path.format(id=self.id)}"
        return requests.request(method, url, json=body, params=params, headers=headers, timeout=20)

    def values(self, cells: str, **params: Any) -> Any:
        return self.ask("GET", f"/v4/spreadsheets/{{id}}/values/{cells}", **params).json()

    def batch(self, *asked: dict[str, Any]) -> Any:
        return self.ask("POST", "/v4/spreadsheets/{id}:batchUpdate", {"requests": list(asked)})

    def meta(self, fields: str, **params: Any) -> Any:
        return self.ask("GET", "/v4/spreadsheets/{id}", fields=fields, **params).json()


@pytest.fixture
def google() -> Iterator[GoogleServer]:
    with GoogleServer() as server:
        yield server


@pytest.fixture
def bench(google: GoogleServer, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(google, tmp_path)
    yield made
    clients.close(made.client)


def credentials(key: Path) -> Credentials:
    made: Any = Credentials
    found: Credentials = made.from_service_account_file(key, scopes=SCOPES)
    return found


def message(answer: Any) -> str:
    return str(answer.json()["error"]["message"])


def line(dimension: str, first: int, last: int) -> dict[str, Any]:
    return {"sheetId": 0, "dimension": dimension, "startIndex": first, "endIndex": last}


def area(top: int, left: int, bottom: int, right: int) -> dict[str, Any]:
    rows = {"startRowIndex": top, "endRowIndex": bottom}
    return {"sheetId": 0, "startColumnIndex": left, "endColumnIndex": right} | rows


# --- who asks ---------------------------------------------------------------------------------------


def test_without_a_valid_token_nothing_is_said(bench: Bench) -> None:
    url = f"{bench.google.url}/v4/spreadsheets/{bench.id}"
    for headers in ({}, {"Authorization": "Bearer ya29.made-up"}):
        answer = requests.get(url, headers=headers, timeout=20)
        assert answer.status_code == 401
        assert answer.json()["error"]["status"] == "UNAUTHENTICATED"
        assert "errors" not in answer.json()["error"]


def test_a_claim_that_another_key_signed_is_refused(bench: Bench) -> None:
    account: Any = credentials(bench.key)
    good = account._make_authorization_grant_assertion().decode()
    head, claim, signature = good.split(".")
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    for assertion, status in ((good, 200), (f"{head}.{claim}.{signature[::-1]}", 400), ("rubbish", 400)):
        form = {"grant_type": grant, "assertion": assertion}
        assert requests.post(f"{bench.google.url}/token", data=form, timeout=20).status_code == status


def test_an_expired_token_is_renewed_by_the_client(bench: Bench) -> None:
    bench.google.expire_tokens()
    asked = bench.google.token_requests
    assert bench.tab.acell("B2").value == "ii"
    assert bench.google.token_requests == asked + 1
    assert [entry.status for entry in bench.google.log[-3:]] == [401, 200, 200]


def test_a_token_of_too_small_a_scope_is_refused(bench: Bench) -> None:
    narrow: Any = gspread.service_account(
        str(bench.key), scopes=[f"{SCOPES[0]}.readonly"], http_client=clients.http_client(bench.google.url)
    )
    tab = narrow.open_by_key(bench.id).sheet1
    with pytest.raises(APIError, match="insufficient authentication scopes"):
        tab.update_acell("A1", "x")
    clients.close(narrow)


def test_who_may_not_and_what_is_not(bench: Bench) -> None:
    bench.book.withdraw(bench.google.email)
    refused = bench.ask("GET", "/v4/spreadsheets/{id}")
    expected = {"code": 403, "message": "The caller does not have permission", "status": "PERMISSION_DENIED"}
    assert refused.json() == {"error": expected}
    missing = bench.ask("GET", "/v4/spreadsheets/nowhere/values/A1")
    expected = {"code": 404, "message": "Requested entity was not found.", "status": "NOT_FOUND"}
    assert missing.json() == {"error": expected}
    assert bench.ask("GET", "/v4/nothing").json()["error"]["code"] == 404
    hidden = bench.ask("GET", "/drive/v3/files/{id}").json()["error"]
    assert hidden["errors"][0]["reason"] == "notFound"
    assert hidden["message"] == f"File not found: {bench.id}."
    assert (hidden["errors"][0]["location"], hidden["errors"][0]["locationType"]) == ("fileId", "parameter")
    bench.book.grant(bench.google.email, "reader")
    assert bench.tab.acell("B2").value == "ii"
    with pytest.raises(APIError, match="does not have permission"):
        bench.tab.update_acell("A1", "x")


def test_an_excel_file_in_drive_is_no_spreadsheet(bench: Bench) -> None:
    bench.book.document.mime = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    assert message(bench.ask("GET", "/v4/spreadsheets/{id}")) == "This operation is not supported for this document"


# --- reading ----------------------------------------------------------------------------------------


def test_a_picture_reads_as_empty_but_for_its_formula(bench: Bench) -> None:
    bench.book.picture("Sheet1", "A3")
    for render, first in (("FORMATTED_VALUE", ""), ("UNFORMATTED_VALUE", ""), ("FORMULA", ROWS[1][0])):
        got = bench.values("A2:B3", valueRenderOption=render)["values"]
        assert got == [[first, "ii"], ["", "i"]]


def test_ends_that_are_empty_are_left_out(bench: Bench) -> None:
    bench.book.type("Sheet1", "A8", [["", "x", ""]])
    assert bench.values("A4:E20")["values"] == [["", "iii", "2"], [], [], [], ["", "x"]]
    assert bench.values("A10:B12") == {"range": "Sheet1!A10:B12", "majorDimension": "ROWS"}
    assert bench.values("A1:C2", majorDimension="COLUMNS")["values"] == [["url"], ["label", "ii"], ["n", "3"]]


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("Sheet1", "Sheet1!A1:Z1000"),
        ("'Sheet1'!A1:1", "Sheet1!A1:Z1"),
        ("A1:A", "Sheet1!A1:A1000"),
        ("B:C", "Sheet1!B1:C1000"),
        ("Sheet1!D4:A1", "Sheet1!A1:D4"),
        ("$B$2", "Sheet1!B2"),
        ("labels", "Sheet1!B2:B4"),
        ("'D3'", "'D3'!A1:Z1000"),
        ("D3", "Sheet1!D3"),
        ("two words!A1", "'two words'!A1"),
        ("'🌵 x'!A1", "'🌵 x'!A1"),
        ("'it''s'!B2:C3", "'it''s'!B2:C3"),
    ],
)
def test_ranges_are_answered_in_their_normal_form(bench: Bench, asked: str, answered: str) -> None:
    for title in ("D3", "two words", "🌵 x", "it's"):
        bench.book.add(title)
    bench.book.name("labels", "Sheet1", "B2:B4")
    assert bench.values(quote(asked, safe=""))["range"] == answered


def test_ranges_that_there_are_not(bench: Bench) -> None:
    limits = "exceeds grid limits. Max rows: 1000, max columns: 26"
    assert bench.values("Sheet1!AA1")["error"]["message"] == f"Range (Sheet1!AA1) {limits}"
    assert bench.values("A900:B1001")["error"]["message"] == f"Range (Sheet1!A900:B1001) {limits}"
    assert bench.values("Nope!A1")["error"]["message"] == "Unable to parse range: Nope!A1"
    assert bench.values("Nope")["error"]["status"] == "INVALID_ARGUMENT"


def test_every_way_to_render(bench: Bench) -> None:
    bench.book.type("Sheet1", "A1", [["2020-01-01", "2,000,000.01", True, "=1/1024", "50%", "10:30"]])
    got = {
        render: bench.values("A1:F1", valueRenderOption=render)["values"][0]
        for render in ("FORMATTED_VALUE", "UNFORMATTED_VALUE", "FORMULA")
    }
    assert got["FORMATTED_VALUE"] == ["2020-01-01", "2,000,000.01", "TRUE", "0.0009765625", "50%", "10:30:00"]
    assert got["UNFORMATTED_VALUE"] == [43831, 2000000.01, True, 1 / 1024, 0.5, 0.4375]
    assert got["FORMULA"] == [43831, 2000000.01, True, "=1/1024", 0.5, 0.4375]
    dates = bench.values("A1", valueRenderOption="UNFORMATTED_VALUE", dateTimeRenderOption="FORMATTED_STRING")
    assert dates["values"] == [["2020-01-01"]]


@pytest.mark.parametrize(
    ("formula", "shown"),
    [
        ("=B3&C3", "i1"),
        ("=SUM(C2:C4)*2", "12"),
        ('=HYPERLINK("http://x","label")', "label"),
        ("=IMAGE(A3)", ""),
        ('=IF(B3="i",C2,0)', "3"),
        ("=1/0", "#DIV/0!"),
        ("=NOSUCH(1)", "#NAME?"),
        ("=D1", "#REF!"),
        ("=(1+2)^2-1", "8"),
        ("=1+", "#ERROR!"),
    ],
)
def test_formulas_show_their_result(bench: Bench, formula: str, shown: str) -> None:
    bench.book.type("Sheet1", "D1", formula)
    assert bench.values("D1").get("values", [[""]]) == [[shown]]
    assert bench.book.raw("Sheet1", "D1") == [[formula]]


def test_hidden_and_filtered_rows_are_read_all_the_same(bench: Bench) -> None:
    bench.book.hide_rows("Sheet1", 2)
    bench.book.filter("Sheet1", "A1:C4", {"B": ["i"]})
    assert len(bench.tab.get_all_values()) == 4
    got = bench.meta("sheets.data.rowMetadata(hiddenByUser,hiddenByFilter)", ranges="A1:A4")
    assert got["sheets"][0]["data"][0]["rowMetadata"] == [{}, {"hiddenByUser": True}, {"hiddenByFilter": True}, {}]


# --- writing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "raw", "typed", "shown"),
    [
        ("0042", "0042", 42, "42"),
        ("2,000,000.01", "2,000,000.01", 2000000.01, "2,000,000.01"),
        ("2020-01-01", "2020-01-01", 43831, "2020-01-01"),
        ("= 1 / 1024", "= 1 / 1024", "= 1 / 1024", "0.0009765625"),
        ("3_1_0", "3_1_0", "3_1_0", "3_1_0"),
        ("a\nb", "a\nb", "a\nb", "a\nb"),
        ("'007", "'007", "007", "007"),
        ("''x", "''x", "'x", "'x"),
        ("+/-", "+/-", "=+/-", "#ERROR!"),
        ("+5", "+5", 5, "5"),
        ("-x", "-x", "=-x", "#NAME?"),
        ("@x", "@x", "=@x", "#ERROR!"),
        ("true", "true", True, "TRUE"),
        ("1e3", "1e3", 1000, "1.00E+03"),
        ("$5.50", "$5.50", 5.5, "$5.50"),
        ("1-2-2024", "1-2-2024", 45293, "1-2-2024"),
        ("iii", "iii", "iii", "iii"),
        ("5.10", "5.10", 5.1, "5.1"),
        (7, 7, 7, "7"),
        (0.1, 0.1, 0.1, "0.1"),
        (False, False, False, "FALSE"),
    ],
)
def test_what_becomes_of_a_written_value(bench: Bench, written: Any, raw: Any, typed: Any, shown: str) -> None:
    bench.tab.update([[written, "end"]], "A10", raw=True)
    assert bench.book.raw("Sheet1", "A10") == [[raw]]
    bench.tab.update([[written, "end"]], "A11", raw=False)
    got = bench.book.raw("Sheet1", "A11")
    assert got == [[typed]]
    assert type(got[0][0]) is type(typed)
    assert bench.book.values("Sheet1", "A11") == [[shown]]


def test_a_cell_of_plain_text_keeps_what_is_typed(bench: Bench) -> None:
    bench.book.format("Sheet1", "A2:A3", {"numberFormat": {"type": "TEXT"}})
    bench.tab.update([["0042"], ["=1"]], "A2", raw=False)
    assert bench.book.raw("Sheet1", "A2:A3") == [["0042"], ["=1"]]


def test_null_leaves_a_cell_alone_and_nothing_clears_it(bench: Bench) -> None:
    body = {"values": [[None, "", "new"], ["x"]]}
    answer = bench.ask("PUT", "/v4/spreadsheets/{id}/values/A2:C3", body, valueInputOption="RAW").json()
    assert bench.book.raw("Sheet1", "A2:C3") == [[ROWS[1][0], "", "new"], ["x", "i", 1]]
    assert answer == {
        "spreadsheetId": bench.id,
        "updatedRange": "Sheet1!A2:C3",
        "updatedRows": 2,
        "updatedColumns": 3,
        "updatedCells": 6,
    }


def test_a_batch_counts_rows_and_columns_once(bench: Bench) -> None:
    data: list[dict[str, Any]] = [{"range": f"A{row}:D{row}", "values": [list("abcd")]} for row in (5, 7)]
    answer = bench.tab.batch_update(data)
    totals = {name: answer[f"totalUpdated{name}"] for name in ("Rows", "Columns", "Cells", "Sheets")}
    assert totals == {"Rows": 2, "Columns": 4, "Cells": 8, "Sheets": 1}
    assert answer["responses"][1]["updatedRange"] == "Sheet1!A7:D7"
    data = [{"range": "A1", "values": [[1]]}, {"range": "Nope!A1", "values": [[1]]}]
    body = {"valueInputOption": "RAW", "data": data}
    refused = bench.ask("POST", "/v4/spreadsheets/{id}/values:batchUpdate", body)
    assert message(refused) == "Invalid data[1]: Unable to parse range: Nope!A1"
    assert bench.book.values("Sheet1", "A1") == [["url"]], "all or nothing"


def test_writes_that_do_not_fit(bench: Bench) -> None:
    def put(cells: str, values: Any) -> Any:
        return bench.ask("PUT", f"/v4/spreadsheets/{{id}}/values/{cells}", {"values": values}, valueInputOption="RAW")

    wide = "Requested writing within range [Sheet1!A3:B4], but tried writing to column [C]"
    assert message(put("A3:B4", [[1, 2, 3]])) == wide
    high = "Requested writing within range [Sheet1!A1:Z1000], but tried writing to row [1001]"
    assert message(put("Sheet1", [["x"]] * 1001)) == high
    outside = "Range (Sheet1!AA1) exceeds grid limits. Max rows: 1000, max columns: 26"
    assert message(put("AA1", [[1]])) == outside
    long = "Your input contains more than the maximum of 50000 characters in a single cell."
    assert message(put("A1", [["x" * 50001]])) == long
    missing = bench.ask("PUT", "/v4/spreadsheets/{id}/values/A1", {"values": [[1]]})
    assert missing.status_code == 400
    assert put("A999", [[1], [2], [3]]).ok, "an anchored write grows the grid"
    assert bench.book.rows("Sheet1") == 1001
    bench.google.switches.overflow_grows = False
    assert "exceeds grid limits" in message(put("Z1", [[1, 2]]))
    assert bench.book.columns("Sheet1") == 26


def test_the_workbook_has_room_for_ten_million_cells(bench: Bench) -> None:
    with pytest.raises(APIError) as refused:
        bench.tab.resize(400_000, 26)
    expected = (
        "Invalid requests[0].updateSheetProperties: This action would increase the number of cells in the workbook "
        "above the limit of 10000000 cells."
    )
    assert refused.value.error["message"] == expected
    assert bench.book.rows("Sheet1") == 1000


def test_clearing_takes_values_and_leaves_formats(bench: Bench) -> None:
    bench.tab.format("A1:C1", {"textFormat": {"bold": True}})
    bench.tab.batch_clear(["A1:B1", "B2:B4"])
    assert bench.book.raw("Sheet1", "A1:C2") == [["", "", "n"], [ROWS[1][0], "", 3]]
    assert bench.book.cell("Sheet1", "A1").format == {"textFormat": {"bold": True}}
    bench.tab.clear()
    assert bench.book.values("Sheet1") == []


def test_appending_drifts_to_the_right_unless_told_where(google: GoogleServer, bench: Bench) -> None:
    bench.tab.clear()
    assert "tableRange" not in bench.tab.append_row(["x", "", "z"])
    answer = bench.tab.append_row(["x", "", "z"])
    assert answer["tableRange"] == "Sheet1!C1"
    assert answer["updates"]["updatedRange"] == "Sheet1!C2:E2"
    bench.tab.clear()
    bench.tab.append_row(["x", "", "z"])
    answer = bench.tab.append_row(["x", "", "z"], table_range="A1")
    assert answer["tableRange"] == "Sheet1!A1"
    assert answer["updates"]["updatedRange"] == "Sheet1!A2:C2"


def test_appending_grows_the_grid_or_inserts(bench: Bench) -> None:
    bench.book.resize("Sheet1", 4, 3)
    bench.tab.append_rows([["a"], ["b"]], table_range="A1")
    assert bench.book.rows("Sheet1") == 6
    bench.book.type("Sheet1", "A6", [["", ""]])
    bench.book.clear("Sheet1", "A5:C5")
    bench.book.type("Sheet1", "A6", "below")
    bench.tab.append_row(["in"], table_range="A1", insert_data_option="INSERT_ROWS")
    assert [row[0] if row else "" for row in bench.book.values("Sheet1")][4:] == ["in", "", "below"]


# --- batches ----------------------------------------------------------------------------------------


def test_a_new_spreadsheet(bench: Bench) -> None:
    got = bench.ask("GET", "/v4/spreadsheets/{id}")
    assert got.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert "Retry-After" not in got.headers
    assert got.text.startswith('{\n  "spreadsheetId"')
    assert bench.ask("GET", "/v4/spreadsheets/{id}/", prettyPrint="false").text.startswith('{"spreadsheetId"')
    assert set(got.json()) == {"spreadsheetId", "properties", "sheets", "spreadsheetUrl"}
    grid = {"rowCount": 1000, "columnCount": 26}
    first = {"sheetId": 0, "title": "Sheet1", "index": 0, "sheetType": "GRID", "gridProperties": grid}
    assert got.json()["sheets"] == [{"properties": first}]
    assert got.json()["properties"]["defaultFormat"]["textFormat"]["foregroundColor"] == {}


def test_a_batch_is_all_or_nothing_and_answers_each_request(bench: Bench) -> None:
    bold = {"range": area(0, 0, 1, 1), "cell": {"note": "seen"}, "fields": "note"}
    answer = bench.batch({"addSheet": {"properties": {"title": "New"}}}, {"repeatCell": bold}).json()
    assert answer["replies"][1] == {}
    assert answer["replies"][0]["addSheet"]["properties"]["sheetId"] > 0
    more, again = ({"addSheet": {"properties": {"title": title}}} for title in ("More", "New"))
    refused = bench.batch(more, again)
    text = 'A sheet with the name "New" already exists. Please enter another name.'
    assert message(refused) == f"Invalid requests[1].addSheet: {text}"
    assert bench.book.tabs == ["Sheet1", "New"]
    hide = {"properties": {"sheetId": 0, "hidden": True}, "fields": "hidden"}
    hide_new = {"properties": {"sheetId": bench.book.state.sheets[1].id, "hidden": True}, "fields": "hidden"}
    refused = bench.batch({"updateSheetProperties": hide}, {"updateSheetProperties": hide_new})
    text = "You can't hide all the sheets in a document."
    assert message(refused) == f"Invalid requests[1].updateSheetProperties: {text}"
    assert message(bench.batch()) == "Must specify at least one request."


def test_what_no_document_knows_is_refused(bench: Bench) -> None:
    answer = bench.batch({"repeatCell": {"rnage": {}, "fields": "*"}})
    text = """Invalid JSON payload received. Unknown name "rnage" at 'requests[0].repeat_cell': Cannot find field."""
    assert answer.json()["error"]["details"] == [
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "requests[0].repeat_cell", "description": text}],
        }
    ]
    wrong = bench.batch({"deleteDimension": {"range": line("ROWZ", 0, 1)}})
    assert "Invalid value at 'requests[0].delete_dimension.range.dimension'" in message(wrong)
    assert bench.batch({"addSheet": {"properties": {"title": "ok", "hidden": None}}}).ok, "null is legal"
    assert bench.ask("GET", "/v4/spreadsheets/{id}", nonsense=1).status_code == 400
    assert bench.meta("sheets.nonsense")["error"]["message"] == "Request contains an invalid argument."
    fields = {"properties": {"sheetId": 0, "title": "x"}, "fields": "titel"}
    refused = message(bench.batch({"updateSheetProperties": fields}))
    assert refused == "Invalid requests[0].updateSheetProperties: Invalid field: titel"


def test_masks_with_dots_slashes_and_parentheses(bench: Bench) -> None:
    bench.book.note("Sheet1", "B2", "look")
    title = {"sheets": [{"properties": {"title": "Sheet1"}}]}
    assert bench.meta("sheets.properties.title") == bench.meta("sheets/properties/title") == title
    got = bench.meta("spreadsheetId,sheets(properties(sheetId,index),data/rowData/values(note))", ranges="A2:B2")
    data = [{"rowData": [{"values": [{}, {"note": "look"}]}]}]
    assert got == {"spreadsheetId": bench.id, "sheets": [{"properties": {"sheetId": 0, "index": 0}, "data": data}]}
    assert bench.tab.get_notes() == [[], ["", "look"]]
    assert bench.values("B2", fields="values") == {"values": [["ii"]]}


def test_grid_data(bench: Bench) -> None:
    bench.book.dropdown("Sheet1", "B2", ["i", "ii"])
    bench.book.type("Sheet1", "C2", [[0, False, "=1/0"]])
    got = bench.ask("GET", "/v4/spreadsheets/{id}", includeGridData="true", ranges=["A2:E2", "B4"]).json()
    first, second = got["sheets"][0]["data"]
    picture, label, zero, false, error = first["rowData"][0]["values"]
    assert first["startRow"] == 1
    assert "startColumn" not in first
    assert picture["userEnteredValue"] == {"formulaValue": ROWS[1][0]}
    assert "formattedValue" not in picture
    assert label["dataValidation"]["condition"]["values"] == [{"userEnteredValue": "i"}, {"userEnteredValue": "ii"}]
    assert zero["effectiveValue"] == {"numberValue": 0}
    assert false["userEnteredValue"] == {"boolValue": False}
    assert error["effectiveValue"]["errorValue"]["type"] == "DIVIDE_BY_ZERO"
    assert second["startColumn"] == 1
    assert len(first["columnMetadata"]) == 5


def test_a_sort_moves_all_that_a_cell_has(bench: Bench) -> None:
    bench.book.type("Sheet1", "D2", [["=C2*10", "stay"], ["=C3*10", "put"], ["=C4*10", "here"]])
    bench.book.note("Sheet1", "B2", "first")
    bench.book.format("Sheet1", "B2", {"textFormat": {"bold": True}})
    bench.book.dropdown("Sheet1", "B2", ["ii"])
    bench.tab.sort((3, "asc"), range="A2:D4")
    assert bench.book.raw("Sheet1", "A2:E4") == [
        ["http://x/2.png", "i", 1, "=C2*10", "stay"],
        ["", "iii", 2, "=C3*10", "put"],
        [ROWS[1][0], "ii", 3, "=C4*10", "here"],
    ]
    assert bench.book.values("Sheet1", "D2:D4") == [["10"], ["20"], ["30"]]
    moved = bench.book.cell("Sheet1", "B4")
    assert (moved.note, moved.format) == ("first", {"textFormat": {"bold": True}})
    assert moved.validation is not None
    assert bench.book.cell("Sheet1", "B2").note is None
    bench.tab.sort((2, "des"), range="A2:D5")
    assert bench.book.values("Sheet1", "B2:B5") == [["iii"], ["ii"], ["i"]], "what is empty comes last"
    bench.book.type("Sheet1", "G1", [["B"], [10], [True], [9], [""], ["a"]])
    bench.book.sort("Sheet1", "G1:G6", "G")
    assert bench.book.raw("Sheet1", "G1:G6") == [[9], [10], ["a"], ["B"], [True]]


RANGES = [area(4, 1, 8, 3), area(0, 0, 2, 2), area(5, 1, 6, 2)]


@pytest.mark.parametrize(
    ("change", "ends"),
    [
        ({"insertDimension": {"range": line("ROWS", 4, 6)}}, [(6, 10), (0, 2), (7, 8)]),
        ({"insertDimension": {"range": line("ROWS", 5, 6)}}, [(4, 9), (0, 2), (6, 7)]),
        ({"insertDimension": {"range": line("ROWS", 8, 9)}}, [(4, 8), (0, 2), (5, 6)]),
        ({"deleteDimension": {"range": line("ROWS", 0, 1)}}, [(3, 7), (0, 1), (4, 5)]),
        ({"deleteDimension": {"range": line("ROWS", 5, 6)}}, [(4, 7), (0, 2), None]),
        ({"deleteDimension": {"range": line("ROWS", 3, 20)}}, [None, (0, 2), None]),
        ({"moveDimension": {"source": line("ROWS", 4, 8), "destinationIndex": 20}}, [(16, 20), (0, 2), (17, 18)]),
        ({"moveDimension": {"source": line("ROWS", 10, 12), "destinationIndex": 2}}, [(6, 10), (0, 2), (7, 8)]),
        ({"moveDimension": {"source": line("ROWS", 5, 6), "destinationIndex": 8}}, [(4, 8), (0, 2), (7, 8)]),
    ],
)
def test_ranges_follow_rows(bench: Bench, change: dict[str, Any], ends: list[tuple[int, int] | None]) -> None:
    rule = {"condition": {"type": "NOT_BLANK"}, "format": {"textFormat": {"bold": True}}}
    for at, where in enumerate(RANGES):
        bench.batch({"addNamedRange": {"namedRange": {"name": f"name_{at}", "range": where}}})
        bench.batch({"addProtectedRange": {"protectedRange": {"range": where}}})
        bench.batch({"addFilterView": {"filter": {"range": where, "title": f"view {at}"}}})
        bench.batch({"addConditionalFormatRule": {"rule": {"ranges": [where], "booleanRule": rule}, "index": at}})
        found = {"metadataKey": f"key {at}", "location": {"dimensionRange": line("ROWS", at + 4, at + 5)}}
        bench.batch({"createDeveloperMetadata": {"developerMetadata": found | {"visibility": "DOCUMENT"}}})
    for where in RANGES[:2]:
        bench.batch({"mergeCells": {"range": where, "mergeType": "MERGE_ALL"}})
    assert bench.batch(change).ok
    got = bench.ask("GET", "/v4/spreadsheets/{id}").json()
    sheet = got["sheets"][0]
    expected = [each for each in ends if each is not None]

    def rows(things: Any) -> list[tuple[int, int]]:
        return [(each["startRowIndex"], each["endRowIndex"]) for each in things]

    assert rows(each["range"] for each in got["namedRanges"]) == expected
    assert "sheetId" not in got["namedRanges"][0]["range"], "sheet 0 is not said"
    assert rows(each["range"] for each in sheet["protectedRanges"]) == expected
    assert rows(each["range"] for each in sheet["filterViews"]) == expected
    assert rows(each["ranges"][0] for each in sheet["conditionalFormats"]) == expected
    assert rows(sheet["merges"]) == [each for each in ends[:2] if each is not None]


def test_columns_move_with_their_filters_and_formulas(bench: Bench) -> None:
    bench.book.type("Sheet1", "E1", "=SUM(B2:C4)")
    bench.book.filter("Sheet1", "A1:C4", {"C": ["1"]})
    bench.book.add("Other", [["=Sheet1!B2", '="Sheet1!B2"']])
    bench.book.insert_columns("Sheet1", "B")
    bench.book.rename("Sheet1", "My data")
    assert bench.book.raw("Other") == [["='My data'!C2", '="Sheet1!B2"']]
    assert bench.book.values("Other", "A1") == [["ii"]]
    bench.book.rename("My data", "Sheet1")
    assert bench.book.raw("Sheet1", "F1") == [["=SUM(C2:D4)"]]
    assert bench.meta("sheets.basicFilter")["sheets"][0]["basicFilter"]["criteria"] == {"3": {"hiddenValues": ["1"]}}
    bench.book.move_columns("Sheet1", "D", "D", "A")
    assert bench.book.values("Sheet1", "A1:E1") == [["n", "url", "", "label"]]
    bench.book.delete_columns("Sheet1", "A", "D")
    assert bench.book.raw("Sheet1", "B1") == [["=SUM(#REF!)"]]


def test_developer_metadata(bench: Bench) -> None:
    def add(key: str, first: int, last: int) -> Any:
        where = {"dimensionRange": line("ROWS", first, last)}
        found = {"metadataKey": key, "metadataValue": "v", "visibility": "DOCUMENT", "location": where}
        return bench.batch({"createDeveloperMetadata": {"developerMetadata": found}})

    def at(key: str) -> list[int]:
        body = {"dataFilters": [{"developerMetadataLookup": {"metadataKey": key}}]}
        found = bench.ask("POST", "/v4/spreadsheets/{id}/developerMetadata:search", body).json()
        matched = [each["developerMetadata"]["location"] for each in found.get("matchedDeveloperMetadata", [])]
        return [location["dimensionRange"]["startIndex"] for location in matched]

    text = "Invalid requests[0].createDeveloperMetadata: DimensionRange must represent a single row or column"
    assert message(add("two", 1, 3)) == text
    assert add("row", 1, 2).json()["replies"][0]["createDeveloperMetadata"]["developerMetadata"]["metadataId"] > 0
    bench.book.insert_rows("Sheet1", 1, 3)
    assert at("row") == [4]
    data = {"dataFilter": {"developerMetadataLookup": {"metadataKey": "row"}}, "values": [["by metadata"]]}
    body = {"valueInputOption": "RAW", "data": [data]}
    written = bench.ask("POST", "/v4/spreadsheets/{id}/values:batchUpdateByDataFilter", body).json()
    assert written["responses"][0]["updatedRange"] == "Sheet1!A5"
    filters = {"dataFilters": [{"gridRange": area(4, 0, 5, 2)}, {"a1Range": "B6"}]}
    got = bench.ask("POST", "/v4/spreadsheets/{id}/values:batchGetByDataFilter", filters).json()
    assert [each["valueRange"]["values"] for each in got["valueRanges"]] == [[["by metadata", "ii"]], [["i"]]]
    bench.book.sort("Sheet1", "A5:C7", "C")
    assert at("row") == [4], "a sort moves cells, not rows"
    bench.google.switches.metadata_follows_sort = True
    bench.book.sort("Sheet1", "A5:C7", "C", descending=True)
    assert at("row") == [6]
    bench.book.move_rows("Sheet1", 7, 7, 1)
    assert at("row") == [0]
    bench.book.delete_rows("Sheet1", 1)
    assert at("row") == []


def test_protected_cells(bench: Bench) -> None:
    bench.book.protect("Sheet1", "A1:C1")
    writes: list[Callable[[], Any]] = [lambda: bench.tab.update_acell("B1", "x"), lambda: bench.tab.delete_rows(1)]
    for write in writes:
        with pytest.raises(APIError, match="You are trying to edit a protected cell or object"):
            write()
    bench.tab.update_acell("B2", "free")
    bench.book.unprotect("Sheet1")
    bench.book.protect("Sheet1", "A1:C1", warning=True)
    bench.tab.update_acell("B1", "warned")
    bench.tab.add_protected_range("A4:C4")
    bench.tab.update_acell("B4", "mine")
    got = bench.meta("sheets.protectedRanges")["sheets"][0]["protectedRanges"]
    assert got[1]["editors"] == {"users": [bench.google.email]}
    assert "warningOnly" not in got[1]
    assert "editors" not in got[0]


def test_cells_are_cut_copied_and_merged(bench: Bench) -> None:
    bench.book.note("Sheet1", "B2", "n")
    bench.book.type("Sheet1", "D1", "=B2")
    bench.book.cut_paste("Sheet1", "B2:C3", "F6")
    assert bench.book.raw("Sheet1", "F6:G7") == [["ii", 3], ["i", 1]]
    assert bench.book.cell("Sheet1", "F6").note == "n"
    assert bench.book.values("Sheet1", "B2:C3") == []
    assert bench.book.raw("Sheet1", "D1") == [["=F6"]], "what refers to a cut cell follows it"
    bench.tab.copy_range("F6:G6", "F8:G9")
    assert bench.book.raw("Sheet1", "F8:G9") == [["ii", 3], ["ii", 3]]
    bench.tab.merge_cells("F6:G7")
    assert bench.book.values("Sheet1", "F6:G7") == [["ii"]], "only the first cell keeps its value"
    assert bench.meta("sheets.merges")["sheets"][0]["merges"] == [{k: v for k, v in area(5, 5, 7, 7).items() if v}]
    bench.tab.unmerge_cells("F6:G7")
    assert bench.meta("sheets.merges") == {"sheets": [{}]}


def test_formats_read_back_with_their_style(bench: Bench) -> None:
    bench.tab.format("A1", {"backgroundColor": {"red": 1, "green": 0, "blue": 0}, "textFormat": {"bold": True}})
    bench.tab.format("A1", {"textFormat": {"italic": True}})
    got = bench.meta("sheets.data.rowData.values.userEnteredFormat", ranges="A1")
    form = got["sheets"][0]["data"][0]["rowData"][0]["values"][0]["userEnteredFormat"]
    assert form["backgroundColor"] == form["backgroundColorStyle"]["rgbColor"] == {"red": 1}
    assert form["textFormat"] == {"italic": True}


def test_strict_validation_is_a_switch(bench: Bench) -> None:
    bench.book.dropdown("Sheet1", "B2:B4", ["i", "ii", "iii"])
    bench.tab.update_acell("B2", "wrong")
    bench.google.switches.strict_validation_rejects = True
    with pytest.raises(APIError, match="violates the data validation rules"):
        bench.tab.update_acell("B3", "wrong")
    bench.tab.update_acell("B3", "iii")


def test_what_gspread_does_with_tabs(bench: Bench) -> None:
    more = bench.sheet.add_worksheet("More", 10, 5)
    twin = bench.sheet.duplicate_sheet(bench.tab.id, new_sheet_name="Twin")
    assert twin.get_all_values() == bench.tab.get_all_values()
    more.update_title("Renamed")
    more.update_index(0)
    more.freeze(rows=1)
    more.update_tab_color("#ff0000")
    more.insert_rows([["a", "b"], ["c"]], 1)
    more.add_cols(2)
    more.columns_auto_resize(0, 2)
    more.add_dimension_group_rows(1, 3)
    more.delete_dimension_group_rows(1, 3)
    more.hide_rows(2, 3)
    more.set_basic_filter("A1:B3")
    more.clear_basic_filter()
    more.define_named_range("A1:B2", "block")
    assert bench.sheet.list_named_ranges()[0]["name"] == "block"
    assert bench.book.columns("Renamed") == 7
    assert bench.sheet.values_batch_get(["block"])["valueRanges"][0]["values"] == [["a", "b"], ["c"]]
    more.delete_named_range(bench.sheet.list_named_ranges()[0]["namedRangeId"])
    other = bench.google.create("Other")
    assert more.copy_to(other)["title"] == "Copy of Renamed"
    bench.sheet.reorder_worksheets([bench.tab, twin, more])
    assert bench.book.tabs == ["Sheet1", "Twin", "Renamed"]
    bench.book.move("Sheet1", 2)
    assert bench.book.tabs == ["Twin", "Sheet1", "Renamed"], "an index counts before the move"
    bench.sheet.del_worksheet(twin)
    bench.sheet.update_title("New name")
    bench.sheet.update_locale("de_DE")
    assert bench.book.tabs == ["Sheet1", "Renamed"]
    bench.tab.update_cells([gspread.Cell(1, 1, "u"), gspread.Cell(3, 3, "x")])
    assert bench.book.values("Sheet1", "A1:C3") == [["u", "label", "n"], ["", "ii", "3"], ["http://x/2.png", "i", "x"]]
    assert bench.tab.findall("iii")[0].address == "B4"
    assert bench.tab.get_all_records()[0] == {"u": "", "label": "ii", "n": 3}
    bench.sheet.del_worksheet(more)
    with pytest.raises(APIError, match="can't remove all the"):
        bench.sheet.del_worksheet(bench.tab)


def test_rules_and_views_by_hand(bench: Bench) -> None:
    rule = {"ranges": [area(0, 0, 2, 2)], "booleanRule": {"condition": {"type": "BLANK"}, "format": {}}}
    for index in (0, 1):
        assert bench.batch({"addConditionalFormatRule": {"rule": rule, "index": index}}).ok
    moved = bench.batch({"updateConditionalFormatRule": {"sheetId": 0, "index": 0, "newIndex": 1}}).json()
    assert moved["replies"][0]["updateConditionalFormatRule"]["newIndex"] == 1
    assert bench.batch({"deleteConditionalFormatRule": {"sheetId": 0, "index": 1}}).ok
    assert "at index: 1" in message(bench.batch({"deleteConditionalFormatRule": {"sheetId": 0, "index": 1}}))
    view = bench.batch({"addFilterView": {"filter": {"range": area(0, 0, 4, 3)}}}).json()["replies"][0]
    view_id = view["addFilterView"]["filter"]["filterViewId"]
    change = {"filter": {"filterViewId": view_id, "title": "mine"}, "fields": "title"}
    assert bench.batch({"updateFilterView": change}).ok
    assert bench.meta("sheets.filterViews.title")["sheets"][0]["filterViews"] == [{"title": "mine"}]
    assert bench.batch({"deleteFilterView": {"filterId": view_id}}).ok
    name = {"name": "x_y", "range": area(0, 0, 1, 1)}
    added = bench.batch({"addNamedRange": {"namedRange": name}}).json()["replies"][0]
    named = added["addNamedRange"]["namedRange"] | {"name": "z_z"}
    assert bench.batch({"updateNamedRange": {"namedRange": named, "fields": "name"}}).ok
    assert bench.values("z_z")["range"] == "Sheet1!A1"
    assert bench.batch({"appendDimension": {"sheetId": 0, "dimension": "COLUMNS", "length": 2}}).ok
    assert bench.book.columns("Sheet1") == 28
    limits = "exceeds grid limits. Max rows: 1000, max columns: 28"
    outside = {"setBasicFilter": {"filter": {"range": area(0, 0, 1001, 3)}}}
    assert limits in message(bench.batch(outside))


def test_an_id_is_given_to_one_thing_only(bench: Bench) -> None:
    view = {"addFilterView": {"filter": {"range": area(0, 0, 4, 3), "filterViewId": 7}}}
    protected = {"addProtectedRange": {"protectedRange": {"range": area(0, 0, 4, 3), "protectedRangeId": 7}}}
    for request in (view, protected):
        assert bench.batch(request).ok
        assert "with id: 7 already exists" in message(bench.batch(request))


# --- Drive ------------------------------------------------------------------------------------------


def test_files_are_found_listed_and_shared(bench: Bench) -> None:
    bench.google.create('Other "quoted"')
    bench.google.create("Secret", share=False)
    assert {each.title for each in bench.client.openall()} == {"Data", 'Other "quoted"'}
    assert bench.client.open("Data").id == bench.id
    with pytest.raises(APIError, match="Invalid Value"):
        bench.client.open('Other "quoted"')  # gspread does not escape titles
    bench.sheet.share("ada@example.com", perm_type="user", role="reader", notify=False)
    people = {each["emailAddress"]: each["role"] for each in bench.sheet.list_permissions()}
    assert people["ada@example.com"] == "reader"
    bench.sheet.remove_permissions("ada@example.com")
    assert len(bench.sheet.list_permissions()) == len(people) - 1
    assert bench.client.export(bench.id, ExportFormat.CSV).decode().splitlines()[:2] == ["url,label,n", ",ii,3"]
    with pytest.raises(APIError) as refused:
        bench.client.del_spreadsheet(bench.id)
    assert refused.value.code == 403


def test_service_accounts_have_no_storage(bench: Bench) -> None:
    makes: list[Callable[[], Any]] = [lambda: bench.client.create("Mine"), lambda: bench.client.copy(bench.id)]
    for make in makes:
        with pytest.raises(APIError) as refused:
            make()
        error = refused.value.response.json()["error"]
        assert error["code"] == 403
        assert error["errors"][0] == {
            "domain": "usageLimits",
            "reason": "storageQuotaExceeded",
            "message": "The user's Drive storage quota has been exceeded.",
        }
    bench.google.switches.drive_storage = True
    made = bench.client.create("Mine")
    assert made.sheet1.title == "Sheet1"
    twin = bench.client.copy(bench.id, title="Twin")
    assert twin.sheet1.get_all_values() == bench.tab.get_all_values()
    answer = bench.ask("DELETE", f"/drive/v3/files/{made.id}")
    assert (answer.status_code, answer.headers["Content-Type"], answer.content) == (204, "text/html", b"")


def test_drive_hears_of_an_edit_later(tmp_path: Path) -> None:
    now = [1_700_000_000.0]
    with GoogleServer(clock=lambda: now[0]) as google:
        bench = Bench(google, tmp_path)
        created = bench.sheet.get_lastUpdateTime()
        assert created == "2023-11-14T22:13:20.000Z"
        now[0] += 1000
        assert bench.ask("GET", "/drive/v3/files/{id}").ok
        bench.book.type("Sheet1", "A1", "x")
        now[0] += 179
        assert bench.sheet.get_lastUpdateTime() == created
        now[0] += 2
        assert bench.sheet.get_lastUpdateTime() == "2023-11-14T22:30:00.000Z"
        now[0] += 3600
        assert bench.ask("GET", "/drive/v3/files/{id}").status_code == 401, "a token lasts an hour"
        clients.close(bench.client)


# --- what goes wrong --------------------------------------------------------------------------------


def test_too_many_requests_in_a_minute(tmp_path: Path) -> None:
    now = [1_700_000_000.0]
    with GoogleServer(clock=lambda: now[0]) as google:
        bench = Bench(google, tmp_path)
        google.quota.writes = 60
        for at in range(60):
            bench.tab.update_acell("A1", str(at))
        with pytest.raises(APIError) as refused:
            bench.tab.update_acell("A1", "one too many")
        error = refused.value.response.json()["error"]
        assert refused.value.response.status_code == 429
        assert error["status"] == "RESOURCE_EXHAUSTED"
        assert error["message"] == (
            "Quota exceeded for quota metric 'Write requests' and limit 'Write requests per minute per user' of "
            "service 'sheets.googleapis.com' for consumer 'project_number:123456789012'."
        )
        info = error["details"][0]
        assert (info["reason"], info["domain"]) == ("RATE_LIMIT_EXCEEDED", "googleapis.com")
        assert info["metadata"]["quota_metric"] == "sheets.googleapis.com/write_requests"
        assert info["metadata"]["quota_limit"] == "WriteRequestsPerMinutePerUser"
        assert bench.tab.acell("A1").value == "59", "reads have their own"
        now[0] += 60
        bench.tab.update_acell("A1", "next minute")
        assert bench.book.values("Sheet1", "A1") == [["next minute"]]
        clients.close(bench.client)


@pytest.mark.parametrize(
    ("fault", "status", "applied"),
    [
        (faults.rate_limited(7), 429, 0),
        (faults.server_error(), 500, 0),
        (faults.unavailable(), 503, 0),
        (faults.html(), 502, 0),
        (faults.slow(0.2), 200, 1),
        (faults.twice(), 200, 2),
        (faults.dropped(), None, 0),
        (faults.silent(), None, 0),
        (faults.cut(), None, 1),
        (faults.lost(), None, 1),
    ],
)
def test_faults(bench: Bench, fault: Fault, status: int | None, applied: int) -> None:
    bench.google.faults.queue(fault)
    bench.client.set_timeout(0.5)
    before = len(bench.book.values("Sheet1"))
    began = time.monotonic()
    if status is None:
        with pytest.raises(requests.RequestException):
            bench.tab.append_row(["x"], table_range="A1")
    elif status == 200:
        answer = bench.tab.append_row(["x"], table_range="A1")
        assert answer["updates"]["updatedRange"] == "Sheet1!A5"
    else:
        with pytest.raises(APIError) as refused:
            bench.tab.append_row(["x"], table_range="A1")
        answer = refused.value.response
        assert answer.status_code == status
        assert answer.headers.get("Retry-After") == ("7" if status == 429 else None)
        assert ("<html" in answer.text) is (status == 502)
    assert time.monotonic() - began >= fault.seconds
    assert len(bench.book.values("Sheet1")) - before == applied
    assert bench.tab.acell("B2").value == "ii", "the next request is answered"


def test_an_api_that_is_not_enabled(bench: Bench) -> None:
    bench.google.faults.queue(faults.disabled("4711"))
    error = bench.ask("GET", "/v4/spreadsheets/{id}").json()["error"]
    assert (error["code"], error["status"]) == (403, "PERMISSION_DENIED")
    assert error["message"].startswith("Google Sheets API has not been used in project 4711 before or it is disabled.")
    info = error["details"][0]
    assert (info["reason"], info["metadata"]["consumer"]) == ("SERVICE_DISABLED", "projects/4711")


@pytest.mark.parametrize(("ahead", "status"), [(0, 200), (-200, 200), (4000, 400), (-400, 400)])
def test_a_claim_must_be_of_now_where_that_is_looked_at(tmp_path: Path, ahead: int, status: int) -> None:
    with GoogleServer(clock=lambda: time.time() + ahead) as google:
        account: Any = credentials(google.key_file(tmp_path / "key.json"))
        google.tokens.strict = True
        grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
        form = {"grant_type": grant, "assertion": account._make_authorization_grant_assertion().decode()}
        answer = requests.post(f"{google.url}/token", data=form, timeout=20)
    assert answer.status_code == status
    assert ("short-lived token" in answer.text) is (status == 400)


def test_a_plan_of_faults_sees_every_request(bench: Bench) -> None:
    seen = []

    def plan(method: str, path: str, number: int) -> Fault | None:
        seen.append((method, number))
        return faults.unavailable() if method == "PUT" else None

    bench.google.faults.plan = plan
    bench.tab.acell("A1")
    with pytest.raises(APIError, match="currently unavailable"):
        bench.tab.update_acell("A1", "x")
    assert [method for method, _ in seen] == ["GET", "PUT"]
    assert seen[1][1] == seen[0][1] + 1
    bench.google.faults.clear()
    bench.tab.update_acell("A1", "x")
    assert [entry.status for entry in bench.google.log[-2:]] == [503, 200]
    assert (bench.google.reads, bench.google.writes) == (3, 2), "`sheet1` asked too"


def test_an_editor_acts_between_two_requests(bench: Bench) -> None:
    def before(method: str, path: str) -> None:
        if method == "PUT":
            bench.book.insert_rows("Sheet1", 1)

    bench.google.before = before
    row = bench.tab.findall("iii")[0].row
    bench.tab.update_cell(row, 2, "late")
    assert bench.book.values("Sheet1", "B1:B5") == [[], ["label"], ["ii"], ["late"], ["iii"]]


def test_the_server_does_not_let_itself_be_wrong(tmp_path: Path) -> None:
    def break_it(google: GoogleServer) -> None:
        bench = Bench(google, tmp_path)
        bench.book.state.properties["nonsense"] = 1
        bench.ask("GET", "/v4/spreadsheets/{id}")
        clients.close(bench.client)

    google = GoogleServer()
    with pytest.raises(AssertionError, match="'nonsense' was unexpected"), google:
        break_it(google)
    assert len(google.violations) == 1


def test_what_the_server_cannot_do_is_a_violation(bench: Bench) -> None:
    answer = bench.batch({"randomizeRange": {"range": area(0, 0, 2, 2)}})
    assert answer.status_code == 501
    assert bench.google.violations == ["randomizeRange is not implemented by this server"]
    bench.google.violations.clear()


# --- a second witness, and size ---------------------------------------------------------------------


@pytest.fixture
def services(bench: Bench) -> Iterator[tuple[Any, Any]]:
    made = []
    for name, version, path in (("sheets", "v4", "/"), ("drive", "v3", "/drive/v3/")):
        http = google_auth_httplib2.AuthorizedHttp(credentials(bench.key), http=httplib2.Http(timeout=20))
        options = {"api_endpoint": bench.google.url + path}
        made.append(build(name, version, http=http, client_options=options, static_discovery=True))
    yield made[0], made[1]
    for service in made:
        service.close()


def test_googles_own_client(bench: Bench, services: tuple[Any, Any]) -> None:
    sheets, drive = services
    values = sheets.spreadsheets().values()
    body = {"values": [["a", None, "=1+1"]]}
    told = values.update(
        spreadsheetId=bench.id,
        range="Sheet1!A2:C2",
        body=body,
        valueInputOption="USER_ENTERED",
        includeValuesInResponse=True,
        responseValueRenderOption="FORMATTED_VALUE",
    ).execute()
    assert told["updatedData"]["values"] == [["a", "ii", "2"]]
    got = values.batchGet(spreadsheetId=bench.id, ranges=["B1:B2", "A2"]).execute()
    assert [each["range"] for each in got["valueRanges"]] == ["Sheet1!B1:B2", "Sheet1!A2"]
    more = values.append(spreadsheetId=bench.id, range="A1", body={"values": [["z"]]}, valueInputOption="RAW").execute()
    assert more["updates"]["updatedRange"] == "Sheet1!A5"
    request = {"requests": [{"sortRange": {"range": area(1, 0, 5, 3), "sortSpecs": [{"dimensionIndex": 0}]}}]}
    assert sheets.spreadsheets().batchUpdate(spreadsheetId=bench.id, body=request).execute()["replies"] == [{}]
    assert bench.book.values("Sheet1", "A2:A5") == [["a"], ["http://x/2.png"], ["z"]]
    with pytest.raises(HttpError, match="Unable to parse range: Nope!A1") as refused:
        values.get(spreadsheetId=bench.id, range="Nope!A1").execute()
    assert refused.value.status_code == 400
    assert drive.files().get(fileId=bench.id, fields="name,capabilities/canEdit").execute() == {
        "name": "Data",
        "capabilities": {"canEdit": True},
    }
    asked = drive.files().list(q="name = 'Data' and trashed = false", pageSize=1).execute()
    assert [each["id"] for each in asked["files"]] == [bench.id]
    with pytest.raises(HttpError, match="storage quota"):
        drive.files().create(body={"name": "x"}).execute()


def test_a_large_sheet(bench: Bench) -> None:
    rows = [[f'=IMAGE("http://x/{at}.png")', f"http://x/{at}.png", at, *["text"] * 12] for at in range(20_000)]
    bench.tab.resize(20_000, 15)
    bench.tab.update(rows, "A1", raw=False)
    bench.tab.sort((3, "des"))
    got = bench.tab.get(value_render_option=ValueRenderOption.formula)
    assert got == rows[::-1]
    bench.book.insert_rows("Sheet1", 2)
    assert bench.values("A20001:C20001")["values"] == [["", "http://x/0.png", "0"]]


def test_switches_and_requests_are_at_hand(tmp_path: Path) -> None:
    with GoogleServer(switches=Switches(dash_starts_formula=False)) as google:
        bench = Bench(google, tmp_path)
        google.clear_log()
        bench.tab.update([["-x"]], "A1", raw=False)
        assert bench.book.raw("Sheet1", "A1") == [["-x"]]
        assert json.loads(google.asked[-1].content)["values"] == [["-x"]]
        assert google.log == [("PUT", f"/v4/spreadsheets/{bench.id}/values/%27Sheet1%27%21A1", 200)]
        clients.close(bench.client)


def test_a_filter_that_sorts_moves_the_rows(bench: Bench) -> None:
    specs = [{"dimensionIndex": 2, "sortOrder": "ASCENDING"}]
    assert bench.batch({"setBasicFilter": {"filter": {"range": area(0, 0, 4, 3), "sortSpecs": specs}}}).ok
    assert bench.book.values("Sheet1", "C1:C4") == [["n"], ["1"], ["2"], ["3"]]
    body = '{"values": [[NaN]]}'
    url = f"{bench.google.url}/v4/spreadsheets/{bench.id}/values/A1?valueInputOption=RAW"
    headers = {"Authorization": f"Bearer {bench.client.http_client.auth.token}"}
    assert requests.put(url, data=body, headers=headers, timeout=20).status_code == 400
