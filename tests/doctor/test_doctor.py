"""`sheetsync doctor`: each line well and not well, over real HTTP and on real files. It changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import requests
from filelock import FileLock

from sheetsync.auth.key_file import SCOPE
from sheetsync.auth.user_token import save_sign_in
from sheetsync.common.finding import Finding, note, ok
from sheetsync.common.state_folder import STATE, StateFolder
from sheetsync.doctor.checks import CheckTimeout, Surroundings, examine, this_machine, with_timeout
from sheetsync.errors import TrainingError
from sheetsync.trainer.inspect import inspect_device, inspect_weights
from sheetsync.trainer.process_trainer import ProcessTrainer
from tests.cli.test_cli import until
from tests.helpers.googleserver import Fault, GoogleServer, faults
from tests.helpers.googleserver.errors import insufficient_scopes
from tests.helpers.googleserver.signin import write_client
from tests.helpers.googleserver.world import OWNER, XLSX
from tests.helpers.support import png, tree
from training.device import describe
from training.recipe import RECIPES

SHEETSYNC = str(Path(sys.executable).with_name("sheetsync"))
CPU = {"torch": "2.9", "cores": 2, "gpu": None, "said": ""}
LOCAL = ["configuration", "recipe", "weights", "device", "folder", "space", "links", "lock", "dataset"]
SHEET = ["sheet", "header", "columns", "rows"]
GOOGLE = ["credentials", "token", "api", "reading", "writing", "tabs"]
ROWS = [["image", "label", "split"], ["http://x/1.png", "i", ""], ["http://x/2.png", "i", ""]]


def look(folder: Path, **world: Any) -> dict[str, Finding]:
    """What the doctor finds, on a machine that has no GPU and much room."""
    given: dict[str, Any] = {"device": lambda: CPU, "free": lambda _: 10**12, "environ": {}}
    given |= {"weights": lambda _: ok("there")} | world
    surroundings = Surroundings(lambda project: ProcessTrainer(project.dataset, project.recipe, project.state), **given)
    return {finding.name: finding for finding in examine(folder, surroundings)}


def names(found: dict[str, Finding], state: str) -> list[str]:
    return [name for name, finding in found.items() if finding.state == state]


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    """A healthy project with a CSV file."""
    (tmp_path / "labels.csv").write_text("".join(",".join(row) + "\n" for row in ROWS))
    (tmp_path / "sheetsync.toml").write_text('sheet = "labels.csv"\n')
    return tmp_path


# --- a CSV project --------------------------------------------------------------------------------


def test_a_healthy_project_has_no_problem(csv: Path) -> None:
    found = look(csv)
    assert list(found) == [*LOCAL, *SHEET, "proxy"]
    assert names(found, "ok") == [name for name in found if name != "device"]
    assert found["recipe"].said.startswith("roman-resnet50: resnet50-conv2, 100 epochs")
    assert found["header"].said == "image in A, label in B, split in C"
    assert found["columns"].said.startswith("the first sync adds at the right: status, prediction, ")
    assert found["rows"].said == "2 rows, 2 usable, 0 not; 0 warnings"


def test_it_changes_nothing(csv: Path) -> None:
    for place in ("objects", "runs"):
        (csv / ".sheetsync" / place).mkdir(parents=True)
    (csv / ".sheetsync" / "lock").touch()
    (csv / "dataset").mkdir()
    before, all_before = tree(csv), files(csv)
    found = look(csv)
    assert names(found, "problem") == []
    assert (tree(csv), files(csv)) == (before, all_before)


def toml(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "sheetsync.toml").write_text(text) and None


def rows(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "labels.csv").write_bytes(text.encode("latin-1")) and None


def stranger(folder: Path) -> None:
    (folder / "dataset" / "train" / "i").mkdir(parents=True)
    (folder / "dataset" / "train" / "i" / "mine.png").write_bytes(png(1))


def unwritable(folder: Path) -> None:
    """A file in a folder in which not even root makes others."""
    (folder / "labels.csv").unlink()
    (folder / "labels.csv").symlink_to("/proc/filesystems")


AFTER_CONFIGURATION = ["recipe", "weights", "dataset", *SHEET]
SPOILT: dict[str, tuple[Callable[[Path], None], str, str, list[str]]] = {
    "no project": (
        lambda folder: (folder / "sheetsync.toml").unlink(),
        "configuration",
        "there is no sheetsync.toml",
        AFTER_CONFIGURATION,
    ),
    "bad key": (toml('sheet = "labels.csv"\nx = 1'), "configuration", "unknown key 'x'", AFTER_CONFIGURATION),
    "no recipe": (
        toml('sheet = "labels.csv"\nrecipe = "none"'),
        "recipe",
        "there is no recipe 'none'",
        ["weights"],
    ),
    "a file in the way": (
        lambda folder: (folder / ".sheetsync").touch(),
        "folder",
        "cannot be written (Not a directory)",
        ["space", "links"],
    ),
    "a stranger": (stranger, "dataset", "mine.png", []),
    "no sheet": (lambda folder: (folder / "labels.csv").unlink(), "sheet", "labels.csv cannot be read", SHEET[1:]),
    "another encoding": (rows("image,label\na.png,é\n"), "sheet", "is not UTF-8", SHEET[1:]),
    "no sheet at all": (toml('sheet = "http://x/y"'), "sheet", "http://x/y is no sheet", SHEET[1:]),
    "no label": (rows("image,class\n"), "header", "no column is called label", SHEET[2:]),
    "twice": (rows("image,label,Label\n"), "header", "occurs twice, in columns B and C", SHEET[2:]),
    "no slice": (
        toml('sheet = "labels.csv"\nslices = ["light"]'),
        "header",
        "no column is called light",
        SHEET[2:],
    ),
    "their column": (rows("image,label,status\na.png,i,done\n"), "columns", "column C is called 'status'", []),
}
if sys.platform == "linux":
    SPOILT["no place for a new file"] = (unwritable, "sheet", "cannot be written", SHEET[1:])


@pytest.mark.parametrize("kind", SPOILT)
def test_a_problem_is_told_and_ends_only_what_needs_it(csv: Path, kind: str) -> None:
    spoil, name, words, after = SPOILT[kind]
    spoil(csv)
    found = look(csv)
    assert names(found, "problem") == [name]
    assert words in found[name].said
    assert names(found, "skipped") == after
    assert all(found[each].said.endswith(f": {name}") for each in after), "the problem behind it, not the next one"
    assert list(found) == [*LOCAL, *SHEET, "proxy"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    found = look(tmp_path / "none")
    assert names(found, "problem") == ["configuration", "folder"]
    assert found["folder"].said == f"there is no folder {tmp_path / 'none'}"
    assert list(tmp_path.iterdir()) == []


def test_rows_that_cannot_be_used_are_a_note(csv: Path) -> None:
    (csv / "labels.csv").write_text("image,label\na.png,i\nb.png,i\n,i\nc.png,I\n")
    found = look(csv)
    assert found["header"].said == "image in A, label in B; no column split: it is chosen from the image"
    assert found["rows"].state == "note"
    assert found["rows"].said.startswith("4 rows, 3 usable, 1 not; 1 warnings; the first: row 4, no image")
    assert "sheetsync plan" in found["rows"].todo


def test_columns_that_are_ours_are_no_problem(csv: Path) -> None:
    header = "image,label,status,prediction,confidence,label_quality,review,review_rank,used_split"
    (csv / "labels.csv").write_text(header + "\na.png,i,ok,i,0.9,0.9,,,train\n")
    assert look(csv)["columns"].said == "all of sheetsync's columns are there"


# --- the machine ----------------------------------------------------------------------------------


def broken() -> Any:
    raise TrainingError("PyTorch does not load: no such library")


@pytest.mark.parametrize(
    ("device", "state", "words"),
    [
        (lambda: CPU, "note", "no GPU that it can use: training runs on 2 cores"),
        (lambda: CPU | {"said": "the driver is too old"}, "note", "(the driver is too old)"),
        (lambda: CPU | {"gpu": {"name": "H100", "free": 8 * 10**9, "total": 10**10}}, "ok", "H100, 8.0 GB of 10.0 GB"),
        (lambda: CPU | {"gpu": {"error": "out of memory"}}, "problem", "cannot use the GPU: out of memory"),
        (broken, "problem", "PyTorch does not load"),
    ],
)
def test_what_training_runs_on(csv: Path, device: Callable[[], Any], state: str, words: str) -> None:
    found = look(csv, device=device)["device"]
    assert (found.state, words in found.said) == (state, True), found


class Cuda:
    """PyTorch's words on a GPU, as a machine with one that is full, or with an old driver, gives them."""

    def __init__(self, there: bool):
        self.there = there

    def is_available(self) -> bool:
        if not self.there:
            import warnings

            warnings.warn("The NVIDIA driver\nis too old", stacklevel=1)
        return self.there

    def mem_get_info(self) -> tuple[int, int]:
        raise RuntimeError("CUDA error: out of memory")


