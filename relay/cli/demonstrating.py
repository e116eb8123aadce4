"""placeholder while the demo is being written"""

import click


@click.command()
def demo() -> None:
    """."""
