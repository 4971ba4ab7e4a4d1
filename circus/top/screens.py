"""What covers the table for a while: questions, help, events, sockets, and what a process prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widgets import DataTable, Footer, Input, Static

from circus.exc import CallError
from circus.top.history import graph
from circus.top.panels import event_line
from circus.top.text import harmless
from circus.util import signal_name, to_signum

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from circus.top.feed import Feed
    from circus.top.model import Json, Model
    from circus.top.rows import Row

_REFRESH: Final = 0.5
LINES: Final = 500
"""Lines of each process that are shown."""

_BOX = """
    align: center middle;
    #box { width: 70; max-width: 95%; height: auto; border: round $accent; background: $surface; padding: 0 1; }
"""

HELP = """\
Enter, Space   open a watcher to its processes, or close it
o  i           sort by the next column; turn the order round
/              filter by name or state; Escape shows all again
l              what the process, or the watcher, prints
e  n           events; sockets and how often something arrives
?  q           this help; quit"""
STEERING = """
s  x  r        start, stop, restart the watcher
+  -           one process more, one less
k              send a signal to the process, or to all of the watcher
What stops or signals something asks first."""


class ConfirmScreen(ModalScreen[bool]):
    """A question to which ``y`` alone is yes."""

    CSS = f"ConfirmScreen {{ {_BOX} }}"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", "Yes"),
        Binding("n,escape,q,enter", "no", "No"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self.question = harmless(question)

    def compose(self) -> ComposeResult:
        """Lay out the question."""
        with Vertical(id="box"):
            yield Static(f"{self.question}\n\ny: yes   n, Escape: no", markup=False)

    def action_yes(self) -> None:
        """Do it."""
        self.dismiss(True)

    def action_no(self) -> None:
        """Do nothing."""
        self.dismiss(False)


class SignalScreen(ModalScreen[str | None]):
    """Asks for a signal; Enter sends it."""

    CSS = f"SignalScreen {{ {_BOX} }}"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Leave")]

    def __init__(self, whom: str) -> None:
        super().__init__()
        self.whom = harmless(whom)

    def compose(self) -> ComposeResult:
        """Lay out the question."""
        with Vertical(id="box"):
            yield Static(f"Which signal to {self.whom}?\nEnter sends it, Escape does not.", id="text", markup=False)
            yield Input(placeholder="HUP, USR1, TERM, 15 …", id="signal")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Send it, if there is such a signal."""
        event.stop()
        try:
            self.dismiss(signal_name(to_signum(event.value)))
        except ValueError as error:
            self.query_one("#text", Static).update(Text(harmless(str(error))))

    def action_leave(self) -> None:
        """Send nothing."""
        self.dismiss(None)


class Covering(Screen[None]):
    """A screen that Escape leaves."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Back", key_display="Esc"),
    ]

    def action_leave(self) -> None:
        """Go back to the table."""
        self.dismiss()


class HelpScreen(ModalScreen[None]):
    """What keys do."""

    CSS = f"HelpScreen {{ {_BOX} }}"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,enter", "leave", "Back")]

    def __init__(self, *, read_only: bool) -> None:
        super().__init__()
        self.text = HELP + ("\nread-only: nothing can be changed" if read_only else STEERING)

    def compose(self) -> ComposeResult:
        """Lay out the text."""
        with Vertical(id="box"):
            yield Static(f"{self.text}\n\nEscape: back", markup=False)

    def action_leave(self) -> None:
        """Go back to the table."""
        self.dismiss()


class TextScreen(Covering):
    """Lines that come; the last ones are seen, unless somebody has scrolled up."""

    CSS = "TextScreen #lines { height: auto; } TextScreen #title { height: 1; background: $panel; text-style: bold; }"

    def __init__(self, title: str) -> None:
        super().__init__()
        self.title_text = harmless(title)
        self._shown: list[str] | None = None

    def compose(self) -> ComposeResult:
        """Lay out the lines."""
        yield Static(self.title_text, id="title", markup=False)
        with VerticalScroll(id="scroll"):
            yield Static(id="lines", markup=False)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Begin to look."""
        self.query_one("#scroll").focus()

    def put(self, lines: list[str]) -> None:
        """Show these lines."""
        if lines == self._shown:
            return
        scroll = self.query_one("#scroll", VerticalScroll)
        at_end = self._shown is None or scroll.scroll_y >= scroll.max_scroll_y - 1
        self._shown = lines
        self.query_one("#lines", Static).update(Text("\n".join(lines)))
        if at_end:
            self.call_after_refresh(scroll.scroll_end, animate=False)


