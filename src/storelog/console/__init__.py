"""The console: pages of the shop, its log and its health. It reads in process, writes over HTTP."""
