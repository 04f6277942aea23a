"""Holds ``w2t audit`` against real ports: file recall and precision, replaced symbols, patches explained, speed.

    python benchmarks/audit_ports.py --work FOLDER [--patches vllm_ascend_patches.csv] [--write]

Source packages come from the package index through ``unearth`` (``pip install unearth``), which downloads without
running any build script, unlike ``pip download``. Nothing of a package is executed. ``--write`` renews the tables in
docs/audit.md and the counts that calibrate the effort estimate (stack/audit/data/port_sites.csv).

What a port really changed is read from the released packages: the files of the earlier release whose later version has
added lines that speak of the NPU. Later releases of the same project count too (the port went on).
"""

from __future__ import annotations

import argparse
import ast
import csv
import difflib
import random
import re
import subprocess
import sys
import tarfile
import time
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from wafer2token.stack.audit import audit, engine, support
from wafer2token.stack.audit.effort import lines_added, ports
from wafer2token.stack.audit.engine import Audit
from wafer2token.stack.audit.files import discover, kind_of
from wafer2token.stack.audit.model import Finding

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs" / "audit.md"
SITES = HERE.parent / "src" / "wafer2token" / "stack" / "audit" / "data" / "port_sites.csv"
NPU_WORDS = re.compile(
    r"(?i)(?<![a-z])npus?(?![a-z])|ascend(?!ing|ed|ant)|hccl|\bcann\b|get_device_name\(\)|get_torch_device|get_nccl_backend"
)
SECTIONS = ["ports", "symbols", "patches", "sites", "effort", "speed"]
KERNEL_RULES = {"E02", "E03", "E04", "E05", "E14", "E18", "E19"}


def fetch(package: str, version: str, work: Path) -> Path:
    """The unpacked source package of a release, downloaded once."""
    target = work / f"{package}-{version}"
    if not target.is_dir():
        archives = work / "archives" / f"{package}-{version}"
        archives.mkdir(parents=True, exist_ok=True)
        unearth = Path(sys.executable).with_name("unearth")
        subprocess.run(
            [unearth, "--no-binary", "-d", archives, f"{package}=={version}"], check=True, capture_output=True
        )
        with tarfile.open(next(archives.glob("*.tar.*"))) as archive:
            archive.extractall(target, filter="data")
    inner = [p for p in target.iterdir() if p.is_dir()]
    return inner[0] if len(inner) == 1 else target


