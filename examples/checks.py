"""Functions for hooks: see extended.ini."""

import os


def enough_memory(watcher, arbiter, hook_name, **kwargs):
    """Let the watcher start if the machine has 64 MiB left."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if free < 64 << 20:
        raise MemoryError(f"only {free >> 20} MiB are free, and {watcher.name} needs 64")
    return True


async def say_goodbye(watcher, arbiter, hook_name, **kwargs):
    """What a hook prints goes to circusd's log."""
    print(f"{watcher.name} is gone, {arbiter.numwatchers()} watchers are known")
    return True
