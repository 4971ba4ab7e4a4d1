"""What writer.c does, for machines without a C compiler."""

import os
import signal
import struct
import sys
import time

BLOCK, LINE, NUMBER, SHORT = 65536, 128, 9, 100


def report(fifo: int) -> None:
    os.write(fifo, struct.pack("=qq", os.getpid(), time.monotonic_ns()))


def put(data: bytes | bytearray) -> None:
    done = os.write(1, data)
    while done < len(data):
        done += os.write(1, data[done:])


def blocks(count: int) -> None:
    lines = (b"%08d %08x %03d " % (os.getpid(), 0, line) for line in range(BLOCK // LINE))
    block = bytearray(b"".join(line.ljust(LINE - 1, b".") + b"\n" for line in lines))
    number = 0
    while count == 0 or number < count:
        for place, digit in enumerate(b"%08x" % (number & 0xFFFFFFFF)):
            block[NUMBER + place :: LINE] = bytes((digit,)) * (BLOCK // LINE)
        put(block)
        number += 1


def lines(rate: int) -> None:
    line = b"." * (SHORT - 1) + b"\n"
    # Many of them are let in at once; they are not to go on in step.
    due = time.monotonic() + os.getpid() * 7919 % 1000 / 1000 / rate
    while True:
        due += 1 / rate
        time.sleep(max(0.0, due - time.monotonic()))
        put(line)


fifo = os.open(sys.argv[1], os.O_WRONLY)
report(fifo)
os.open(sys.argv[2], os.O_RDONLY)
(blocks if sys.argv[3] == "blocks" else lines)(int(sys.argv[4]))
report(fifo)
while True:
    signal.pause()