def texts(root: Path) -> dict[str, str]:
    """The readable files of a package by relative path."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_file() and kind_of(path.name) and ".egg-info/" not in name:
            found[name] = path.read_text(encoding="utf-8", errors="replace")
    return found


def ported_files(before: Path, after: Path) -> set[str]:
    """Files of the earlier release to which the later one adds lines that speak of the NPU."""
    old, new = texts(before), texts(after)
    found = set()
    for name, text in new.items():
        if name in old and text != old[name]:
            lines = difflib.unified_diff(old[name].splitlines(), text.splitlines(), lineterm="", n=0)
            if any(line.startswith("+") and NPU_WORDS.search(line) for line in lines):
                found.add(name)
    return found


@dataclass(frozen=True)
class Score:
    """File recall and precision of one project. ``solid`` are flagged files that are more than kernel sources."""

    id: str
    role: str
    files: int
    lines: int
    seconds: float
    first: set[str]
    ever: set[str]
    flagged: set[str]
    medium: set[str]
    solid: set[str]
    verdict: str


def score(subject: Mapping[str, object], work: Path) -> tuple[Score, Audit]:
    before = fetch(str(subject["package"]), str(subject["before"]), work)
    first = ported_files(before, fetch(str(subject["package"]), str(subject["first"]), work))
    ever = set(first)
    for version in subject["later"]:  # type: ignore[attr-defined]
        ever |= ported_files(before, fetch(str(subject["package"]), version, work))
    started = time.perf_counter()
    report = audit(before)
    seconds = time.perf_counter() - started
    medium = report.at_least("medium")
    row = Score(
        str(subject["id"]), str(subject["role"]), len(discover(before, engine.MAX_BYTES)[0]), report.lines, seconds,
        first, ever, {f.file for f in report.findings}, {f.file for f in medium},
        {f.file for f in medium if f.rule not in KERNEL_RULES}, report.verdict,
    )  # fmt: skip
    return row, report


def ratio(part: set[str], whole: set[str]) -> str:
    return f"{len(part & whole)} of {len(whole)}"


def percent(parts: int, whole: int) -> str:
    return f"{parts / whole:.0%}" if whole else "-"


def port_table(rows: list[Score]) -> str:
    head = ("| project | role | lines | verdict | first port: pointed at | ... at medium+ | port until later: pointed at | ... at medium+ | "
            "precision at medium+ | ... without kernel sources |\n|---|---|---|---|---|---|---|---|---|---|\n")  # fmt: skip
    body = "".join(
        f"| {r.id} | {r.role.replace('_', ' ')} | {r.lines:,} | {r.verdict} | {ratio(r.flagged, r.first)} | {ratio(r.medium, r.first)} | "
        f"{ratio(r.flagged, r.ever)} | {ratio(r.medium, r.ever)} | {ratio(r.ever, r.medium)} | {ratio(r.ever, r.solid)} |\n"
        for r in rows
    )
    return head + body + "".join(pooled(rows, role) for role in ("named", "developed", "looked_at", "held_out"))


def pooled(rows: list[Score], role: str) -> str:
    mine = [r for r in rows if r.role == role]

    def total(pick: object) -> int:
        return sum(len(pick(r)) for r in mine)  # type: ignore[operator]

    cells = [
        percent(total(lambda r: r.flagged & r.first), total(lambda r: r.first)),
        percent(total(lambda r: r.medium & r.first), total(lambda r: r.first)),
        percent(total(lambda r: r.flagged & r.ever), total(lambda r: r.ever)),
        percent(total(lambda r: r.medium & r.ever), total(lambda r: r.ever)),
        percent(total(lambda r: r.medium & r.ever), total(lambda r: r.medium)),
        percent(total(lambda r: r.solid & r.ever), total(lambda r: r.solid)),
    ]
    return f"| **all {role.replace('_', ' ')}** | | {sum(r.lines for r in mine):,} | | {' | '.join(cells)} |\n"


@dataclass(frozen=True)
class Span:
    file: str
    first: int
    last: int


def spans(root: Path) -> tuple[dict[str, Span], dict[str, str]]:
    """Every class, function, assignment and module of a package by dotted name, and what imported names stand for."""
    found: dict[str, Span] = {}
    imported: dict[str, str] = {}

    def walk(body: Iterable[ast.stmt], prefix: str, file: str, package: str) -> None:
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                found[f"{prefix}.{node.name}"] = Span(file, first, node.end_lineno or first)
                if isinstance(node, ast.ClassDef):
                    walk(node.body, f"{prefix}.{node.name}", file, package)
            elif isinstance(node, (ast.If, ast.Try)):
                walk([*node.body, *node.orelse], prefix, file, package)
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        found[f"{prefix}.{target.id}"] = Span(file, node.lineno, node.end_lineno or node.lineno)
            elif isinstance(node, ast.ImportFrom):
                parent = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                source = ".".join(p for p in (parent if node.level else "", node.module or "") if p)
                imported.update({f"{prefix}.{a.asname or a.name}": f"{source}.{a.name}" for a in node.names})

    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        module = name[:-3].replace("/", ".").removesuffix(".__init__")
        text = path.read_text(encoding="utf-8", errors="replace")
        found[module] = Span(name, 1, text.count("\n") + 1)
        package = module if path.stem == "__init__" else module.rpartition(".")[0]
        try:
            walk(ast.parse(text).body, module, name, package)
        except SyntaxError:
            continue
    return found, imported


class Symbols:
    """The findings inside a symbol: in its lines, or on the head line of a class around it.

    A name that a module only imports stands for its definition and for the lines of the module that use it, a method that a
    class only inherits for the class, and a symbol that moved for the one definition of its name in the release.
    """

    def __init__(self, root: Path, findings: Iterable[Finding], moved: Mapping[str, str]):
        self._root = root
        self._spans, self._imported = spans(root)
        self._moved = moved
        self._by_file: dict[str, list[Finding]] = {}
        for finding in findings:
            self._by_file.setdefault(finding.file, []).append(finding)

    def span(self, symbol: str) -> Span | None:
        for old, new in self._moved.items():
            symbol = symbol.replace(old + ".", new + ".")
        return self._spans.get(symbol)

    def rules(self, symbol: str) -> set[str] | None:
        """The rules met in a symbol; None where the release has no such symbol."""
        span = self.span(symbol)
        if span is not None:
            return self._inside(symbol, span)
        owner, _, name = symbol.rpartition(".")
        for _ in range(5):
            if symbol not in self._imported:
                break
            symbol = self._imported[symbol]
            span = self.span(symbol)
            if span is not None:
                return self._inside(symbol, span) | self._using(owner, name)
        around = self.span(owner)
        if around is not None and around.first > 1:
            return self._inside(owner, around)
        if around is not None and re.search(
            rf"\b{re.escape(name)}\b", (self._root / around.file).read_text(errors="replace")
        ):
            return self._using(owner, name)
        parts = symbol.split(".")
        tails = [".".join(parts[i:]) for i in range(1 - len(parts), 0)] + [p for p in parts[-2:-1] if p[:1].isupper()]
        for tail in [symbol, *tails]:
            same = [s for s in self._spans if s.endswith("." + tail)]
            if len(same) == 1 and len(tail) > 8:
                return self._inside(same[0], self._spans[same[0]])
        return None

    def _using(self, module: str, name: str) -> set[str]:
        around = self.span(module)
        if around is None:
            return set()
        lines = (self._root / around.file).read_text(encoding="utf-8", errors="replace").splitlines()
        using = {n for n, line in enumerate(lines, 1) if re.search(rf"\b{re.escape(name)}\b", line)}
        return {f.rule for f in self._by_file.get(around.file, ()) if f.line in using}

    def _inside(self, symbol: str, span: Span) -> set[str]:
        parts = symbol.split(".")
        around = (self.span(".".join(parts[:i])) for i in range(2, len(parts)))
        heads = {s.first for s in around if s is not None and s.file == span.file and s.first > 1}
        return {
            f.rule for f in self._by_file.get(span.file, ()) if span.first <= f.line <= span.last or f.line in heads
        }


def symbol_table(library: Mapping[str, object], work: Path) -> str:
    """Recall of the symbols that a port library replaces, by the rules alone and with the registry of other branches."""
    root = fetch(str(library["package"]), str(library["release"]), work)
    report = audit(root)
    symbols = Symbols(root, [f for f in report.findings if f.rule != "I01"], library.get("moved", {}))  # type: ignore[arg-type]
    out = ""
    for branch in library["branches"]:  # type: ignore[attr-defined]
        known = {s: {b for p in ps for b in p.branches} for s, ps in support.patched().items()}
        wanted = [
            s for s, branches in known.items() if branch in branches and s.startswith(str(library["prefix"]) + ".")
        ]
        found = {s: symbols.rules(s) for s in wanted}
        present = [s for s in wanted if found[s] is not None]
        by_rule = {s for s in present if found[s]}
        by_registry = {s for s in present if known[s] - {branch}}
        out += (f"| {library['id']} {branch} on {library['package']} {library['release']} | {len(wanted)} | {len(present)} | "
                f"{len(by_rule)} ({percent(len(by_rule), len(present))}) | {len(by_rule | by_registry)} ({percent(len(by_rule | by_registry), len(present))}) |\n")  # fmt: skip
    return out


def patches_explained(
    library: Mapping[str, object], reasons: Mapping[str, list[str]], patches: Path, work: Path
) -> str:
    """How many documented patches have, inside a symbol they replace, a finding of a rule that fits their reason."""
    root = fetch(str(library["package"]), str(library["release"]), work)
    report = audit(root)
    symbols = Symbols(root, report.findings, {})
    called = {f.rule: 0 for f in report.findings}
    rows = list(csv.DictReader(patches.open(encoding="utf-8", newline="")))
    counts = {"any rule": 0, "a rule that fits the reason": 0, "symbol in this release": 0, "registry rule I01": 0}
    missed = []
    for row in rows:
        rules: set[str] = set()
        present = False
        for text in re.findall(r"`([^`]*)`", row["target"]):
            symbol = text.split("=")[0].strip()
            if symbol.startswith(("torch.distributed.", "torch.accelerator.", "triton.")):
                rules |= {"B04", "A15", "E17"} & set(called)
                present = True
            for candidate in (symbol, f"vllm.v1.core.sched.scheduler.{symbol}", f"vllm.v1.worker.{symbol}"):
                inside = symbols.rules(candidate)
                if inside is not None:
                    present = True
                    rules |= inside
        counts["symbol in this release"] += present
        counts["registry rule I01"] += "I01" in rules
        plain = rules - {"I01"}
        counts["any rule"] += bool(plain)
        fits = any(r.startswith(tuple(reasons[row["category"]])) for r in plain)
        counts["a rule that fits the reason"] += fits
        if not fits:
            missed.append(f"{row['file']} {row['target'][:90]} ({row['category']}): {' '.join(sorted(plain)) or '-'}")
    lines = "".join(f"| {name} | {n} of {len(rows)} |\n" for name, n in counts.items())
    print("not explained:", *missed, sep="\n  ", file=sys.stderr)
    return "| explained by | patches |\n|---|---|\n" + lines


def speed(subject: Mapping[str, object], work: Path) -> tuple[str, bool]:
    """Seconds per 100,000 lines on one core, and whether the verdict and findings survive a shuffled file order."""
    root = fetch(str(subject["package"]), str(subject["before"]), work)
    started = time.process_time()
    report = audit(root)
    seconds = time.process_time() - started
    original = engine.discover

    def shuffled(path: Path, limit: int) -> object:
        found, skipped = original(path, limit)
        random.Random(7).shuffle(found)
        return found, skipped

    engine.discover = shuffled  # type: ignore[assignment]
    try:
        other = audit(root)
    finally:
        engine.discover = original
    same = (other.verdict, other.findings) == (report.verdict, report.findings)
    return (
        f"{subject['id']}: {report.lines:,} lines, {seconds:.1f} s of one core, {seconds / report.lines * 1e5:.2f} s per 100,000 lines",
        same,
    )


def write_between(marker: str, text: str) -> None:
    """Replaces what stands between ``<!-- marker -->`` and ``<!-- /marker -->`` in the documentation."""
    page = DOCS.read_text(encoding="utf-8")
    start, stop = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    head, rest = page.split(start, 1)
    tail = rest.split(stop, 1)[1]
    DOCS.write_text(f"{head}{start}\n{text}{stop}{tail}", encoding="utf-8")


def calibration(work: Path) -> list[tuple[str, int, int]]:
    """Sites and files of medium severity and above in the release before each published port."""
    ports = tomllib.loads((SITES.parent / "ports.toml").read_text(encoding="utf-8"))["port"]
    found = []
    for port in ports:
        if "package" in port:
            effort = audit(fetch(port["package"], port["release"], work)).effort
            found.append((port["project"], effort.sites, effort.files))
    return found


def effort_table() -> str:
    """Each port's size against the range that the other ports give for it."""
    known = [(p.project, p.sites, p.lines_added) for p in ports() if p.sites is not None]
    out = "| port | places | lines added | P10 - P50 - P90 from the other ports |\n|---|---|---|---|\n"
    held = 0
    for name, sites, lines in known:
        low, mid, high = lines_added(sites, [(s, n) for other, s, n in known if other != name])
        held += low <= lines <= high
        out += f"| {name} | {sites:,} | {lines:,} | {low:,.0f} - {mid:,.0f} - {high:,.0f} |\n"
    return out + f"\n{held} of {len(known)} lie in the 80% range that the others give.\n"


