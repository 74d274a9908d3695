"""How commands speak to the two services: JSON over HTTP, every call with a deadline."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from storelog.config import Settings
from storelog.errors import BadUse, CannotRun

TIMEOUT_SECONDS = 15.0


def key_headers(settings: Settings) -> dict[str, str]:
    """Return the header that carries the command line's own key, where one is set."""
    return {} if settings.api_key is None else {"Authorization": f"Bearer {settings.api_key}"}


def get_json(settings: Settings, url: str, parameters: Mapping[str, Any]) -> Any:
    """Return the answer's body. Raises BadUse for a refusal, CannotRun when nobody answers."""
    query = urllib.parse.urlencode({k: v for k, v in parameters.items() if v is not None})
    request = urllib.request.Request(f"{url}?{query}", headers=key_headers(settings))
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refusal:
        problem = _problem(refusal)
        raise (BadUse if refusal.code < 500 else CannotRun)(problem) from refusal
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise CannotRun(f"{url} does not answer: {error}") from error


def _problem(refusal: urllib.error.HTTPError) -> str:
    try:
        problem = json.load(refusal)
        fields = "; ".join(f"{e['pointer']} {e['detail']}" for e in problem.get("errors", []))
        return f"{refusal.code} {fields or problem['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"{refusal.code} {refusal.reason}"
