"""The connection of one circusctl to one daemon, made when it is first needed."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.client import CircusClient
    from circus.commands.base import Json

TIMEOUT = 5.0
"""Seconds to wait for a reply unless ``--timeout`` says otherwise."""
PATIENCE = 1.0
"""Seconds to wait for a daemon that is not there yet: somebody at a terminal wants to know soon."""

_CONNECTION = ("endpoint", "timeout", "ssh", "ssh_keyfile")


class Session:
    """Requests to the daemon that the options of a command line name."""

    def __init__(self, settings: Json) -> None:
        self.settings = {name: settings[name] for name in _CONNECTION if name in settings}
        self._client: CircusClient | None = None

    def derived(self, settings: Json) -> Session:
        """Return the session for a line of the console: this one, unless the line names another endpoint or timeout."""
        changed = {name: settings[name] for name in _CONNECTION if name in settings}
        return Session({**self.settings, **changed}) if changed else self

    @property
    def client(self) -> CircusClient:
        """The client, connected. Raise ``CallError`` for an endpoint that cannot be."""
        if self._client is None:
            from circus.client import CircusClient

            self._client = CircusClient(
                endpoint=self.settings.get("endpoint"),
                timeout=self.settings.get("timeout", TIMEOUT),
                ssh_server=self.settings.get("ssh"),
                ssh_keyfile=self.settings.get("ssh_keyfile"),
                patience=PATIENCE,
            )
        return self._client

    def request(self, command: str, properties: Json) -> Json:
        """Send a request and return the reply, an error reply too. Raise ``CallError`` if there is none."""
        return self.client.call({"command": command, "properties": properties})

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._client is not None:
            self._client.stop()
            self._client = None
