"""One function per verb, under the same name."""

import pytest

import wafer2token
from wafer2token.cli.main import VERBS

IN_PYTHON = {"list": "list_cards"}


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_is_a_function(verb):
    function = getattr(wafer2token, IN_PYTHON.get(verb, verb))
    assert callable(function)
    assert function.__doc__


def test_names_are_listed():
    assert set(wafer2token.VERBS) <= set(dir(wafer2token))
    with pytest.raises(AttributeError, match="compare"):
        wafer2token.compar  # noqa: B018
