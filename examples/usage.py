"""Print what each watcher uses, once a second. Its argument: the endpoint, if it is not the local one."""

import sys

from circus.stats.client import StatsClient

with StatsClient(*sys.argv[1:]) as statistics:
    for watcher, subtopic, data in statistics:
        if subtopic is None and watcher != "sockets":
            print(f"{watcher:20} {data['cpu_sum']:6.1f} % {data['rss'] / 2**20:8.1f} MiB", flush=True)
