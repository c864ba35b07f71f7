"""Show versions."""

from __future__ import annotations

import platform
from importlib.metadata import version

import click


@click.command()
def command() -> None:
    """Show the versions of the package, Python, and the libraries that compute."""
    click.echo(f"contrastive-har {version('contrastive-har')}, Python {platform.python_version()}")
    click.echo(", ".join(f"{name} {version(name)}" for name in ("torch", "kedro", "mlflow", "scikit-learn", "numpy")))
