"""`python -m storelog` is the `storelog` command."""

from storelog.cli.main import main

main()
