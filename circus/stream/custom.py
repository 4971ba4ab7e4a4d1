"""What a stream is whose class is not one of circusd's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from circus.hooks.distributions import OWN, normalised
from circus.hooks.registry import registry

if TYPE_CHECKING:
    from circus.config.schema import WatcherSettings


def is_custom(options: Mapping[str, str]) -> bool:
    """Whether a stream with these options is not one of circusd's own, so that another process has to run it."""
    found = registry().find_stream(options["class"]) if "class" in options else None
    return "class" in options and (found is None or normalised(found.distribution) != OWN)


class Custom(NamedTuple):
    """What makes a stream: its class and options, whose it is, and where its watcher's Python finds modules."""

    watcher: str
    name: str
    """``stdout`` or ``stderr``."""
    options: Mapping[str, str]
    python_path: str = ""
    virtualenv: str = ""
    virtualenv_py_ver: str = ""

    @classmethod
    def of(cls, settings: WatcherSettings, name: str, options: Mapping[str, str]) -> Custom:
        """The stream of a watcher that gets ``stdout`` or ``stderr``, with its options after expansion."""
        return cls(
            settings.name,
            name,
            options,
            settings.env.get("PYTHONPATH", ""),
            settings.virtualenv or "",
            settings.virtualenv_py_ver or "",
        )

    @property
    def description(self) -> bytes:
        """The same as it is told to the process."""
        return json.dumps(self._asdict(), sort_keys=True).encode()
