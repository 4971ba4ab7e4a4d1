"""Output in a file that something else moves away."""

from __future__ import annotations

import os

from circus.stream.base import Source
from circus.stream.switching import SwitchingFile, identity_of


class WatchedFileStream(SwitchingFile):
    """A file that something else, such as logrotate, moves or deletes: then a new one is begun at its place.

    That is looked at whenever there is output, and a line that is begun still goes where its beginning is.
    """

    def is_over(self) -> bool:
        """Whether another file, or none, has the name of this one."""
        if not self.regular:
            return False  # a pipe or device may have no name any more
        try:
            return identity_of(os.stat(self.path)) != self.identity
        except OSError:
            return True

    def switch(self, source: Source) -> None:
        """Open the file of that name; if that fails, the old one goes on being used."""
        try:
            self.reopen()
        except OSError as error:
            self.fail(source, f"{self.filename} was moved, and cannot be opened anew: {error}")
