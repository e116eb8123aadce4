"""What a listener speaks, without one running: `openapi`."""

import click

from relay.cli.common import print_json

PUBLIC, OPERATIONS = "public", "operations"


@click.command()
@click.option(
    "--listener",
    type=click.Choice([PUBLIC, OPERATIONS]),
    default=PUBLIC,
    show_default=True,
    help="Events come in at the public one, with the callbacks trackers are sent; operators ask the other.",
)
def openapi(listener: str) -> None:
    """Print what a listener speaks as OpenAPI 3.1. It is what /openapi.json answers there, for client generators."""
    if listener == PUBLIC:
        from relay.ingest.api import public_document as document  # noqa: PLC0415 - the server's modules
    else:
        from relay.operate.api import operator_document as document  # noqa: PLC0415 - as above
    print_json(document())
