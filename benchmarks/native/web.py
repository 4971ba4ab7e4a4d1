"""A worker of a web stack: accepts on the descriptor that it is given, and answers each connection with one page.

It ends what it has begun before it obeys SIGTERM.
"""

import os
import select
import signal
import socket
import sys

PAGE = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nhello\n"


def main() -> None:
    stopping = []
    woken, waking = os.pipe()
    os.set_blocking(waking, False)
    signal.set_wakeup_fd(waking)
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    listener = socket.socket(fileno=int(sys.argv[1]))
    while not stopping:
        select.select([listener, woken], [], [])
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            continue  # another worker has it
        with connection:
            connection.setblocking(True)
            if connection.recv(65536):
                connection.sendall(PAGE)


main()
