"""The client for asyncio: every command, every read, and the changes. Next: client/blocking.py"""

from storelog.client.commands import Commands
from storelog.client.live import Live
from storelog.client.operations import Operations
from storelog.client.queries import Queries


class AsyncStorelog(Commands, Queries, Operations, Live):
    """One shop: `async with AsyncStorelog(command_url, query_url) as shop: ...`"""
