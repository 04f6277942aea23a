"""wafer2token: from the wafer to the token, every number with a source and a grade.

Each command of ``w2t`` is one function here, with the same name and the same argument names.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# verb -> "module:function"; imported on first use, so that `import wafer2token` stays light
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
    "calibrate": "wafer2token.study:calibrate",
    "list_cards": "wafer2token.catalog:list_cards",
    "save": "wafer2token.report.save:save",
    "show": "wafer2token.catalog:show",
}

__all__ = ["VERBS", "__version__", *VERBS]


def __getattr__(name: str) -> Any:
    if name in VERBS:
        module, function = VERBS[name].split(":")
        return getattr(import_module(module), function)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; the verbs are {', '.join(sorted(VERBS))}")


def __dir__() -> list[str]:
    return sorted(__all__)
