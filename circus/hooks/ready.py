"""The functions for hooks that come with Circus, and the plugin that runs every function of a hook.

circusd imports this module, and none of the functions.
"""

from __future__ import annotations

from circus.hooks import HookSpec, PluginSpec, hookimpl

RUNNER = PluginSpec(
    "hooks",
    "circus.hooks.runner:HookRunner",
    doc="Run the functions that watchers name as their hooks.",
)


@hookimpl
def circus_register_plugins() -> list[PluginSpec]:
    """The process that runs the functions of hooks."""
    return [RUNNER]


@hookimpl
def circus_register_hooks() -> list[HookSpec]:
    """The ready-made functions."""
    return [
        HookSpec(
            "wait_for_port",
            "circus.hooks.ready_made:wait_for_port",
            doc="Wait until something accepts connections at host:port, or at the path of a Unix socket.",
        ),
        HookSpec(
            "wait_for_http",
            "circus.hooks.ready_made:wait_for_http",
            doc="Wait until a URL answers without an error.",
        ),
        HookSpec("wait_for_file", "circus.hooks.ready_made:wait_for_file", doc="Wait until a path exists."),
        HookSpec(
            "run_command",
            "circus.hooks.ready_made:run_command",
            doc="Run a command line; an exit code other than 0 is an error.",
        ),
    ]