def speed_section(subject: Mapping[str, object], work: Path) -> str:
    timed, same = speed(subject, work)
    return f"{timed}; findings and verdict {'the same' if same else 'DIFFERENT'} for a shuffled file order.\n"


def symbols_section(library: Mapping[str, object], work: Path) -> str:
    head = "| library and release | symbols | in the release | found by rules | ... or known from other branches |\n|---|---|---|---|---|\n"
    return head + symbol_table(library, work)


def write_sites(sites: list[tuple[str, int, int]]) -> None:
    with SITES.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["project", "sites", "files"])
        writer.writerows(sites)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for downloads; what is there is used again")
    parser.add_argument("--patches", type=Path, help="vllm_ascend_patches.csv of the porting facts")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, help="the sections to make")
    parser.add_argument("--write", action="store_true", help="renew docs/audit.md and port_sites.csv")
    arguments = parser.parse_args()
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    plan = tomllib.loads((HERE / "audit_subjects.toml").read_text(encoding="utf-8"))
    subjects = {str(entry["id"]): entry for entry in plan["subject"]}
    libraries = {str(entry["id"]): entry for entry in plan["library"]}
    if "sites" in arguments.only:
        sites = calibration(work)
        print(sites)
        if arguments.write:
            write_sites(sites)
            ports.cache_clear()
    makers = {
        "ports": lambda: port_table([score(s, work)[0] for s in subjects.values()]),
        "symbols": lambda: symbols_section(libraries["MindSpeed"], work),
        "patches": lambda: patches_explained(libraries["vllm-ascend"], plan["reasons"], arguments.patches, work),
        "effort": effort_table,
        "speed": lambda: speed_section(subjects["transformers"], work),
    }
    for name in arguments.only:
        if name == "sites" or (name == "patches" and arguments.patches is None):
            continue
        text = makers[name]()
        print(f"\n{name}\n{text}", flush=True)
        if arguments.write:
            write_between(name, text)


if __name__ == "__main__":
    main()
