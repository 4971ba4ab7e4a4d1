"""The rows of the table. A new subject gets a module of its own with GROUPS in it, and a place in this list."""

from benchmarks.rows import cli, commands, events, hooks, idle, logs, restart, start, stats, stop, web
from benchmarks.rows.base import Group

GROUPS: tuple[Group, ...] = tuple(
    group
    for module in (start, restart, stop, idle, cli, commands, events, hooks, stats, logs, web)
    for group in module.GROUPS
)
