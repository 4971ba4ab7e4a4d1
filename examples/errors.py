"""A stream that keeps the lines with errors in a database."""

import sqlite3


class Errors:
    """Keep each line that has a certain word in it, with its time and process."""

    def __init__(self, database, word="ERROR"):
        self.database = database
        self.word = word.encode()

    def open(self):
        self.connection = sqlite3.connect(self.database)
        self.connection.execute("CREATE TABLE IF NOT EXISTS errors (time, pid, line)")

    def __call__(self, data):
        time, pid = data["timestamp"].isoformat(), data["pid"]
        lines = [line.decode(errors="replace") for line in data["data"].splitlines() if self.word in line]
        with self.connection:
            self.connection.executemany("INSERT INTO errors VALUES (?, ?, ?)", [(time, pid, line) for line in lines])

    def close(self):
        self.connection.close()
