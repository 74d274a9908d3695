"""The console: the shop, its log and its health as pages; reads in process, writes over HTTP."""
