"""One function per verb, under the same name."""

import pytest

from wafer2token import verbs
from wafer2token.cli.main import VERBS

IN_PYTHON = {"list": "list_cards"}


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_is_a_function(verb):
    function = getattr(verbs, IN_PYTHON.get(verb, verb))
    assert callable(function)
    assert function.__doc__


@pytest.mark.parametrize("name", verbs.VERBS)
def test_every_name_resolves(name):
    assert callable(getattr(verbs, name))


def test_an_unknown_name_lists_the_verbs():
    assert set(verbs.VERBS) == set(dir(verbs))
    with pytest.raises(AttributeError, match="compare"):
        verbs.compar  # noqa: B018
