"""The client for asyncio: every command and every read. Next: client/blocking.py"""

from storelog.client.commands import Commands
from storelog.client.queries import Queries


class AsyncStorelog(Commands, Queries):
    """One shop: `async with AsyncStorelog(command_url, query_url) as shop: ...`"""
