"""Where the read side's MongoDB is: shared by the projector, which writes it, and its readers."""

from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from storelog.config import Settings
from storelog.errors import CannotRun

DEFAULT_DATABASE = "storelog"
# The embedded Python server takes 0.3 ms for each of 50 ids of an `$in`, 2 ms for each of 1,000.
IDS_AT_ONCE = 50


def mongodb_uri(settings: Settings) -> str:
    """Return the server's address. Raises CannotRun when none is named."""
    if settings.mongodb_uri is None:
        raise CannotRun("STORELOG_MONGODB_URI names no server, and no `storelog up` runs here")
    return settings.mongodb_uri


def database_name(settings: Settings) -> str:
    """Return the database that the address names, else `storelog`. Raises CannotRun."""
    try:
        named = parse_uri(mongodb_uri(settings))["database"]
    except PyMongoError as error:
        raise CannotRun(f"STORELOG_MONGODB_URI: {error}") from error
    return named or DEFAULT_DATABASE
