"""What floor.c does, for machines without a C compiler: floor.py N PROGRAM ARGS..."""

import os
import signal
import sys

wanted, command = int(sys.argv[1]), sys.argv[2:]
signals = {signal.SIGCHLD, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)


def spawn() -> int:
    return os.posix_spawn(command[0], command, os.environ, setsigmask=())


pids = {spawn() for _ in range(wanted)}
stopping = False
while pids:
    if signal.sigwait(signals) == signal.SIGTERM:
        stopping = True
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
    while pids:
        dead, _ = os.waitpid(-1, os.WNOHANG)
        if dead == 0:
            break
        pids.discard(dead)
        if not stopping:
            pids.add(spawn())
