"""The sites of requirements, Docker files, scripts, configuration, notebooks and documentation."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from typing import Any

from wafer2token.stack.audit import guards
from wafer2token.stack.audit.model import Site

_NAME = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*(.*)$")
_QUOTED = re.compile(r"""["']([^"']+)["']""")
_PIP = re.compile(r"pip3?\s+install\s+(.*)")
_VERSION = re.compile(r"(==|>=|~=|>|<=|<|!=)\s*([0-9][0-9A-Za-z.+*]*)")
_ENV = re.compile(r"(?<![A-Za-z0-9_])([A-Z][A-Z0-9]+_[A-Z0-9_]+)(?=\s*[=:]|\b)")
_CUDA_VALUE = re.compile(
    r"""^\s*[\w.-]*(device|backend|accelerator|platform)[\w.-]*\s*[:=]\s*["']?(cuda(:\d+)?|nccl)["']?\s*(#.*)?$""",
    re.IGNORECASE,
)
_FLAG_VALUE = re.compile(r"--[\w-]*(device|backend)[\w-]*[ =]\s*[\"']?(cuda(:\d+)?|nccl)\b")


def normal(name: str) -> str:
    """A distribution name in its normal form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement(text: str, line: int) -> list[Site]:
    """The sites of one requirement ("torch==2.4.0; python_version>'3.9'"); none where it is not one."""
    body = text.split("#", 1)[0].split(";", 1)[0].strip().rstrip("\\").strip()
    match = _NAME.match(body)
    if not match or body.startswith(("-", "http:", "https:", "git+")):
        return []
    name, tail = normal(match.group(1)), match.group(3).strip()
    if tail and not re.match(r"^([=<>!~(@,]|$)", tail):
        return []
    versions = tuple((operator, version) for operator, version in _VERSION.findall(tail))
    sites = [Site("requirement", name, line, 0, "requirement", arguments=versions)]
    if versions:
        sites.append(Site("pin", name, line, 0, "requirement", arguments=versions))
    return sites


def scan_requirements(source: str) -> list[Site]:
    """The sites of a requirements file."""
    sites: list[Site] = []
    for number, line in enumerate(source.splitlines(), 1):
        sites += requirement(line, number)
        sites.append(Site("text", line.strip(), number, 0, "requirement"))
    return sites


def scan_manifest(source: str) -> list[Site]:
    """The sites of pyproject.toml, setup.cfg or a conda environment: requirements wherever a list of them stands."""
    sites: list[Site] = []
    listed, extras = _listed_requirements(source)
    for number, line in enumerate(source.splitlines(), 1):
        text = line.strip()
        if text.startswith("- "):
            sites += requirement(text[2:].strip("\"'"), number)
        for quoted in _QUOTED.findall(text) or [text]:
            if quoted in listed:
                sites += requirement(quoted, number)
            elif quoted in extras:
                sites += [replace(s, guards=frozenset({guards.EXTRA})) for s in requirement(quoted, number)]
        sites.append(Site("text", text, number, 0, "script"))
    return sites


def _listed_requirements(source: str) -> tuple[set[str], set[str]]:
    """What a manifest always asks for, and what it asks for in optional extras and groups only."""
    try:
        document = tomllib.loads(source)
    except (tomllib.TOMLDecodeError, RecursionError):
        lines = (line.strip() for line in source.splitlines())
        return {line for line in lines if _VERSION.search(line) and "=" not in line.split("=")[0]}, set()
    always: set[str] = set()
    extras: set[str] = set()

    def collect(value: Any, into: set[str]) -> None:
        if isinstance(value, str):
            into.add(value)
        elif isinstance(value, (list, dict)):
            for item in value.values() if isinstance(value, dict) else value:
                collect(item, into)

    for path, into in (
        (("project", "dependencies"), always),
        (("build-system", "requires"), always),
        (("project", "optional-dependencies"), extras),
        (("dependency-groups",), extras),
    ):
        value: Any = document
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        collect(value, into)
    return always, extras - always


def scan_script(source: str) -> list[Site]:
    """The sites of a shell script, Docker file or configuration file: lines, environment names, installed packages."""
    sites: list[Site] = []
    for number, line in enumerate(source.splitlines(), 1):
        text = line.strip()
        if not text or (text.startswith("#") and not text.lower().startswith("#sbatch")):
            continue
        sites.append(Site("text", text, number, 0, "script"))
        for name in dict.fromkeys(_ENV.findall(text)):
            sites.append(Site("env", name, number, 0, "script"))
        value = _CUDA_VALUE.match(text) or _FLAG_VALUE.search(text)
        if value:
            sites.append(Site("string", value.group(2), number, 0, "assign"))
        install = _PIP.search(text)
        if install:
            for word in install.group(1).split():
                sites += requirement(word.strip("\"'"), number)
    return sites


def scan_config(source: str) -> list[Site]:
    """The sites of a Hugging Face config.json: its quantisation and layers. Raises ValueError where it is not JSON."""
    document = json.loads(source)
    if not isinstance(document, dict):
        return []
    sites: list[Site] = []
    layers = document.get("num_hidden_layers")
    if isinstance(layers, int):
        sites.append(Site("layers", str(layers), _line_of(source, "num_hidden_layers"), 0, "config"))
    quantisation = document.get("quantization_config") or document.get("quantization") or {}
    if not isinstance(quantisation, dict):
        return sites
    method = str(quantisation.get("quant_method") or quantisation.get("quant_algo") or "")
    if not method:
        return sites
    detail = ":".join(sorted(set(re.findall(r"float|int|fp8|fp4", json.dumps(quantisation)))))
    text = f"quant_method={method}" + (f":{detail}" if method == "compressed-tensors" else "")
    return [*sites, Site("json", text.lower(), _line_of(source, "quant_"), 0, "config")]


def _line_of(source: str, word: str) -> int:
    return 1 + source[: max(source.find(word), 0)].count("\n")


def notebook_source(source: str) -> str:
    """The code of a notebook's cells, cell magics blanked. Raises ValueError where it is not a notebook."""
    document = json.loads(source)
    if not isinstance(document, dict):
        raise ValueError("not a notebook")
    lines: list[str] = []
    cells = document.get("cells", [])
    for cell in cells if isinstance(cells, list) else []:
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            body = cell.get("source", [])
            text = "".join(map(str, body)) if isinstance(body, list) else str(body)
            lines += ["" if line.lstrip()[:1] in {"%", "!", "?"} else line for line in text.splitlines()]
    return "\n".join(lines)


def scan_docs(source: str, trigger: re.Pattern[str]) -> list[Site]:
    """The first line of a document that names CUDA or a GPU, unless the document already speaks of Ascend."""
    if re.search(r"(?i)(?<![a-z])(npu|ascend)(?![a-z])", source):
        return []
    for number, line in enumerate(source.splitlines(), 1):
        if trigger.search(line):
            return [Site("docs", line.strip()[:200], number, 0, "docs")]
    return []
