"""Edits of columns, tabs, filter views and protections of a Google Sheet; importing this adds them to `DEEDS`."""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import Any

from tests.helpers.googlepeople import ROWS, Gone, Team, deed, specs
from tests.helpers.googleserver.a1 import letters
from tests.helpers.googleserver.errors import Refusal
from tests.helpers.googleserver.state import Book
from tests.helpers.support import MACHINE

# --- columns ----------------------------------------------------------------------------------------


@deed
def insert_a_column(team: Team, rng: Random) -> None:
    at = letters(rng.randrange(team.width + 1))
    number = rng.randint(1, 99)
    team.room(1, team.width + 1)
    team.book.insert_columns(team.tab, at)
    team.book.type(team.tab, f"{at}1", [[f"remark {number}"], ["seen"], [f"=ROW()+{number}"]])


@deed
def type_a_new_column_where_there_is_none(team: Team, rng: Random) -> None:
    """Type a header where no column is, such as where one was cut away."""
    at = letters([*team.header, ""].index(""))
    team.room(1, team.width + 1)
    team.book.type(
        team.tab, f"{at}1", [[f"remark {rng.randint(301, 399)}"], *([f"new {n}"] for n in range(rng.randint(1, 9)))]
    )


@deed
def delete_a_team_column(team: Team, rng: Random) -> None:
    team.book.delete_columns(team.tab, team.column(team.own(rng)))


@deed
def delete_a_machine_column(team: Team, rng: Random) -> None:
    team.book.delete_columns(team.tab, team.column(team.some(rng, MACHINE)))


@deed
def drag_a_column(team: Team, rng: Random) -> None:
    column, before = rng.randrange(team.width), rng.randrange(team.width + 1)
    team.book.move_columns(team.tab, letters(column), letters(column), letters(before))


def cut_column(team: Team, name: str, *, along: bool) -> None:
    """Cut header and cells, paste them right of all others. Whether a named range moves along is unknown: try both."""
    source, target = team.header.index(name), team.width
    team.room(1, target + 2)
    team.book.cut_paste(team.tab, f"{letters(source)}:{letters(source)}", f"{letters(target)}1")
    for named in team.state.named if along else ():
        where = named["range"]
        if where.get("sheetId", 0) == ROWS and where.get("startColumnIndex") == source:
            moved = where | {"startColumnIndex": target, "endColumnIndex": target + 1}
            team.batch("updateNamedRange", namedRange=named | {"range": moved}, fields="range")


@deed
def cut_and_paste_a_machine_column(team: Team, rng: Random) -> None:
    cut_column(team, team.some(rng, MACHINE), along=rng.random() < 0.5)


@deed
def cut_and_paste_a_column_of_people(team: Team, rng: Random) -> None:
    name = team.some(rng, [name for name in team.header if name and name not in MACHINE])
    cut_column(team, name, along=rng.random() < 0.5)


def _rename_header(team: Team, old: str, new: str) -> None:
    team.book.type(team.tab, f"{team.column(old)}1", new)


@deed
def rename_a_team_column(team: Team, rng: Random) -> None:
    _rename_header(team, team.own(rng), f"remark {rng.randint(100, 199)}")


@deed
def rename_a_machine_column(team: Team, rng: Random) -> None:
    _rename_header(team, team.some(rng, MACHINE), f"remark {rng.randint(200, 299)}")


@deed
def rename_a_column_that_is_needed(team: Team, rng: Random) -> None:
    name = team.some(rng, ["image", "label"])

    def back() -> None:
        with suppress(Gone):
            _rename_header(team, f"no {name}", name)

    _rename_header(team, name, f"no {name}")
    team.amends.append(back)


