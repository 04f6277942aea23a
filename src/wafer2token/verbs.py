"""One function per command of ``w2t``, with the same name and argument names, returning a frozen result.

    from wafer2token.verbs import compare, train

The rooms ``supply``, ``train`` and ``serve`` are packages of these names, which is why the verbs have a module of
their own. A verb is imported when it is first used.
"""

from importlib import import_module
from typing import Any

# name -> "module:function"
VERBS: dict[str, str] = {
    "run": "wafer2token.study.run:run",
    "compare": "wafer2token.study.compare:compare",
    "supply": "wafer2token.supply:supply",
    "allow": "wafer2token.controls:allow",
    "train": "wafer2token.train:train",
    "serve": "wafer2token.serve:serve",
    "kernel": "wafer2token.chip:kernel",
    "collective": "wafer2token.fabric:collective",
    "audit": "wafer2token.stack.audit:audit",
    "claims": "wafer2token.study.claims:claims",
    "explain": "wafer2token.study.explain:explain",
    "validate": "wafer2token.study.validate:validate",
    "calibrate": "wafer2token.study.calibrate:calibrate",
    "list_cards": "wafer2token.catalog:list_cards",
    "save": "wafer2token.report.save:save",
    "show": "wafer2token.catalog:show",
}

__all__ = sorted(VERBS)


def __getattr__(name: str) -> Any:
    if name in VERBS:
        module, function = VERBS[name].split(":")
        return getattr(import_module(module), function)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; the verbs are {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__
