"""Signals of the process, acted upon in the loop."""

from __future__ import annotations

import subprocess
import sys
import textwrap


def test_a_flood_of_any_length_loses_no_signal() -> None:
    """In a process of its own, as it takes the signals of the main thread."""
    program = """
        import asyncio, os, signal
        from circus.daemon.signals import Signals

        async def main():
            came = asyncio.Event()
            signals = Signals(asyncio.get_running_loop())
            signals.handle(signal.SIGUSR1, came.set)
            # As many bytes as the loop reads at a time, and none more.
            os.write(signals._writer, bytes(4095))
            os.kill(os.getpid(), signal.SIGUSR1)
            await asyncio.wait_for(came.wait(), 10)
            signals.close()

        asyncio.run(main())
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=30)
    assert (run.returncode, run.stderr) == (0, "")
