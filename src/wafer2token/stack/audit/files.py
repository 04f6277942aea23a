"""Which files of a project are read, what each is for, and what is passed over."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wafer2token.evidence.errors import InputError, Problem
from wafer2token.stack.audit.model import Skipped

PYTHON = {".py", ".pyi", ".pyx"}
NATIVE = {".cu", ".cuh", ".c", ".cc", ".cpp", ".cxx", ".h", ".hh", ".hpp", ".hxx", ".inl", ".mm", ".ptx"}
SCRIPT = {".sh", ".bash", ".yaml", ".yml", ".toml", ".cfg", ".ini", ".cmake", ".mk", ".dockerfile"}
DOCS = {".md", ".rst"}
NOTEBOOK = {".ipynb"}
_SKIPPED_FOLDERS = {".git", ".hg", ".svn", "__pycache__", "node_modules", ".tox", ".venv", "venv", ".mypy_cache",
                    ".eggs", "site-packages"}  # fmt: skip
_REQUIREMENTS = re.compile(r"^(requirements?[\w.-]*|constraints[\w.-]*|[\w.-]*requirements)\.(txt|in)$", re.IGNORECASE)
_DOCKER = re.compile(r"^(dockerfile|containerfile)([.-].*)?$|\.dockerfile$", re.IGNORECASE)
_TEST = re.compile(
    r"(^|/)(tests?|testing|unit_tests?|test_utils|tests?_\w+|\w+_tests?)/|(^|/)(test_[^/]*|[^/]*_test|conftest|test(ing)?_utils)\.\w+$"
)
_DOCS = re.compile(r"(^|/)(docs?|documentation)/", re.IGNORECASE)
_EXAMPLE = re.compile(
    r"(^|/)(examples?|demos?|samples?|tutorials?|notebooks?|recipes?|benchmarks?|projects|research_projects|experiments?|cookbook|playground)/",
    re.IGNORECASE,
)
_CONVERTER = re.compile(r"(^|/)convert_[^/]*\.py$")
_VENDORED = re.compile(
    r"(^|/)(third[_-]?party|3rd[_-]?party|vendor(ed)?|extern(al)?s?|submodules|deps|thirdparty|_vendor)/", re.IGNORECASE
)
_BUILD = re.compile(r"^(build|dist)/|(^|/)(\.github|ci|\.ci|\.buildkite|[\w.-]+\.egg-info)/")
_TOOLS = re.compile(r"(^|/)(scripts?|tools?|utils/ci|docker)/", re.IGNORECASE)
_OTHER_DEVICES = re.compile(
    r"(^|/)(rocm|hip|hipify|xpu|hpu|tpu|mps|metal|musa|mlu|cambricon|intel|habana|neuron|amd)(/|_|\.)|_(rocm|hip|xpu|hpu|tpu|mps|musa|mlu)\.",
    re.IGNORECASE,
)
_NPU_PATH = re.compile(r"(?<![a-z])(npu|ascend|cann)(?![a-z])|_npu|npu_|hccl", re.IGNORECASE)


@dataclass(frozen=True)
class SourceFile:
    """A file to read: its path relative to the project, what kind of text it is, and what it is for."""

    path: str
    kind: str
    place: str
    full: Path


def kind_of(name: str) -> str:
    """The kind of text of a file name: python, native, requirements, docker, script, json, docs, or "" (not read)."""
    lower = name.lower()
    suffix = os.path.splitext(lower)[1]
    if suffix in PYTHON:
        return "python"
    if suffix in NATIVE:
        return "native"
    if _REQUIREMENTS.match(name):
        return "requirements"
    if _DOCKER.match(name):
        return "docker"
    if lower in {"pyproject.toml", "setup.cfg", "environment.yml", "environment.yaml", "pipfile"}:
        return "manifest"
    if suffix in SCRIPT or lower in {"cmakelists.txt", "makefile"}:
        return "script"
    if lower in {"config.json", "hf_quant_config.json", "quantize_config.json"}:
        return "json"
    if suffix in DOCS:
        return "docs"
    return "notebook" if suffix in NOTEBOOK else ""


def place_of(path: str) -> str:
    """What a file is for, from its path: product, test, docs, example, vendored or build.

    ``path`` is relative to the project, with forward slashes.
    """
    if _VENDORED.search(path):
        return "vendored"
    if _TEST.search(path):
        return "test"
    if _DOCS.search(path) or os.path.splitext(path)[1].lower() in DOCS:
        return "docs"
    if _EXAMPLE.search(path) or _CONVERTER.search(path):
        return "example"
    if _BUILD.search(path):
        return "build"
    return "product"


def for_other_device(path: str) -> bool:
    """Whether the path says that the file serves another accelerator (ROCm, XPU, TPU, ...)."""
    return bool(_OTHER_DEVICES.search(path))


def for_npu(path: str) -> bool:
    """Whether the path says that the file serves the NPU already."""
    return bool(_NPU_PATH.search(path))


def discover(root: Path, max_bytes: int) -> tuple[list[SourceFile], list[Skipped]]:
    """The files of a project in path order, and those passed over. Symbolic links are not followed.

    Raises InputError where ``root`` does not exist.
    """
    if not root.exists():
        raise InputError(
            Problem("no such file or folder", str(root), remedy="give the path of a project or of one file")
        )
    if root.is_file():
        kind = kind_of(root.name) or "python"
        return [SourceFile(root.name, kind, place_of(root.name), root)], []
    found: list[SourceFile] = []
    skipped: list[Skipped] = []
    for path, full in _walk(root, skipped):
        kind = kind_of(os.path.basename(path))
        if not kind:
            continue
        size = full.stat().st_size
        if size > max_bytes:
            skipped.append(Skipped(path, f"larger than {max_bytes:,} bytes ({size:,})"))
            continue
        found.append(SourceFile(path, kind, place_of(path), full))
    return sorted(found, key=lambda f: f.path), sorted(skipped, key=lambda s: s.file)


def _walk(root: Path, skipped: list[Skipped]) -> Iterator[tuple[str, Path]]:
    def complain(error: OSError) -> None:
        skipped.append(Skipped(str(error.filename), f"cannot be opened: {error.strerror}"))

    for folder, folders, names in os.walk(root, onerror=complain, followlinks=False):
        here = Path(folder)
        for name in list(folders):
            if (here / name).is_symlink():
                skipped.append(Skipped((here / name).relative_to(root).as_posix(), "symbolic link, not followed"))
                folders.remove(name)
        folders[:] = sorted(f for f in folders if f not in _SKIPPED_FOLDERS)
        for name in names:
            full = here / name
            relative = full.relative_to(root).as_posix()
            if full.is_symlink():
                if kind_of(name):
                    skipped.append(Skipped(relative, "symbolic link, not followed"))
            elif full.is_file():
                yield relative, full


def read_text(file: SourceFile) -> tuple[str, str]:
    """The text of a file and, where it cannot be read as text, the reason ("" otherwise)."""
    try:
        data = file.full.read_bytes()
    except OSError as error:
        return "", f"cannot be read: {error.strerror}"
    if b"\x00" in data[:8192]:
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return data.decode("utf-16", errors="replace"), ""
        return "", "binary, not text"
    return data.decode("utf-8-sig", errors="replace"), ""