def test_a_gpu_that_does_not_work_is_told_and_not_raised() -> None:
    assert describe(Cuda(there=True))["gpu"] == {"error": "CUDA error: out of memory"}
    found = describe(Cuda(there=False))
    assert (found["gpu"], found["said"]) == (None, "The NVIDIA driver is too old")


def test_pytorch_is_asked_in_a_process_of_its_own_and_not_for_ever() -> None:
    found = inspect_device()
    assert found["torch"].split(".")[0].isdecimal()
    assert found["cores"] == os.cpu_count()
    with pytest.raises(TrainingError, match=r"did not load within 0\.01 s"):
        inspect_device(0.01)


def test_what_is_missing_of_the_weights_is_said_with_what_to_do_about_it(csv: Path) -> None:
    found = look(csv, weights=lambda _: note("it will be fetched", "without a network: put it there"))["weights"]
    assert found == Finding("weights", "note", "it will be fetched", "without a network: put it there")


def test_the_weights_are_looked_for_by_the_recipe_where_the_project_has_them(csv: Path) -> None:
    """The training package is asked: it knows what its recipes start from."""
    ask = this_machine().weights
    assert look(csv, weights=ask)["weights"].state == "ok", "from random numbers"
    recipe = next(name for name, each in RECIPES.items() if each.weights)
    (csv / "sheetsync.toml").write_text(f'sheet = "labels.csv"\nrecipe = "{recipe}"\n[training]\nweights = "cut.pth"\n')
    (csv / "cut.pth").write_bytes(b"half of it")
    found = look(csv, weights=ask)["weights"]
    assert (found.state, str(csv / "cut.pth") in found.said, bool(found.todo)) == ("problem", True, True), found


