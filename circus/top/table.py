"""The table of watchers on the screen: changed where something has changed, so that a thousand lines stay cheap."""

from __future__ import annotations

from typing import Final

from rich.text import Text
from textual.widgets import DataTable

from circus.top.rows import BAD, HEAD, Row, View

_WIDTHS: Final = (19, 10, 7, 9, 7, 6, 9, 7)
_GRAPH: Final = 5
_LEFT: Final = 2
"""Columns of texts; the others are of figures, and stand to the right."""
_COLOURS: Final = {"active": "green", "running": "green", "stopped": "bright_black", "unknown": "bright_black"}


class WatcherTable(DataTable[Text]):
    """A table of rows. The cursor stays with what it is on."""

    def __init__(self) -> None:
        super().__init__(id="watchers", cursor_type="row", cell_padding=0)
        self._layout: tuple[tuple[int, ...], tuple[str, ...]] = ((), ())
        self._shown: dict[str, tuple[str, ...]] = {}
        self._chosen = ""

    def fill(self, rows: list[Row], view: View, width: int) -> None:
        """Show these lines, in a terminal of that width."""
        layout = (_widths(width), _heads(view))
        texts = {row.key: _texts(row, layout[0]) for row in rows}
        if layout == self._layout and list(texts) == list(self._shown):
            self._change(texts)
        else:
            self._rebuild(*layout, texts)
        self._layout, self._shown = layout, texts

    def _change(self, texts: dict[str, tuple[str, ...]]) -> None:
        widths = self._layout[0]
        for key, cells in texts.items():
            for column, (before, after) in enumerate(zip(self._shown[key], cells, strict=True)):
                if before != after:
                    self.update_cell(key, str(column), _cell(column, after, widths[column]))

    def _rebuild(self, widths: tuple[int, ...], heads: tuple[str, ...], texts: dict[str, tuple[str, ...]]) -> None:
        former, keys, line = list(self._shown), list(texts), self.cursor_row
        if 0 <= line < len(former):
            self._chosen = former[line]  # it is kept while there are no lines, until circusd is back
        self.clear(columns=True)
        for column, (head, width) in enumerate(zip(heads, widths, strict=True)):
            self.add_column(_cell(column, head, width, plain=True), width=width, key=str(column))
        for key, cells in texts.items():
            self.add_row(*(_cell(column, text, widths[column]) for column, text in enumerate(cells)), key=key)
        for candidate in (self._chosen, self._chosen.partition("\n")[0]):
            if candidate in texts:
                line = keys.index(candidate)
                break
        self.move_cursor(row=min(max(line, 0), max(0, len(keys) - 1)), animate=False)


def _widths(width: int) -> tuple[int, ...]:
    """Wide terminals have room for long names and for more of the past."""
    spare = max(0, width - 1 - sum(_WIDTHS) - _GRAPH)
    return (_WIDTHS[0] + spare // 2, *_WIDTHS[1:], _GRAPH + spare - spare // 2)


def _heads(view: View) -> tuple[str, ...]:
    columns = {"name": 0, "state": 1, "restarts": 3, "cpu": 4, "mem": 5, "age": 7}
    heads = [*HEAD, " CPU"]
    heads[columns[view.order]] += "▴" if view.reverse else "▾"
    return tuple(heads)


def _texts(row: Row, widths: tuple[int, ...]) -> tuple[str, ...]:
    return (*row.cells(), " " + row.cpu_graph(widths[-1] - 1))


def _cell(column: int, text: str, width: int, *, plain: bool = False) -> Text:
    style = "" if plain else _style(column, text)
    cell = Text(text, style=style, no_wrap=True, overflow="ellipsis", justify="left" if column < _LEFT else "right")
    # What stands to the left keeps a blank to its right.
    cell.truncate(width - (column < _LEFT), overflow="ellipsis")
    return cell


def _style(column: int, text: str) -> str:
    if column == len(HEAD):
        return "cyan"
    if column != 1 or not text:
        return ""
    return "bold red" if text in BAD else _COLOURS.get(text, "yellow")
