"""What a command is: one declaration that serves the protocol, circusctl, its help and completion, the docs, and who may use it."""

from __future__ import annotations

from typing import Any, ClassVar

from circus.exc import MessageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from circus.kernel.arbiter import Arbiter

VIEWER, OPERATOR, ADMIN = "viewer", "operator", "admin"

Json = dict[str, Any]

_KINDS: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "list": (list,),
    "object": (dict,),
    "text or list": (str, list),
    "signal": (int, str),
    "pid": (int, str),
}
_ARTICLES = {"integer": "an integer", "object": "an object", "text or list": "a text or a list"}


class Property:
    """One property of a request.

    ``kind`` is one of text, integer, number, boolean, list, object, signal, pid or ``text or list``. circusctl takes a
    ``positional`` one by its place and any other one as ``--name``; one with ``cli=False`` only programs send.
    """

    __slots__ = ("cli", "default", "doc", "kind", "name", "positional", "required")

    def __init__(
        self,
        name: str,
        kind: str,
        doc: str,
        *,
        required: bool = False,
        default: Any = None,
        positional: bool = False,
        cli: bool = True,
    ) -> None:
        self.name = name
        self.kind = kind
        self.doc = doc
        self.required = required
        self.default = default
        self.positional = positional
        self.cli = cli

    def check(self, value: Any) -> Any:
        """Return the value, with digits in texts turned into numbers. Raise ``MessageError`` if its type is wrong."""
        if self.kind in ("integer", "number", "pid") and isinstance(value, str):
            value = _to_number(value, self.kind)
        wrong = not isinstance(value, _KINDS[self.kind]) or (isinstance(value, bool) and self.kind != "boolean")
        if wrong:
            article = _ARTICLES.get(self.kind, f"a {self.kind}")
            raise MessageError(f"message invalid '{self.name}' isn't {article}")
        return value


def _to_number(text: str, kind: str) -> Any:
    try:
        return float(text) if kind == "number" else int(text)
    except ValueError:
        return None


NAME = Property("name", "text", "the watcher, in any letter case", required=True, positional=True)
ANY_NAME = Property("name", "text", "the watcher, or a pattern; without it, all of them", positional=True)
WAITING = Property("waiting", "boolean", "reply when all is done, not when the command is accepted", default=False)
MATCH = Property("match", "text", "how the name is matched: simple, glob or regex", default="glob")


class Command:
    """Base of all commands. The first line of a subclass's docstring is its help, the rest its documentation."""

    name: ClassVar[str]
    properties: ClassVar[tuple[Property, ...]] = ()
    role: ClassVar[str] = VIEWER
    """Least role that may use it: viewer, operator or admin."""
    replies: ClassVar[str] = ""
    """Keys of the reply beside ``status``, ``time`` and ``id``, for the documentation."""

    def check(self, properties: Mapping[str, Any]) -> Json:
        """Return the properties with defaults filled in.

        Raise ``MessageError`` for one that is missing or of the wrong type. Unknown properties are ignored.
        """
        checked: Json = {}
        for declared in self.properties:
            value = properties.get(declared.name)
            if value is None:
                if declared.required:
                    raise MessageError(f"message invalid '{declared.name}' is missing")
                value = declared.default
            else:
                value = declared.check(value)
            checked[declared.name] = value
        return checked

    def execute(self, arbiter: Arbiter, properties: Json) -> Json | Awaitable[Json]:
        """Carry the command out; return the keys of the reply, or something to await that does."""
        raise NotImplementedError

    def usage(self) -> str:
        """Return how circusctl's user writes it, such as ``incr NAME [NB] [--waiting]``."""
        words = [self.name]
        for declared in self.properties:
            if not declared.cli:
                continue
            if declared.positional:
                words.append(declared.name.upper() if declared.required else f"[{declared.name.upper()}]")
            elif declared.kind == "boolean":
                words.append(f"[--{declared.name}]")
            else:
                words.append(f"[--{declared.name} {declared.name.upper()}]")
        return " ".join(words)

    def message(self, arguments: list[str], options: Json) -> Json:
        """Turn circusctl's positional arguments and ``--options`` into properties.

        Raise :class:`~circus.exc.ArgumentError` when their number is wrong.
        """
        from circus.commands.arguments import positional_message

        return positional_message(self, arguments, options)

    def render(self, reply: Json) -> str:
        """Return what circusctl prints for a reply that is no error."""
        return "ok"