def test_where_nothing_can_be_said_of_the_weights_that_is_a_sentence() -> None:
    with pytest.raises(TrainingError, match=r"^cannot be looked at: there is no recipe 'none'.*; install sheetsync"):
        inspect_weights("none", "")
    with pytest.raises(TrainingError, match=r"^not looked at within 0\.01 s"):
        inspect_weights("roman-resnet50", "", 0.01)


def test_little_room_is_a_problem(csv: Path) -> None:
    assert look(csv, free=lambda _: 10**9)["space"].state == "ok"
    little = look(csv, free=lambda _: 10**9 - 1)["space"]
    assert (little.state, little.said.startswith("little room: 1.0 GB free")) == ("problem", True)
    (csv / ".sheetsync" / "objects").mkdir(parents=True)
    with (csv / ".sheetsync" / "objects" / "big").open("wb") as file:
        file.truncate(3 * 10**9)  # takes no room itself
    found = look(csv, free=lambda _: 2 * 10**9)["space"]
    assert (found.state, found.said) == ("note", "little room: 2.0 GB free; images and runs take 3.0 GB so far")


def test_no_hard_links_is_a_note(csv: Path) -> None:
    def no_links(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    found = look(csv, link=no_links)["links"]
    assert (found.state, "takes its space twice" in found.said) == ("note", True)
    assert files(csv) == {"labels.csv", "sheetsync.toml"}


def test_another_sheetsync_at_work_is_a_note(csv: Path) -> None:
    (csv / ".sheetsync").mkdir()
    with FileLock(csv / ".sheetsync" / "lock"):
        assert look(csv)["lock"].state == "note"
    assert look(csv)["lock"].state == "ok"


def test_a_proxy_is_a_note_without_its_password(csv: Path) -> None:
    found = look(csv, environ={"https_proxy": "http://me:TOPSECRET@proxy", "HTTP_PROXY": "", "NO_PROXY": "x"})["proxy"]
    assert (found.state, "the proxy in https_proxy;" in found.said) == ("note", True)
    assert "TOPSECRET" not in str(found)


# --- time, and bugs -------------------------------------------------------------------------------


def test_what_does_not_end_is_left_behind(csv: Path) -> None:
    stop = Event()
    found = look(csv, device=stop.wait, patience=2)
    stop.set()
    assert found["device"].said == "not done within 6 seconds"
    assert names(found, "problem") == ["device"]


def test_within_gives_what_comes_and_raises_what_is_raised() -> None:
    assert with_timeout(5, lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        with_timeout(5, lambda: 1 // 0)
    stop = Event()
    with pytest.raises(CheckTimeout):
        with_timeout(0.01, lambda: stop.wait(3))
    stop.set()


def test_a_bug_keeps_its_traceback(csv: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        look(csv, device=lambda: 1 // 0)


# --- a Google Sheet -------------------------------------------------------------------------------


class Sheet:
    """A healthy project with a Google Sheet, on a server of its own."""

    def __init__(self, server: GoogleServer, folder: Path):
        self.server, self.folder = server, folder
        self.id = server.create("Images", ROWS)
        self.book = server.book(self.id)
        server.key_file(folder / "credentials.json").chmod(0o600)
        self.write()

    def write(self, identity: str = "", gid: int = 0, scores: str = "scores") -> None:
        (self.folder / "sheetsync.toml").write_text(
            f'sheet = "https://docs.google.com/spreadsheets/d/{identity or self.id}/edit#gid={gid}"\n'
            f'[google]\nscores = "{scores}"\nendpoint = "{self.server.url}"\n'
        )

    def whole(self) -> Any:
        """All that Google tells of the spreadsheet to its owner."""
        token = self.server.tokens._new(OWNER, frozenset([SCOPE]), time.time())["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{self.server.url}/v4/spreadsheets/{self.id}?includeGridData=true"
        return requests.get(url, headers=headers, timeout=20).json()

    def sign_in(self) -> str:
        """Somebody who signed in, in place of the service account; gives the refresh token."""
        people = self.server.tokens.people
        client = people.client()
        write_client(self.folder / "credentials.json", client, self.server.url, "installed").chmod(0o600)
        token = people.refresh_token(client["client_id"], OWNER, frozenset([SCOPE]))
        save_sign_in(StateFolder(self.folder / STATE).google_token, client["client_id"], token)
        return token


@pytest.fixture
def sheet(tmp_path: Path) -> Iterator[Sheet]:
    with GoogleServer() as server:
        yield Sheet(server, tmp_path)


def test_a_healthy_google_sheet_has_no_problem_and_stays_as_it_is(sheet: Sheet) -> None:
    before, on_disk = sheet.whole(), tree(sheet.folder)
    sheet.server.clear_log()
    found = look(sheet.folder)
    assert list(found) == [*LOCAL, *GOOGLE, *SHEET, "quota", "proxy"]
    assert names(found, "ok") == [name for name in found if name != "device"]
    assert (sheet.server.reads, sheet.server.writes) == (3, 1)
    assert (sheet.whole(), tree(sheet.folder)) == (before, on_disk)
    assert f"share the sheet, as Editor, with {sheet.server.email}" in found["credentials"].said
    assert found["tabs"].said == "rows in 'Sheet1'; scores in 'scores', which is made by the first sync"
    assert found["rows"].said == "2 rows, 2 usable, 0 not; 0 warnings"
    assert found["quota"].said.startswith("reads just now: 3, writes: 1; Google allows an account 60 of each a minute")
    sheet.book.add("scores")
    assert look(sheet.folder)["tabs"].said.endswith("which is there")


def test_no_connection_stays_open(sheet: Sheet) -> None:
    assert look(sheet.folder)["writing"].state == "ok"
    until(lambda: not sheet.server._server.open)


def test_no_secret_is_told(sheet: Sheet) -> None:
    key = json.loads((sheet.folder / "credentials.json").read_text())
    sheet.server.tokens.refused, sheet.server.tokens.why = "invalid_grant", f"Invalid JWT: {key['private_key']}"
    said = [str(look(sheet.folder))]
    for content in ('{"type": "service_account", "private_key": "TOPSECRET"}', "TOPSECRET", '{"TOPSECRET": 1}'):
        (sheet.folder / "credentials.json").write_text(content)
        said.append(str(look(sheet.folder)))
    secrets = [line for line in key["private_key"].splitlines() if len(line) == 64] + ["TOPSECRET", "ya29."]
    assert len(secrets) > 20
    assert [secret for secret in secrets if any(secret in each for each in said)] == []


def test_a_key_file_that_others_may_read_is_a_note(sheet: Sheet) -> None:
    key = sheet.folder / "credentials.json"
    key.chmod(0o644)
    found = look(sheet.folder)["credentials"]
    assert (found.state, found.todo) == ("note", f"chmod 600 {key}")


def test_somebody_who_signed_in(sheet: Sheet) -> None:
    token = sheet.sign_in()
    found = look(sheet.folder)
    assert names(found, "problem") == []
    assert found["credentials"].said.startswith("a person's sign-in from ")
    assert found["writing"].said.startswith("the person who signed in may write")
    del sheet.server.tokens.people.lasting[token]
    found = look(sheet.folder)
    assert names(found, "problem") == ["token"]
    assert "run `sheetsync login` again" in found["token"].said
    assert token not in str(found)


def no_token(why: str) -> Callable[[Sheet], None]:
    def spoil(sheet: Sheet) -> None:
        sheet.server.tokens.refused, sheet.server.tokens.why = "invalid_grant", why

    return spoil


def another_time(sheet: Sheet) -> None:
    sheet.server.tokens.strict = True
    sheet.server.clock = lambda: time.time() + 2 * 3600


def answers(fault: Fault, to: str = "") -> Callable[[Sheet], None]:
    def spoil(sheet: Sheet) -> None:
        sheet.server.faults.match = to
        sheet.server.faults.queue(fault)

    return spoil


def no_key(sheet: Sheet) -> None:
    (sheet.folder / "credentials.json").write_text("{}")


def excel(sheet: Sheet) -> None:
    sheet.book.document.mime = XLSX


def refused(code: int, reason: str = "") -> Fault:
    error: dict[str, Any] = {"code": code, "message": "No.", "status": "PERMISSION_DENIED"}
    if reason:
        error["details"] = [{"reason": reason}]
    return faults.answered(code, json.dumps({"error": error}).encode())


def odd_details() -> Fault:
    return faults.answered(403, b'{"error":{"code":403,"message":"No.","details":[5]}}')


SCOPES = insufficient_scopes("sheets.googleapis.com")
AFTER_TOKEN = [*GOOGLE[2:], *SHEET, "quota"]
AFTER_API, AFTER_READING, AFTER_TABS = [*GOOGLE[3:], *SHEET], [*GOOGLE[4:], *SHEET], [*SHEET]
UNWELL: dict[str, tuple[Callable[[Sheet], None], str, str, str, list[str]]] = {
    "no key": (no_key, "credentials", "neither the key of a service account", "", ["token", *AFTER_TOKEN]),
    "old key": (no_token("Invalid JWT Signature."), "token", "no longer the account's", "make a new key", AFTER_TOKEN),
    "no account": (no_token("Account not found"), "token", "no such service account", "make one at", AFTER_TOKEN),
    "another": (no_token("Bad Request"), "token", "invalid_grant: Bad Request", "make a new key", AFTER_TOKEN),
    "clock": (another_time, "token", "the clock of this machine is wrong", "set the clock", AFTER_TOKEN),
    "not enabled": (
        answers(faults.disabled("4711")),
        "api",
        "the Google Sheets API is not enabled in the project 4711",
        "press Enable at https://console.cloud.google.com/apis/library/sheets.googleapis.com?project=4711",
        AFTER_API,
    ),
    "scopes": (
        answers(faults.answered(403, json.dumps(SCOPES.body()).encode())),
        "api",
        "carry no right to spreadsheets",
        "sign in again",
        AFTER_API,
    ),
    "billing": (answers(refused(403, "BILLING_DISABLED")), "api", "(BILLING_DISABLED): No.", "console", AFTER_API),
    "not shared": (
        lambda sheet: sheet.book.withdraw(sheet.server.email),
        "reading",
        "may not open",
        "Share, add robot@sheets-test.iam.gserviceaccount.com, as Editor",
        AFTER_READING,
    ),
    "no such sheet": (lambda sheet: sheet.write("nowhere"), "reading", "there is no", "sheetsync.toml", AFTER_READING),
    "a file of Excel": (excel, "reading", "a file of another program", "Save as Google Sheets", AFTER_READING),
    "another answer": (answers(refused(418)), "reading", "Google answers 418: No.", "try again", AFTER_READING),
    "a viewer": (
        lambda sheet: sheet.book.grant(sheet.server.email, role="reader"),
        "writing",
        "may look at",
        "Share, add robot@sheets-test.iam.gserviceaccount.com, as Editor",
        [],
    ),
    "no writing": (answers(refused(400), "batchUpdate"), "writing", "does not let it be written: No.", "again", []),
    "answer lost": (answers(faults.lost(), "batchUpdate"), "writing", "answer of Google Sheets was lost", "again", []),
    "no tab": (lambda sheet: sheet.write(gid=7), "tabs", "no tab with gid=7 (tabs: Sheet1)", "address", AFTER_TABS),
    "one tab for both": (
        lambda sheet: sheet.write(scores="Sheet1"),
        "tabs",
        "the scores would go to the tab of the rows",
        "[google] scores",
        AFTER_TABS,
    ),
    "protected": (
        lambda sheet: sheet.book.protect("Sheet1"),
        "tabs",
        "'Sheet1' is protected",
        "let robot@",
        AFTER_TABS,
    ),
    "a page": (answers(faults.html(403)), "api", "between this machine and Google", "firewall", AFTER_API),
    "a page, 404": (answers(faults.html(404)), "api", "with status 404", "firewall", AFTER_API),
    "no error of Google's": (answers(faults.answered(404, b'{"error":"x"}')), "api", "404", "firewall", AFTER_API),
    "odd details": (answers(odd_details()), "api", "cannot be understood", "", AFTER_API),
    "a page for a write": (answers(faults.html(403), "batchUpdate"), "writing", "between this machine", "proxy", []),
    "no list": (answers(faults.answered(200, b'{"sheets":5}')), "tabs", "cannot be understood", "", AFTER_TABS),
    "an empty tab": (answers(faults.answered(200, b'{"sheets":[{}]}')), "tabs", "be understood", "", AFTER_TABS),
    "header": (lambda sheet: sheet.book.type("Sheet1", "B1", "class"), "header", "called label", "", SHEET[2:]),
    "quota": (answers(faults.rate_limited(0, "Read")), "quota", "as one too many", "a service account of its own", []),
}


@pytest.mark.parametrize("kind", UNWELL)
def test_a_problem_with_google_says_what_to_do(sheet: Sheet, kind: str) -> None:
    spoil, name, words, todo, after = UNWELL[kind]
    spoil(sheet)
    found = look(sheet.folder)
    assert names(found, "problem") == [name]
    assert words in found[name].said
    assert todo in found[name].todo
    assert names(found, "skipped") == after
    assert all(found[each].said.endswith(f": {name}") for each in after)


def test_protection_from_others_and_of_cells_is_no_problem(sheet: Sheet) -> None:
    sheet.book.protect("Sheet1", warning=True)
    sheet.book.protect("Sheet1", "A1:C1")
    sheet.book.add("other")
    sheet.book.protect("other")
    assert names(look(sheet.folder), "problem") == []
    warns = {"properties": {"title": "Sheet1"}, "protectedRanges": [{"range": {"sheetId": 0}, "warningOnly": True}]}
    sheet.server.faults.queue(faults.answered(200, json.dumps({"sheets": [warns]}).encode()))
    assert names(look(sheet.folder), "problem") == []


def test_protected_cells_of_the_rows_are_a_note_that_names_them(sheet: Sheet) -> None:
    for cells in ("A1:C1", "B2:B9"):
        sheet.book.protect("Sheet1", cells)
    columns = {"sheetId": 0, "startColumnIndex": 1, "endColumnIndex": 3}
    sheet.book.batch({"addProtectedRange": {"protectedRange": {"range": columns}}})
    found = look(sheet.folder)
    assert names(found, "problem") == []
    assert found["tabs"].state == "note"
    assert found["tabs"].said.endswith(
        f"; cells of the rows are protected from {sheet.server.email}: A1:C1, B2:B9, B:C"
    )
    assert "sheetsync's columns or the one of labels" in found["tabs"].todo


def test_a_page_in_place_of_a_token_is_not_quoted(sheet: Sheet) -> None:
    sheet.server.faults.plan = lambda _, path, __: faults.html(403) if path == "/token" else None
    found = look(sheet.folder)
    assert names(found, "problem") == ["token"]
    assert "an unusable answer: status 403" in found["token"].said
    assert "firewall" in found["token"].todo
    assert "That's an error" not in str(found)


def test_an_address_that_leads_in_a_circle_is_told(sheet: Sheet) -> None:
    circle = faults.answered(302, b"", Location="https://sheets.googleapis.com/v4/again")
    sheet.server.faults.plan = lambda _, path, __: circle if path.startswith("/v4") else None
    found = look(sheet.folder, patience=1.0)
    assert names(found, "problem") == ["api"]
    assert "an answer that cannot be read" in found["api"].said


def test_nothing_that_others_wrote_reaches_the_terminal_unseen(sheet: Sheet) -> None:
    sheet.book.add("\x1b]0;title\x07")
    sheet.write(gid=7)
    said = [look(sheet.folder)["tabs"].said]
    sheet.write(scores="\\u001b[31mred")
    said.append(look(sheet.folder)["tabs"].said)
    told = json.dumps({"error": {"code": 418, "message": "\x1b[31mNo"}}).encode()
    sheet.server.faults.queue(faults.answered(418, told))
    said.append(look(sheet.folder)["reading"].said)
    sheet.server.tokens.refused, sheet.server.tokens.why = "invalid_grant", "\x1b[31mNo"
    said.append(look(sheet.folder)["token"].said)
    assert [words for words in said if not words.isprintable() or "\ufffd" not in words] == []


def test_an_endpoint_elsewhere_is_a_problem_of_the_configuration(sheet: Sheet) -> None:
    toml = sheet.folder / "sheetsync.toml"
    toml.write_text(toml.read_text().replace(sheet.server.url, "http://sheets.example"))
    found = look(sheet.folder)
    assert names(found, "problem") == ["configuration"]
    assert "would get your access to Google" in found["configuration"].said
    assert "credentials" not in found


@pytest.mark.parametrize("silent", ["/token", "/v4"])
def test_a_server_that_never_answers_is_waited_for_within_bounds(sheet: Sheet, silent: str) -> None:
    sheet.server.faults.plan = lambda _, path, __: faults.silent() if path.startswith(silent) else None
    found = look(sheet.folder, patience=1.0)
    name, after = ("token", AFTER_TOKEN) if silent == "/token" else ("api", AFTER_API)
    assert names(found, "problem") == [name]
    assert "not answer" in found[name].said
    assert "in time" in found[name].said
    assert "firewall" in found[name].todo
    assert names(found, "skipped") == after
    assert sum(entry.status == 0 for entry in sheet.server.log) <= 2


# --- the command line -----------------------------------------------------------------------------


def doctor(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command, quick = [SHEETSYNC, "doctor", *options], {"NO_GCE_CHECK": "true"}
    bare = {name: value for name, value in os.environ.items() if "proxy" not in name.casefold()} | quick
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, env=bare)


def test_the_command_shows_a_line_a_check(csv: Path) -> None:
    before = files(csv)
    done = doctor(csv)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split()[1] for line in lines] == [*LOCAL, *SHEET, "proxy"]
    assert f"ok       sheet          {csv / 'labels.csv'} can be read and written" in lines
    assert files(csv) == before


def test_the_command_tells_programs_of_a_google_sheet(sheet: Sheet) -> None:
    done = doctor(sheet.folder, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said["well"] is True
    assert [each["name"] for each in said["findings"]] == [*LOCAL, *GOOGLE, *SHEET, "quota", "proxy"]
    assert said["findings"][0].keys() == {"name", "state", "said", "todo"}


def test_the_command_ends_with_1_when_there_is_a_problem(sheet: Sheet) -> None:
    (sheet.folder / "credentials.json").chmod(0o644)  # told once, among the findings
    sheet.book.grant(sheet.server.email, role="reader")
    done = doctor(sheet.folder)
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("problem  writing "))
    assert lines[at + 1].split() == [
        "→",
        "in",
        "the",
        "sheet:",
        "Share,",
        "add",
        f"{sheet.server.email},",
        "as",
        "Editor",
    ]
    (sheet.folder / "credentials.json").unlink()
    done = doctor(sheet.folder, "--json")
    found = {each["name"]: each for each in json.loads(done.stdout)["findings"]}
    assert (done.returncode, found["credentials"]["state"]) == (1, "problem")
    assert "there is no key file" in found["credentials"]["said"]
