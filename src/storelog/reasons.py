"""Says why a server could not be reached, in one line without the driver's internals."""

import os
import re

# What MongoDB's driver says of a server that takes connections and never responds.
_SILENT = "No servers found yet"
_DRIVER_DETAILS = re.compile(r" \(configured timeouts|, Timeout: |, Topology Description: ")
_SYSTEM_ERROR = re.compile(r"\[Errno (\d+)\] [^(,]*(?:\('[^)]*\))?")


def reason(error: BaseException) -> str:
    """Return one line on what a driver raised, without the driver's own details."""
    if isinstance(error, TimeoutError):
        return "it did not respond in time"
    text = str(error)
    numbered = _SYSTEM_ERROR.search(text)
    if isinstance(error, OSError):
        # The text beside the number may be a library's own, so the system's text for the number is
        # used; a name that is not found has no such number, but the system's text.
        number = int(numbered[1]) if numbered else error.errno or 0
        return os.strerror(number) if number > 0 else error.strerror or text or "it failed"
    text = _DRIVER_DETAILS.split(text)[0] or type(error).__name__
    if text == _SILENT:
        return "it did not respond in time"
    return _SYSTEM_ERROR.sub(lambda found: os.strerror(int(found[1])), " ".join(text.split()))
