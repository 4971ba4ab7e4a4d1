"""A command line that is still being typed: its words, and how one that completes the last is to be written."""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"([^\w@%+=:,./-])")


class Typed:
    """What stands before the cursor, read as a shell reads it, except that the last word may lack its end."""

    def __init__(self, line: str) -> None:
        self.words: list[str] = []
        """The words before the one at the cursor, without quotes."""
        self.prefix = ""
        """The word at the cursor so far, without quotes."""
        self.quote = ""
        """The quotation mark that is open at the cursor."""
        self.start = len(line)
        """Where the word at the cursor begins in the line."""
        self._line = line
        self._read(line)

    def _read(self, line: str) -> None:
        at, inside = 0, False
        while at < len(line):
            char = line[at]
            if not self.quote and char.isspace():
                if inside:
                    self.words.append(self.prefix)
                    self.prefix, inside = "", False
                at += 1
                continue
            if not inside:
                inside, self.start = True, at
            if char == self.quote:
                self.quote = ""
            elif not self.quote and char in "'\"":
                self.quote = char
            elif char == "\\" and self.quote != "'" and at + 1 < len(line):
                at += 1
                self.prefix += line[at]
            else:
                self.prefix += char
            at += 1
        if not inside:
            self.start = len(line)

    def written(self, word: str) -> str:
        """Return ``word`` as it is written in this place: with escapes, or after the quotation mark that is open."""
        if not self.quote:
            return _SPECIAL.sub(r"\\\1", word)
        return self.quote + (re.sub(r'(["\\])', r"\\\1", word) if self.quote == '"' else word)

    def rest(self, word: str, at: int) -> str | None:
        """Return what of ``word``, as it is written here, replaces the line from ``at``; None if nobody can say."""
        done = at - self.start
        if done > 0 and self.written(self.prefix) != self._line[self.start :]:
            return None
        return self.written(word)[max(done, 0) :]
