"""Would it work? What can be told of settings, machine, platforms and trackers before anybody depends on them."""

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli.common import (
    NO,
    config_option,
    ending_well,
    json_option,
    print_json,
    run_loop,
    settings_read,
)
from relay.core.ids import is_uuid

if TYPE_CHECKING:
    from relay.doctor.finding import Finding


@click.command()
@click.option("--online", "is_online", is_flag=True, help="Ask the platforms and the trackers' hosts too.")
@click.option("--agent", help="With --online: in whose name to ask where tokens are the agents' own.")
@click.option("--deployment", help="With --online: a Messenger deployment; does it show agents typing?")
@config_option
@json_option
@ending_well
def doctor(
    agent: str | None, deployment: str | None, config: Path | None, *, is_online: bool, as_json: bool
) -> None:
    """Say what would keep the relay from working, and what to do. May run beside a relay.

    With --online every gateway's platform is asked whether it takes the credentials and lets them type, about sessions
    that do not exist: no guest sees anything. Trackers are connected to and sent nothing.

    Exit code 1 where something failed, 2 where the settings cannot be read.
    """
    _check_asked(agent, deployment, is_online=is_online)
    from relay.doctor.finding import is_well  # noqa: PLC0415 - loads the server's modules
    from relay.doctor.round import offline, online  # noqa: PLC0415 - as above

    logging.getLogger("relay").addHandler(logging.NullHandler())  # what is worth saying is a finding
    settings = settings_read(config)
    found = list(offline(settings, config, os.environ, Path.cwd()))
    if is_online:

        async def ask() -> None:
            found.extend(await online(settings, agent_user_id=agent, deployment_id=deployment))

        run_loop(ask(), fast=False)
    _print(found, as_json=as_json)
    if not is_well(found):
        sys.exit(NO)


def _check_asked(agent: str | None, deployment: str | None, *, is_online: bool) -> None:
    if (agent or deployment) and not is_online:
        raise click.UsageError("--agent and --deployment are for --online")
    if agent is not None and not is_uuid(agent):
        raise click.UsageError("--agent: an agent's user id, a UUID in lower case, is wanted")
    if deployment is not None and not is_uuid(deployment):
        raise click.UsageError("--deployment: a deployment's id, a UUID in lower case, is wanted")


def _print(found: "list[Finding]", *, as_json: bool) -> None:
    from relay.doctor.finding import is_well  # noqa: PLC0415 - as above

    if as_json:
        print_json({"ok": is_well(found), "findings": [finding.as_json for finding in found]})
        return
    for finding in found:
        click.echo(finding.line)
