"""The command that adds a login of the page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.shared import faults_in_one_line

PASSWORD = typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, help="Asked for if not given.")


def login(
    file: Annotated[Path, typer.Argument(help="Text file of logins, made if there is none.", dir_okay=False)],
    name: Annotated[str, typer.Argument(help="Name to log in with; not shown or stored elsewhere.")],
    password: Annotated[str, PASSWORD],
) -> None:
    """Add a login of the page, or change its password. The page asks for it where FIBROREVIEW_LOGINS names the file."""
    with faults_in_one_line():
        from pipeline.page.server.logins import save_login

        save_login(file, name, password)
    typer.echo("Saved. Restart the page with FIBROREVIEW_LOGINS set to this file.", err=True)
