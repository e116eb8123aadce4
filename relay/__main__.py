"""`python -m relay` is the command `typing-relay`."""

from relay.cli import main

main()
