"""Options that are read and checked, but have no effect yet. circusd warns of each that is used, and goes on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from circus.exc import CircusError

if TYPE_CHECKING:
    from circus.config.loader import Config
    from circus.config.schema import CircusSettings, WatcherSettings

# Each option, and what happens instead of what it asks for. An option that gets its effect leaves this table.
NOT_YET_SERVED: Final[dict[str, dict[str, str]]] = {
    "circus": {
        "httpd": "circushttpd is not run",
        "debug_gc": "nothing is logged about the garbage collector",
        "fqdn_prefix": "this node has no name of its own",
    },
    "watcher": {
        "on_demand": "the processes start without waiting for a connection",
        "idle_timeout": "the processes run on without connections",
    },
}


def not_yet_served(config: Config) -> list[str]:
    """One sentence for each option of ``config`` that asks for something which is not there yet."""
    return [f"[{section}] {option}: not served yet: {instead}" for section, option, instead in _used(config)]


def refuse_unprotected(settings: CircusSettings) -> None:
    """Raise ``CircusError`` where going on without the option would leave open what it is to protect."""
    if settings.auth:
        raise CircusError(
            f"[circus] auth: {settings.auth} is not served yet, and an endpoint that only seems to be protected is not "
            "opened; remove the option, and use ipc:// endpoints"
        )


def _used(config: Config) -> Iterator[tuple[str, str, str]]:
    yield from _differing("circus", "circus", config.circus)
    for watcher in config.watchers:
        yield from _differing("watcher", f"watcher:{watcher.name}", watcher)


def _differing(kind: str, section: str, settings: CircusSettings | WatcherSettings) -> Iterator[tuple[str, str, str]]:
    for option, instead in NOT_YET_SERVED[kind].items():
        if getattr(settings, option):
            yield section, f"{option}.class" if option.endswith("_stream") else option, instead
