"""Options that are read and checked, but have no effect yet. circusd warns of each that is used, and goes on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from circus.exc import CircusError

if TYPE_CHECKING:
    from circus.config.loader import Config
    from circus.config.schema import CircusSettings

# Each option, and what happens instead of what it asks for. An option that gets its effect leaves this table.
NOT_YET_SERVED: Final[dict[str, dict[str, str]]] = {
    "circus": {
        "httpd": "circushttpd is not run",
        "debug_gc": "nothing is logged about the garbage collector",
        "fqdn_prefix": "this node has no name of its own",
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
    for option, instead in NOT_YET_SERVED["circus"].items():
        if getattr(config.circus, option):
            yield "circus", option, instead
