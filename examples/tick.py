"""Print a line every few seconds; the first argument tells one worker from another."""

import itertools
import sys
import time

if __name__ == "__main__":
    for number in itertools.count(1):
        print(f"worker {sys.argv[1]}: tick {number}")
        time.sleep(5)