@deed
def give_a_second_column_our_name(team: Team, rng: Random) -> None:
    name = team.some(rng, MACHINE)
    team.room(1, team.width + 2)
    at = f"{letters(team.width)}1"
    team.book.type(team.tab, at, [[name], ["by hand"]])

    def back() -> None:
        """Rename the header, as the person who typed it would."""
        with suppress(Gone):
            grid = team.grid()
            for place, header in enumerate(grid[0]):
                if header == name and any(place < len(line) and line[place] == "by hand" for line in grid[1:]):
                    team.book.type(team.tab, f"{letters(place)}1", "remark 300")

    team.amends.append(back)


# --- tabs -------------------------------------------------------------------------------------------


@deed
def rename_the_tab_of_rows(team: Team, rng: Random) -> None:
    team.book.rename(team.tab, rng.choice(["Sheet1", "Images", "Ada's rows", "A1"]))


@deed
def rename_the_tab_of_scores(team: Team, rng: Random) -> None:
    team.book.rename(team.scores(), rng.choice(["scores", "Results"]))


@deed
def duplicate_the_tab_of_rows(team: Team, rng: Random) -> None:
    team.batch("duplicateSheet", sourceSheetId=ROWS)


@deed
def add_a_tab(team: Team, rng: Random) -> None:
    team.book.add(f"Notes {rng.randint(1, 9)}", [["image", "status"], ["ours", "theirs"]])


@deed
def delete_another_tab(team: Team, rng: Random) -> None:
    others = [title for title in team.book.tabs if title.startswith(("Notes", "Copy"))]
    if others:
        team.book.delete(rng.choice(others))


@deed
def move_a_tab(team: Team, rng: Random) -> None:
    tabs = team.book.tabs
    team.book.move(rng.choice(tabs), rng.randint(0, len(tabs)))


@deed
def hide_a_tab(team: Team, rng: Random) -> None:
    team.book.hide(rng.choice(team.book.tabs), hidden=rng.random() < 0.6)


@deed
def delete_the_tab_of_scores(team: Team, rng: Random) -> None:
    team.book.delete(team.scores())


@deed
def delete_the_tab_of_rows(team: Team, rng: Random) -> None:
    """Delete the tab and undo that later, as the browser can: named ranges come back with it."""
    kept, names = team.sheet, [each for each in team.state.named if each["range"].get("sheetId", 0) == ROWS]
    metadata = [each for each in team.state.metadata if _sheet_of(each) == ROWS]
    team.book.delete(team.tab)

    def back(draft: Book) -> None:
        taken = {sheet.title for sheet in draft.sheets}
        kept.title = next(title for title in (kept.title, "Rows", "Rows 2") if title not in taken)
        draft.sheets.append(kept)
        draft.named += names
        draft.metadata += metadata

    team.amends.append(lambda: team.book._edit(back))


def _sheet_of(entry: dict[str, Any]) -> Any:
    location = entry["location"]
    return location.get("dimensionRange", location).get("sheetId")


@deed
def work_on_the_scores(team: Team, rng: Random) -> None:
    tab = team.scores()
    header = [str(cell) for cell in team.book.raw(tab)[0]]
    at = letters(header.index("note")) if "note" in header else "A"
    team.book.type(tab, f"{at}{rng.randint(2, 4)}", rng.choice(["our best", "=1+1", ""]))


@deed
def sort_the_scores(team: Team, rng: Random) -> None:
    sheet = team.state.tab(team.scores())
    area = {"sheetId": sheet.id, "startRowIndex": 1, "endRowIndex": sheet.row_count}
    order = rng.choice(["ASCENDING", "DESCENDING"])
    specs = [{"dimensionIndex": rng.randrange(len(sheet.rows[0])), "sortOrder": order}]
    team.batch("sortRange", range=area, sortSpecs=specs)


@deed
def put_a_column_into_the_scores(team: Team, rng: Random) -> None:
    sheet = team.state.tab(team.scores())
    at = letters(rng.randrange(len(sheet.rows[0])))
    team.book.insert_columns(sheet.title, at)
    team.book.type(sheet.title, f"{at}1", [[f"remark {rng.randint(1, 99)}"], ["mine"]])


