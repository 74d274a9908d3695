"""Why a server could not be reached, in one line without the words of the driver that found out."""

import os
import re

# MongoDB's driver, of a server that takes connections and never answers.
_SILENT = "No servers found yet"
_DRIVER_DETAILS = re.compile(r" \(configured timeouts|, Timeout: |, Topology Description: ")
_SYSTEM_ERROR = re.compile(r"\[Errno (\d+)\] [^(,]*(?:\('[^)]*\))?")


def reason(error: BaseException) -> str:
    """Return one line on what a driver raised, without the driver's own details."""
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    said = str(error)
    numbered = _SYSTEM_ERROR.search(said)
    if isinstance(error, OSError):
        # The words beside the number may be a library's own; names that are not found have no
        # number of the system's, but words of the system's.
        number = int(numbered[1]) if numbered else error.errno or 0
        return os.strerror(number) if number > 0 else error.strerror or said or "it failed"
    said = _DRIVER_DETAILS.split(said)[0] or type(error).__name__
    if said == _SILENT:
        return "it did not answer in time"
    return _SYSTEM_ERROR.sub(lambda found: os.strerror(int(found[1])), " ".join(said.split()))