class EventsScreen(TextScreen):
    """All events that are kept, the newest below."""

    def __init__(self, model: Model) -> None:
        super().__init__("Events")
        self.model = model

    def on_mount(self) -> None:
        """Begin to look."""
        super().on_mount()
        self.set_interval(_REFRESH, self.look)
        self.look()

    def look(self) -> None:
        """Show what has come."""
        self.put([event_line(event) for event in self.model.events] or ["(none yet)"])


class LogScreen(TextScreen):
    """What a process, or all of a watcher, has printed, and prints."""

    def __init__(self, feed: Feed, row: Row) -> None:
        super().__init__(f"Output of {row.label.strip()} of {row.watcher}" if row.wid else f"Output of {row.watcher}")
        self.feed = feed
        self.row = row
        self._asking = False

    def on_mount(self) -> None:
        """Begin to look."""
        super().on_mount()
        self.set_interval(_REFRESH, self.look)
        self.look()

    def look(self) -> None:
        """Ask for the last lines, unless that is under way."""
        if not self._asking:
            self._asking = True
            self.run_worker(self._ask())

    async def _ask(self) -> None:
        try:
            reply = await self.feed.ask("logs", name=self.row.watcher, lines=LINES)
        except CallError as error:
            self.put([harmless(str(error))])
        else:
            self.put(log_lines(reply, self.row.wid))
        finally:
            self._asking = False


def log_lines(reply: Json, wid: int | None) -> list[str]:
    """Return the lines of a ``logs`` reply, of one slot or of all, ``!`` before those of standard error."""
    entries = [entry for entry in reply.get("logs", ()) if not wid or entry["wid"] == wid]
    several = len({entry["wid"] for entry in entries}) > 1
    lines = []
    for entry in entries:
        mark = f"{entry['wid']} " if several else ""
        for line in entry["lines"]:
            lines.append(f"{mark}{'!' if line['stream'] == 'stderr' else '|'} {harmless(line['text'])}")
        if not entry["alive"]:
            lines.append(f"{mark}(process {entry['pid']} has ended)")
    missing = [harmless(text) for text in reply.get("uncaptured", {}).values()]
    return [*missing, *lines] or ["(nothing printed yet)"]


class SocketsScreen(Covering):
    """The sockets of circusd, and how often something arrives."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def compose(self) -> ComposeResult:
        """Lay out the table."""
        yield DataTable(id="sockets", cursor_type="row")
        yield Static(id="remark", markup=False)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Begin to look."""
        table: DataTable[Text] = self.query_one("#sockets", DataTable)
        for head, width in (("NAME", 14), ("ADDRESS", 26), ("HITS", 8), ("HITS/S", 6), ("LAST MINUTES", 14)):
            table.add_column(head, width=width)
        self.set_interval(_REFRESH, self.look)
        self.look()

    def look(self) -> None:
        """Show what has come."""
        table: DataTable[Text] = self.query_one("#sockets", DataTable)
        line = table.cursor_row
        table.clear()
        for _, hits in sorted(self.model.sockets.items(), key=lambda item: item[1].name):
            last = "-" if hits.last is None else str(hits.last)
            cells = (hits.name or "-", hits.address, str(hits.reads), last, graph(hits.rates.values, 14))
            table.add_row(*(Text(harmless(cell)) for cell in cells))
        table.move_cursor(row=line, animate=False)
        remark = "Hits are counted while circus-top runs." if self.model.sockets else "circusd has no sockets."
        self.query_one("#remark", Static).update(remark)