@deed
def drag_a_column_of_the_scores(team: Team, rng: Random) -> None:
    sheet = team.state.tab(team.scores())
    one, before = (letters(rng.randrange(len(sheet.rows[0]))) for _ in range(2))
    team.book.move_columns(sheet.title, one, one, before)


@deed
def cut_and_paste_a_column_of_the_scores(team: Team, rng: Random) -> None:
    sheet = team.state.tab(team.scores())
    one, right = rng.randrange(len(sheet.rows[0])), max(map(len, sheet.rows))
    team.book.resize(sheet.title, sheet.row_count, max(sheet.column_count, right + 2))
    team.book.cut_paste(sheet.title, f"{letters(one)}:{letters(one)}", f"{letters(right)}1")


@deed
def write_below_the_scores(team: Team, rng: Random) -> None:
    tab = team.scores()
    team.book.type(tab, f"A{len(team.book.raw(tab)) + 1}", [["by hand", "a remark", "=1+1"]])


# --- views, sizes, rights ---------------------------------------------------------------------------


@deed
def hide_rows_and_columns(team: Team, rng: Random) -> None:
    team.book.hide_rows(team.tab, team.row(rng), hidden=rng.random() < 0.7)
    column = letters(rng.randrange(team.width))
    team.book.hide_columns(team.tab, column, hidden=rng.random() < 0.7)


@deed
def filter_with_a_sort(team: Team, rng: Random) -> None:
    area = {"sheetId": ROWS, "startRowIndex": 0, "endRowIndex": team.height}
    hidden = {str(rng.randrange(team.width)): {"hiddenValues": ["i", "ok"]}}
    team.batch("setBasicFilter", filter={"range": area, "sortSpecs": specs(team, rng), "criteria": hidden})


@deed
def clear_the_filter(team: Team, rng: Random) -> None:
    team.batch("clearBasicFilter", sheetId=ROWS)


@deed
def add_a_filter_view(team: Team, rng: Random) -> None:
    team.batch("addFilterView", filter={"title": f"Ada {rng.random()}", "range": {"sheetId": ROWS}})


@deed
def freeze(team: Team, rng: Random) -> None:
    team.book.freeze(team.tab, rng.randint(0, 2))


@deed
def grow_the_grid(team: Team, rng: Random) -> None:
    team.room(team.sheet.row_count + rng.randint(0, 50), team.sheet.column_count + rng.randint(0, 5))


@deed
def cut_the_grid_to_what_is_used(team: Team, rng: Random) -> None:
    tab = team.tab if rng.random() < 0.6 else team.scores()
    used = team.book.raw(tab)
    team.book.resize(tab, len(used) + rng.randint(0, 1), max(map(len, used)) + rng.randint(0, 1))


@deed
def protect_from_sheetsync(team: Team, rng: Random) -> None:
    tab = rng.choice([team.tab, team.scores()])
    sheet = team.state.tab(tab).id
    team.book.protect(tab, rng.choice([None, "A1:Z1", "E:G"]))
    mine = next(each.protected[-1] for each in team.state.sheets if each.id == sheet)

    def back() -> None:
        with suppress(Refusal):
            while True:  # a copy of the tab has the same
                team.batch("deleteProtectedRange", protectedRangeId=mine["protectedRangeId"])

    team.amends.append(back)


@deed
def withdraw_the_permission(team: Team, rng: Random) -> None:
    email = team.server.email
    team.book.withdraw(email)
    if rng.random() < 0.5:
        team.book.grant(email, "reader")
    team.amends.append(lambda: team.book.grant(email))


@deed
def give_the_permission_again(team: Team, rng: Random) -> None:
    team.book.grant(team.server.email)


@deed
def delete_the_spreadsheet(team: Team, rng: Random) -> None:
    documents = team.server.world.documents
    bin_ = documents.pop(team.id)
    team.amends.append(lambda: documents.setdefault(team.id, bin_))
