"""Makes the files that people import or read from the code that they describe: `make generate`.

Nothing here runs in a service. A test holds that every file is as it would be made now.
"""
