"""Writes docs/cli.md from the commands' own help: python tools/cli_reference.py [--check]."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import click

from wafer2token.cli.main import VERBS

TARGET = Path(__file__).parent.parent / "docs" / "cli.md"


def reference() -> str:
    """The help of every verb as one page."""
    parts = ["# Command reference\n", "Made from `--help` by `python tools/cli_reference.py`. In Python each verb is a function of the same name in "
             "`wafer2token.verbs`.\n"]  # fmt: skip
    for verb in VERBS:
        command: click.Command = import_module(f"wafer2token.cli.{verb}").command
        context = click.Context(command, info_name=f"w2t {verb}", max_content_width=100, terminal_width=100, help_option_names=["-h", "--help"])
        parts.append(f"## w2t {verb}\n\n```\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def main() -> None:
    """Write the page, or with --check say whether it is current."""
    text = reference()
    if "--check" in sys.argv:
        sys.exit(
            0 if TARGET.read_text(encoding="utf-8") == text else "docs/cli.md is stale: python tools/cli_reference.py"
        )
    TARGET.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
