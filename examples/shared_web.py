"""A web server of one page on a socket that circusd owns: given by its number, or in systemd's way."""

import os
import signal
import socket
import sys
import threading
from http.server import ThreadingHTTPServer

from web import Page


def given(name: str) -> socket.socket:
    """The socket whose number stands on the command line, else the one of that name in LISTEN_FDS."""
    if len(sys.argv) > 1:
        return socket.socket(fileno=int(sys.argv[1]))
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        sys.exit("no socket: start me with circusd, examples/shared-sockets.ini")
    names = os.environ["LISTEN_FDNAMES"].split(":")
    return socket.socket(fileno=3 + names.index(name))


if __name__ == "__main__":
    listener = given("web")
    server = ThreadingHTTPServer(listener.getsockname()[:2], Page, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    # What has begun is answered before the process ends; what has not, another process accepts.
    server.daemon_threads = False
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
    server.server_close()
