"""What to say when a snapshot could not be taken or written."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import icechunk

from flowplane.core.callers import outside
from flowplane.errors import InputError, RecordingFailed

if TYPE_CHECKING:
    from flowplane.recorder.session import Session

__all__ = ["ON_ERROR", "Failures"]

ON_ERROR = ("raise", "warn")

#: What disks, stores and models fail with; anything else is a mistake of ours.
EXPECTED = (OSError, RuntimeError, icechunk.IcechunkError, InputError)


class Failures:
    """A snapshot that could not be taken or written is raised, or warned of, as was chosen.

    Arguments:
        session: whose snapshots they are.
        on_error: one of `ON_ERROR`.
    """

    def __init__(self, session: Session, on_error: str) -> None:
        self._session = session
        self._on_error = on_error
        #: Whether an exception ends the recording: it matters more than a last snapshot that could not be written.
        self.leaving = False
        self._last_said = False

    def guarded(self, work: Callable[[], None], epoch: int) -> None:
        """Do the work of a snapshot."""
        try:
            work()
        except RecordingFailed:
            raise
        except EXPECTED as error:
            self.happened(error, epoch)

    def happened(self, error: BaseException, epoch: int) -> None:
        """The snapshot of this epoch failed."""
        session = self._session
        if not isinstance(error, EXPECTED):
            raise error
        kept = "nothing is kept" if session.committed is None else f"everything up to epoch {session.committed} is kept"
        where = "" if session.path is None else f" in {session.path}"
        message = f"the snapshot of epoch {epoch} could not be taken: {_reason(error)}; {kept}{where}"
        if self._on_error == "raise" and not self.leaving:
            if isinstance(error, InputError):
                raise error
            raise RecordingFailed(message) from error
        if session.processes.first and not self._last_said:
            self._last_said = self.leaving  # what was logged cannot be written either
            message += "" if self.leaving else "; training goes on"
            warnings.warn(message, RuntimeWarning, stacklevel=outside())


def _reason(error: BaseException) -> str:
    lines = [line.strip(" |╰─▶×├") for line in str(error).splitlines() if line.strip(" |╰─▶×├")]
    return "; ".join(lines[:3]) if lines else repr(error)
