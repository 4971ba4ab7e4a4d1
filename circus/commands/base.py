"""What a command is: one declaration that serves the protocol, circusctl and its help, the docs, and who may use it."""

from __future__ import annotations

from typing import Any, ClassVar

from circus.exc import MessageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from circus.kernel.arbiter import Arbiter
    from circus.kernel.intents import Intent

VIEWER, OPERATOR, ADMIN = "viewer", "operator", "admin"

Json = dict[str, Any]

KINDS: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "list": (list,),
    "object": (dict,),
    "text or list": (str, list),
    "signal": (int, str),
    "pid": (int,),
}
_ARTICLES = {"integer": "an integer", "object": "an object", "pid": "a process id"}
_FLAGS = {"true": True, "1": True, "false": False, "0": False, "": False}


class Property:
    """One property of a request.

    ``kind`` is one of text, integer, number, boolean, list, object, signal, pid or ``text or list``. circusctl takes a
    ``positional`` one by its place and any other one as ``--name``, or by one letter, ``short``; one with ``cli=False``
    only programs send.
    ``null=False`` refuses null where leaving the property out means more than the caller may have meant.
    """

    __slots__ = ("cli", "default", "doc", "kind", "name", "null", "positional", "required", "short")

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
        null: bool = True,
        short: str = "",
    ) -> None:
        self.name = name
        self.kind = kind
        self.doc = doc
        self.required = required
        self.default = default
        self.positional = positional
        self.cli = cli
        self.null = null
        self.short = short

    def check(self, value: Any) -> Any:
        """Return the value, with digits in texts turned into numbers. Raise ``MessageError`` if its type is wrong."""
        if isinstance(value, str):
            value = _from_text(value, self.kind)
        elif self.kind == "boolean" and value in (0, 1):
            value = bool(value)
        elif self.kind == "number" and isinstance(value, int) and value.bit_length() >= 1024:  # beyond any float
            value = None
        wrong = not isinstance(value, KINDS[self.kind]) or (isinstance(value, bool) and self.kind != "boolean")
        if wrong:
            article = _ARTICLES.get(self.kind, f"a {self.kind}")
            raise MessageError(f"message invalid '{self.name}' isn't {article}")
        return value

    @property
    def flag(self) -> str:
        """How circusctl's user writes an option: ``--graceful-timeout``."""
        return "--" + self.name.replace("_", "-")

    @property
    def flags(self) -> list[str]:
        """Every way to write an option: ``-f`` and ``--follow``."""
        return [f"-{self.short}", self.flag] if self.short else [self.flag]


def _from_text(text: str, kind: str) -> Any:
    try:
        if kind in ("integer", "pid"):
            return int(text)
        if kind == "number":
            return float(text)
    except ValueError:
        return None
    return _FLAGS.get(text.lower()) if kind == "boolean" else text


NAME = Property("name", "text", "the watcher, in any letter case", required=True, positional=True)
ANY_NAME = Property("name", "text", "the watcher; without it, all of them", positional=True, null=False)
PATTERN = Property("name", "text", "the watcher, or a pattern; without it, all of them", positional=True, null=False)
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
    cli_options: ClassVar[tuple[Property, ...]] = ()
    """Options that only circusctl knows; ``message`` turns them into properties."""
    verbatim_after: ClassVar[int | None] = None
    """Number of arguments after which circusctl takes every word as it stands, even one that looks like an option."""
    variadic: ClassVar[bool] = False
    """Whether the last positional property takes all the words that remain."""

    def check(self, properties: Mapping[str, Any]) -> Json:
        """Return the properties with defaults filled in.

        Raise ``MessageError`` for one that is missing or of the wrong type. Unknown properties are ignored.
        """
        checked: Json = {}
        for declared in self.properties:
            value = properties.get(declared.name)
            if value is not None or (declared.name in properties and not declared.null):
                value = declared.check(value)
            elif declared.required:
                raise MessageError(f"message invalid '{declared.name}' is missing")
            else:
                value = declared.default
            checked[declared.name] = value
        return checked

    def execute(self, arbiter: Arbiter, properties: Json) -> Json | Awaitable[Json]:
        """Carry the command out; return the keys of the reply, or something to await that does."""
        raise NotImplementedError

    def options(self) -> list[Property]:
        """Return what circusctl's user may write as ``--option``."""
        declared = [item for item in self.properties if item.cli and not item.positional]
        return declared + list(self.cli_options)

    def usage(self) -> str:
        """Return how circusctl's user writes it, such as ``incr NAME [NB] [--waiting]``."""
        words = [self.name]
        positional = [item for item in self.properties if item.positional]
        for item in positional:
            word = item.name.upper() if item.required else f"[{item.name.upper()}]"
            words.append(word + "..." if self.variadic and item is positional[-1] else word)
        for item in self.options():
            words.append(f"[{item.flag}]" if item.kind == "boolean" else f"[{item.flag} {item.name.upper()}]")
        return " ".join(words)

    def message(self, arguments: list[str], options: Json) -> Json:
        """Turn circusctl's positional arguments and ``--options`` into properties.

        Raise :class:`~circus.exc.ArgumentError` when their number or form is wrong.
        """
        from circus.commands.arguments import positional_message

        return positional_message(self, arguments, options)

    def render(self, reply: Json) -> str:
        """Return what circusctl prints for a reply that is no error."""
        return "ok"


def accepted(intent: Intent, properties: Json) -> Json | Awaitable[Json]:
    """Return the reply to a command that starts or stops processes: at once, or with ``waiting`` when all is done."""
    return intent.wait() if properties["waiting"] else {"seq": intent.seq}
