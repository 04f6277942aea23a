"""The house keeps its shape: imports point one way, light verbs stay light."""

import subprocess
import sys

import pytest

from wafer2token.cli.main import VERBS

HEAVY = ("numpy", "scipy", "numba", "pyarrow", "pandas", "torch", "rich.console")


def test_imports_point_one_way():
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def loaded_after(*arguments: str) -> set[str]:
    script = (
        "import sys\nfrom wafer2token.cli.main import w2t\n"
        f"w2t.main({list(arguments)!r}, standalone_mode=False)\n"
        "print('\\nMODULES', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.rsplit("MODULES ", 1)[1].split())


@pytest.mark.parametrize("arguments", [("--help",), *((verb, "--help") for verb in VERBS)], ids=" ".join)
def test_help_loads_nothing_heavy(arguments):
    assert not loaded_after(*arguments) & {"numpy", "scipy", "numba", "pyarrow", "torch"}


def test_every_verb_has_a_summary_and_an_example():
    from importlib import import_module

    for verb in VERBS:
        command = import_module(f"wafer2token.cli.{verb.replace('-', '_')}").command
        assert command.help, verb
        assert f"w2t {verb}" in command.help, f"the help of {verb} shows no example"


def test_every_bundled_card_loads():
    from wafer2token.catalog import KINDS, all_cards

    assert all(all_cards(kind) is not None for kind in KINDS)
