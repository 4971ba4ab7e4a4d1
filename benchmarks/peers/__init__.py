"""The supervisors that are measured, by the names that ``--peers`` knows."""

from collections.abc import Callable

from benchmarks.peers.base import Peer
from benchmarks.peers.circus import Ours, Released
from benchmarks.peers.floor import Cat, Floor
from benchmarks.peers.runit import Runit
from benchmarks.peers.s6 import S6
from benchmarks.peers.supervisor import Supervisor
from benchmarks.tools import Programs

OURS, RELEASED, FLOOR = "ours", "circus", "floor"
FACTORIES: dict[str, Callable[[Programs], Peer]] = {
    OURS: lambda _: Ours(),
    RELEASED: lambda _: Released(),
    "supervisor": lambda _: Supervisor(),
    "s6": lambda _: S6(),
    "runit": lambda _: Runit(),
    "cat": Cat,
    FLOOR: Floor,
}
