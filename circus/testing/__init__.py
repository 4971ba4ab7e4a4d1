"""For authors of plugins: a real circusd, and the plugin itself, in tests.

With ``pip install circus[testing]`` every test can take these fixtures:

``circusd``
    A daemon in a folder and on endpoints of its own, see :class:`Circusd`. It is not started yet.

    >>> def test_a_death_is_noticed(circusd):
    ...     circusd.start()
    ...     [pid] = circusd.add("web", "sleep 60")
    ...     circusd.kill(pid)
    ...     assert circusd.wait_for("reap", watcher="web").data["exit_code"] == -9

``run_plugin``
    Runs a plugin in the process of the test, see :class:`RunPlugin`: the real runtime beside that daemon, and an object
    to look into.

    >>> def test_it_counts(circusd, run_plugin):
    ...     circusd.start()
    ...     plugin = run_plugin(Counter, limit=3)
    ...     circusd.add("web", "sleep 60")
    ...     run_plugin.catch_up(plugin)
    ...     assert plugin.spawned == 1

Whoever needs one daemon for several tests writes a fixture with a wider scope around :func:`daemon`.
Importing this package is cheap, since pytest does so at each start: names are loaded at their first use.
"""

from __future__ import annotations

from circus.util import load_public

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.testing.circusd import Circusd, daemon
    from circus.testing.events import Events
    from circus.testing.running import RunPlugin
    from circus.testing.waiting import DEADLINE, is_alive, wait_until

_PUBLIC = {
    "DEADLINE": "circus.testing.waiting",
    "Circusd": "circus.testing.circusd",
    "Events": "circus.testing.events",
    "RunPlugin": "circus.testing.running",
    "daemon": "circus.testing.circusd",
    "is_alive": "circus.testing.waiting",
    "wait_until": "circus.testing.waiting",
}

__all__ = ["DEADLINE", "Circusd", "Events", "RunPlugin", "daemon", "is_alive", "wait_until"]


def __getattr__(name: str) -> object:
    """Load the public name ``name`` from the module that defines it."""
    return load_public(globals(), _PUBLIC, name)
