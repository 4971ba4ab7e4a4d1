"""The application: the table of watchers, and what a key does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Footer, Input, Static

from circus.exc import CallError
from circus.top import panels
from circus.top.feed import Feed
from circus.top.model import Model
from circus.top.rows import Row, View
from circus.top.screens import ConfirmScreen, EventsScreen, HelpScreen, LogScreen, SignalScreen, SocketsScreen
from circus.top.table import WatcherTable

if TYPE_CHECKING:
    from circus.top.places import Places

_REFRESH: Final = 0.5
"""Seconds between two looks at the model."""
_STEERING: Final = frozenset(("start", "stop", "restart", "incr", "decr", "signal"))
_OF_TABLE: Final = _STEERING | {"fold", "logs", "events", "sockets", "order", "reverse", "filter", "help"}


class TopApp(App[None]):
    """Shows a model, keeps it up to date by a feed, and sends commands; none with ``read_only``."""

    TITLE = "circus-top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #head { height: 1; background: $panel; }
    #trouble { height: auto; max-height: 3; background: $error; color: $text; display: none; }
    #watchers { height: 1fr; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0; }
    #chosen { height: 3; background: $panel; }
    #events { height: 4; }
    #filter { dock: bottom; display: none; height: 3; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "fold", "Open", show=False, priority=False),
        Binding("s", "start", "Start"),
        Binding("x", "stop", "Stop"),
        Binding("r", "restart", "Restart"),
        Binding("plus", "incr", "Incr", key_display="+"),
        Binding("minus", "decr", "Decr", key_display="-"),
        Binding("k", "signal", "Signal"),
        Binding("l", "logs", "Logs"),
        Binding("e", "events", "Events", show=False),
        Binding("n", "sockets", "Sockets", show=False),
        Binding("o", "order", "Sort"),
        Binding("i", "reverse", "Reverse", show=False),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", "Quit", show=False, priority=True),
    ]

    def __init__(self, places: Places, *, process_timeout: float = 3.0, read_only: bool = False) -> None:
        super().__init__()
        self.model = Model(process_timeout)
        self.view = View()
        self.feed = Feed(self.model, places)
        self.read_only = read_only
        self.rows: list[Row] = []

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield Static(id="head", markup=False)
        yield Static(id="trouble", markup=False)
        yield WatcherTable()
        yield Static(id="chosen", markup=False)
        yield Static(id="events", markup=False)
        yield Input(id="filter", placeholder="part of a name or a state; Enter keeps it, Escape shows all")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Begin to listen."""
        self.feed.start()
        self.set_interval(_REFRESH, self.show)
        self.table.focus()
        self.show()

    async def on_unmount(self) -> None:
        """Let go of the connections."""
        await self.feed.close()

    @property
    def table(self) -> WatcherTable:
        """The table of watchers."""
        return self.screen_stack[0].query_one(WatcherTable)

    @property
    def chosen(self) -> Row | None:
        """The line with the cursor."""
        line = self.table.cursor_row
        return self.rows[line] if 0 <= line < len(self.rows) else None

    def show(self) -> None:
        """Show the model as it is now."""
        base = self.screen_stack[0]
        self.rows = self.view.rows(self.model)
        self.table.fill(self.rows, self.view, self.size.width)
        base.query_one("#head", Static).update(panels.head(self.model, self.view, read_only=self.read_only))
        trouble = panels.trouble(self.model)
        banner = base.query_one("#trouble", Static)
        banner.display = bool(trouble)
        banner.update(trouble)
        self._show_chosen()
        events = base.query_one("#events", Static)
        events.update(panels.event_lines(self.model, events.size.height or 4, self.size.width))

    def _show_chosen(self) -> None:
        chosen = self.screen_stack[0].query_one("#chosen", Static)
        chosen.update(panels.chosen(self.chosen, self.size.width))

    def on_data_table_row_highlighted(self) -> None:
        """Tell of the line that the cursor has come to."""
        self._show_chosen()

    def on_data_table_row_selected(self) -> None:
        """Enter, or a click on the line with the cursor."""
        self.action_fold()

    def on_resize(self) -> None:
        """Use the room that there is now."""
        self.call_after_refresh(self.show)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer nothing that changes anything with ``--read-only``, and nothing of the table while it is covered."""
        if self.read_only and action in _STEERING:
            return False
        return len(self.screen_stack) < 2 or action not in _OF_TABLE

    def action_fold(self) -> None:
        """Open the watcher with the cursor, or close it."""
        if (row := self.chosen) is not None:
            self.view.fold(row.watcher)
            self.show()

    def action_order(self) -> None:
        """Sort by the next column."""
        self.view.next_order()
        self.show()

    def action_reverse(self) -> None:
        """Turn the order round."""
        self.view.reverse = not self.view.reverse
        self.show()

    def action_filter(self) -> None:
        """Ask for the filter."""
        entry = self.query_one("#filter", Input)
        entry.display = True
        entry.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        if event.input.id == "filter":
            self.view.filter = event.value
            self.show()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter, and go back to the table."""
        if event.input.id == "filter":
            event.input.display = False
            self.table.focus()

    def on_key(self, event: Any) -> None:
        """Leave the filter by Escape, and show everything again."""
        if event.key == "escape" and len(self.screen_stack) == 1:
            entry = self.query_one("#filter", Input)
            entry.value = ""
            entry.display = False
            self.table.focus()

    def action_help(self) -> None:
        """Show what keys do."""
        self.push_screen(HelpScreen(read_only=self.read_only))

    def action_events(self) -> None:
        """Show all events that are kept."""
        self.push_screen(EventsScreen(self.model))

    def action_sockets(self) -> None:
        """Show the sockets."""
        self.push_screen(SocketsScreen(self.model))

    def action_logs(self) -> None:
        """Show what the process, or all of the watcher, prints."""
        if (row := self.chosen) is not None:
            self.push_screen(LogScreen(self.feed, row))

    def action_start(self) -> None:
        """Start the watcher."""
        self._send("start")

    def action_incr(self) -> None:
        """Have one process more."""
        self._send("incr")

    def action_stop(self) -> None:
        """Stop the watcher, if that is meant."""
        self._confirm("stop", "Stop {name} ({running})?")

    def action_restart(self) -> None:
        """Restart the watcher, if that is meant."""
        self._confirm("restart", "Restart {name} ({running})? They are stopped, and new ones are started.")

    def action_decr(self) -> None:
        """Have one process less, if that is meant."""
        self._confirm("decr", "Stop one process of {name} ({running}), and keep one less from now on?")

    def action_signal(self) -> None:
        """Ask which signal is to be sent, and send it."""
        row = self.chosen
        if row is None or not self._is_steerable(row):
            return

        def send(name: str | None) -> None:
            if name and row.wid is None:
                self._call("signal", name=row.watcher, signum=name)
            elif name:
                self._call("signal", name=row.watcher, pid=row.pid, signum=name)

        if row.wid is not None and not row.pid:
            self.notify("there is no process in this slot", severity="warning")
            return
        whom = f"process {row.pid} of {row.watcher}" if row.pid else f"all processes of {row.watcher}"
        self.push_screen(SignalScreen(whom), send)

    def _confirm(self, command: str, question: str) -> None:
        row = self.chosen
        if row is None or not self._is_steerable(row):
            return
        name = row.watcher
        count = int(self.model.watchers[name].get("running", 0))
        running = "1 process" if count == 1 else f"{count} processes"

        def answered(yes: bool | None) -> None:
            if yes:
                self._call(command, name=name)

        self.push_screen(ConfirmScreen(question.format(name=name, running=running)), answered)

    def _send(self, command: str) -> None:
        row = self.chosen
        if row is not None and self._is_steerable(row):
            self._call(command, name=row.watcher)

    def _is_steerable(self, row: Row) -> bool:
        if row.watcher in self.model.watchers:
            return True
        self.notify("that is no watcher of a circusd that is there", severity="warning")
        return False

    def _call(self, command: str, **properties: Any) -> None:
        self.run_worker(self._sent(command, properties), exclusive=False)

    async def _sent(self, command: str, properties: dict[str, Any]) -> None:
        begun = time.monotonic()
        try:
            await self.feed.ask(command, **properties)
        except CallError as error:
            self.notify(f"{command} {properties['name']}: {error}", severity="error", timeout=10, markup=False)
            return
        took = time.monotonic() - begun
        self.notify(f"{command} {properties['name']}: ok" + (f" ({took:.1f}s)" if took > 1 else ""), markup=False)
