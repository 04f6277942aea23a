"""How much of the PyTorch interfaces that code uses has an NPU path in a wheel."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wafer2token.stack.audit import support
from wafer2token.stack.audit.model import FileScan
from wafer2token.stack.audit.target import Target

_GROUPS = {**dict.fromkeys("nlwo", "native"), **dict.fromkeys("ief", "composite"), "C": "CPU fallback",
           "x": "other backend only", "-": "absent", "": "not in the registry"}  # fmt: skip


def operator_coverage(scans: Iterable[FileScan], target: Target) -> dict[str, Any]:
    """Distinct ``torch`` interfaces called in product code, by the class of the operator behind them.

    Modules and functions that are no aten operator ("torch.nn.Linear") are held against the documented list instead.
    """
    used = sorted({
        site.text
        for scan in scans if scan.place == "product"
        for site in scan.sites if site.kind == "call" and site.text.startswith("torch.")
    })  # fmt: skip
    groups: dict[str, list[str]] = {}
    documented = {"supported": 0, "restricted": 0, "not validated": 0, "may fall back": 0, "unverified": 0}
    for name in used:
        groups.setdefault(_GROUPS[support.interface_class(name, target.wheel.version)], []).append(name)
        entry = support.interfaces().get(name)
        if entry is None:
            documented["unverified"] += 1
        elif not entry.on[target.generation]:
            documented["not validated"] += 1
        elif entry.may_fall_back:
            documented["may fall back"] += 1
        else:
            documented["restricted" if entry.restricted else "supported"] += 1
    return {
        "torch_npu": target.wheel.version,
        "interfaces": len(used),
        "by_class": {name: len(found) for name, found in sorted(groups.items())},
        "cpu_fallback": groups.get("CPU fallback", []),
        "documented": documented,
        "registry_percent_on_npu": target.wheel.runs_on_npu_percent,
    }
