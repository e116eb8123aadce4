"""The command `typing-relay`.

Exit codes: 0 done; 1 it ran and the answer is no (not ready, refused, something lost); 2 it could not run (usage,
whether the command judged it or the relay; settings; a file, a port or standard output that cannot be had; a relay that
does not answer), or, from `config check`, the relay could not; 141 whoever read its output had left. What is for machines goes to stdout, with `--json` as one JSON value; what is for people goes to stderr.
"""

from typing import Any

import click

from relay import __version__
from relay.cli.common import heard
from relay.cli.configuring import config_group, keys_group
from relay.cli.dead_letters import dlq_group
from relay.cli.delivering import endpoints_group
from relay.cli.demonstrating import demo
from relay.cli.describing import openapi
from relay.cli.examining import doctor
from relay.cli.inquiring import audit, why
from relay.cli.listening import listen
from relay.cli.ordering import broadcast
from relay.cli.sending import send
from relay.cli.serving import healthcheck, sandbox, serve


class _Heard(click.Group):
    """What it prints is written, or it is no success: help is printed while the words are read, the rest afterwards."""

    def make_context(self, *args: Any, **more: Any) -> click.Context:  # Any: click's own
        with heard():
            return super().make_context(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:  # Any: as above
        with heard():
            return super().invoke(ctx)


@click.group(cls=_Heard, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="typing-relay")
def main() -> None:
    """Keystrokes in, paced typing indicators out, signed events to your trackers."""


for command in (
    serve, demo, sandbox, listen, send, broadcast, dlq_group, endpoints_group, why, audit, config_group, doctor, keys_group, openapi, healthcheck,
):  # fmt: skip
    main.add_command(command)
