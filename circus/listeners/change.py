"""A change of a daemon's sockets: what is new is bound beside what was there, then one of the two sides is let go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from circus.config.sharing import same_binding
from circus.exc import CircusError
from circus.listeners.binding import Address, listen, refusal, set_shared
from circus.listeners.files import SocketFile, bind_file, check_place
from circus.listeners.listener import Bound, Listener, bind_ip

if TYPE_CHECKING:
    from circus.config.schema import SocketSettings
    from circus.listeners.passed import Passed


class Change:
    """From the listeners of ``before`` to what ``sockets`` say.

    ``found`` are the addresses to bind to, ``passed`` are the sockets that come from systemd, and ``hold`` is told of
    the listeners that count from now on.
    """

    def __init__(
        self,
        before: Mapping[str, Listener],
        sockets: list[SocketSettings],
        found: Mapping[str, Address],
        passed: Passed,
        hold: Callable[[Mapping[str, Listener]], None],
    ) -> None:
        self._before = before
        self._sockets = sockets
        self._found = found
        self._passed = passed
        self._hold = hold
        self._made: list[Bound] = []
        self._adjusted: list[tuple[Listener, SocketSettings]] = []
        self._kept = _kept(before, sockets)
        staying = {listener.bound for listener in self._kept.values()}
        self._leaving = [listener for listener in before.values() if listener.bound not in staying]

    def probe(self) -> None:
        """Bind what is new, and let go of it at once; nobody is let in. Raise ``CircusError`` as :meth:`prepare`."""
        errors = []
        for settings in self._sockets:
            try:
                if settings.name not in self._kept:
                    self._probe(settings)
            except CircusError as error:
                errors.append(str(error))
        self._let_go_of_new()
        raise_all(errors)

    def prepare(self) -> None:
        """Bind what is new, and let it count. Raise ``CircusError``, with nothing changed, that names every failure."""
        after, errors = {}, []
        for settings in self._sockets:
            try:
                after[settings.name] = self._listener(settings)
            except CircusError as error:
                errors.append(str(error))
        if errors:
            self._let_go_of_new()
            raise_all(errors)
        self._hold(after)

    def commit(self) -> None:
        """Let go of what was there before."""
        for listener in self._leaving:
            listener.bound.close()

    def undo(self) -> None:
        """Let what was there before count again, and let go of what is new."""
        self._hold(self._before)
        self._let_go_of_new()

    def _listener(self, settings: SocketSettings) -> Listener:
        listener = self._kept.get(settings.name)
        if listener is None:
            return Listener(settings, self._bind(settings))
        if listener.settings != settings:
            self._adjusted.append((listener, listener.settings))
            listener.adjust(settings)
        return listener

    def _bind(self, settings: SocketSettings) -> Bound:
        if settings.systemd:
            made = self._passed.get(settings, settings.systemd)
            made.setblocking(settings.blocking)
            return Bound(made, "", passed=True)
        if settings.path:
            self._clear_path(settings, settings.path)
            made, file = bind_file(settings, settings.path)
            self._made.append(Bound(made, settings.path, file))
            listen(settings, made)
        else:
            self._made.append(bind_ip(settings, self._found[settings.name], self._rivals(settings)))
        return self._made[-1]

    def _probe(self, settings: SocketSettings) -> None:
        if settings.systemd:
            self._passed.get(settings, settings.systemd)
        elif not settings.path:
            self._made.append(bind_ip(settings, self._found[settings.name], self._rivals(settings), listening=False))
        elif not self._files_at(settings.path):
            check_place(settings, settings.path)

    def _rivals(self, settings: SocketSettings) -> list[Bound]:
        """What is about to be given up and has the port that is wanted."""
        return [listener.bound for listener in self._leaving if _same_port(listener, settings)]

    def _files_at(self, path: str) -> list[SocketFile]:
        """The file of a socket that is about to be given up, if it stands at a path."""
        files = [listener.bound.file for listener in self._leaving]
        return [file for file in files if file is not None and file.is_at(path)]

    def _clear_path(self, settings: SocketSettings, path: str) -> None:
        for file in self._files_at(path):
            try:
                file.put_aside()
            except OSError as error:
                raise refusal(settings, "path", f"{path} cannot be renamed: {error.strerror}") from None

    def _let_go_of_new(self) -> None:
        for bound in self._made:
            bound.close()
        for listener in self._leaving:
            bound = listener.bound
            if bound.file is not None:
                with suppress(OSError):
                    bound.file.put_back()
            elif bound.socket is not None and not bound.passed:
                set_shared(bound.socket, listener.settings.so_reuseport)
        for listener, settings in self._adjusted:
            with suppress(CircusError):
                listener.adjust(settings)


def _kept(before: Mapping[str, Listener], sockets: list[SocketSettings]) -> dict[str, Listener]:
    """What stays bound: under its name, or under another one because its section was renamed."""
    kept = {
        settings.name: before[settings.name]
        for settings in sockets
        if settings.name in before and _does(before[settings.name], settings)
    }
    free = [listener for name, listener in before.items() if name not in kept]
    for settings in sockets:
        # Which port 0 stands for is a matter of the name.
        if settings.name in kept or not settings.port:
            continue
        same = next((listener for listener in free if _does(listener, settings)), None)
        if same is not None:
            free.remove(same)
            kept[settings.name] = Listener(same.settings, same.bound)
    return kept


def _does(listener: Listener, settings: SocketSettings) -> bool:
    """Whether what is bound does for other settings."""
    return same_binding(listener.settings, settings) and not listener.bound.is_lost


def _same_port(listener: Listener, settings: SocketSettings) -> bool:
    bound = listener.bound
    if bound.passed or bound.file is not None or isinstance(bound.address, str):
        return False
    return listener.settings.type == settings.type and bound.address[1] == settings.port


def raise_all(errors: list[str]) -> None:
    """Raise one ``CircusError`` of several texts, a line for each; nothing happens if there are none."""
    if errors:
        raise CircusError("\n".join(errors))
