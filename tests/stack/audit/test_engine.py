"""The report as a whole: verdicts, places, robustness, suppression, order, versions."""

import json
import os
import random

import pytest

from wafer2token.evidence.errors import InputError
from wafer2token.stack.audit import audit, diff, engine
from wafer2token.stack.audit.diff import new_since

CODE = "import torch\ntorch.cuda.synchronize()\nx = y.is_cuda\n"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("x = 1\n", "runs today"),
        ("import torch\ntorch.cuda.empty_cache()\n", "runs today"),
        ("import torch\ntorch.cuda.set_device(0)\n", "runs with configuration"),
        ("ok = x.device.type == 'cuda'\n", "needs edits"),
        ("from torch.utils.cpp_extension import CUDAExtension\ne = CUDAExtension('e', [])\n", "needs kernels"),
        ("import cupy\n", "blocked"),
    ],
)
def test_the_verdict_follows_the_hardest_effort(audited, text, verdict):
    assert audited({"a.py": text}).verdict == verdict


@pytest.mark.parametrize(
    ("importing", "verdict"),
    [
        ("from . import needs_cupy\n", "blocked"),
        ("x = 1\n", "needs edits"),
        ("def f():\n    from . import needs_cupy\n", "needs edits"),
        ("try:\n    from . import needs_cupy\nexcept ImportError:\n    pass\n", "needs edits"),
    ],
)
def test_only_what_always_runs_can_block(audited, importing, verdict):
    files = {"pkg/__init__.py": "from . import a\n", "pkg/a.py": importing, "pkg/needs_cupy.py": "import cupy\n"}
    assert audited(files).verdict == verdict


def test_transfer_to_npu_takes_over_what_it_can(audited):
    report = audited({"a.py": "import torch\ntorch.cuda.set_device(0)\n"})
    assert (report.verdict, report.verdict_with_transfer_to_npu) == ("runs with configuration", "runs today")


@pytest.mark.parametrize(
    ("path", "place", "severity"),
    [
        ("pkg/a.py", "unreachable", "high"),
        ("a.py", "product", "high"),
        ("tests/test_a.py", "test", "low"),
        ("examples/a.py", "example", "low"),
        ("third_party/x/a.py", "vendored", "low"),
        ("pkg/npu/a.py", "unreachable", "info"),
        ("pkg/convert_a.py", "example", "low"),
        ("docs/conf.py", "docs", "info"),
    ],
)
def test_the_place_decides_how_much_a_finding_matters(audited, path, place, severity):
    (finding,) = [f for f in audited({path: CODE}).findings if f.rule == "A04"]
    assert (finding.place, finding.severity) == (place, severity)


def test_an_entry_point_makes_the_rest_count_less(audited):
    files = {"main.py": "import used\n", "used.py": CODE, "unused.py": CODE + "z = 1\n" * 100}
    report = audited(files, entry="main.py")
    severity = {f.file: f.severity for f in report.findings if f.rule == "A04"}
    assert severity == {"used.py": "high", "unused.py": "low"}


def test_a_copy_of_a_file_counts_as_vendored(audited):
    text = CODE + "# the same in two places\n" * 20
    places = {f.file: f.place for f in audited({"a/x.py": text, "b/x.py": text}).findings}
    assert places["b/x.py"] == "vendored"
    assert places["a/x.py"] != "vendored"


def test_what_cannot_be_read_is_told_and_the_rest_is_audited(audited, tmp_path):
    (tmp_path / "binary.py").write_bytes(b"\x00\x01\x02" * 100)
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere.py")
    (tmp_path / "latin.py").write_bytes("x = 'é'.cuda()\n".encode("latin-1"))
    deep = "x = " + "(" * 3000 + ")" * 3000 + "\n"
    report = audited({
        "broken.py": "def f(:\n    x.cuda()\n", "python2.py": "print 'x'\nmodel.cuda()\n", "huge.py": "x = 1\n" * 400_000,
        "deep.py": deep, "config.json": "{not json", "good.py": CODE, "nb.ipynb": "[]", "pyproject.toml": "= broken",
    })  # fmt: skip
    reasons = {s.file: s.reason for s in report.skipped}
    assert "binary" in reasons["binary.py"]
    assert "symbolic link" in reasons["loop"]
    assert "symbolic link" in reasons["gone.py"]
    assert "larger" in reasons["huge.py"]
    assert "does not parse" in reasons["broken.py"]
    assert "does not parse" in reasons["deep.py"]
    assert {"config.json", "nb.ipynb"} <= set(reasons)
    assert {"good.py", "latin.py", "python2.py", "broken.py"} <= {f.file for f in report.findings}


def test_a_folder_without_permission_is_passed_over(audited, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0)
    try:
        report = audited({"good.py": CODE})
    finally:
        closed.chmod(0o700)
    assert report.findings
    assert os.geteuid() == 0 or any("closed" in s.file for s in report.skipped)


def test_nothing_is_executed(audited, tmp_path):
    audited({"setup.py": "open('made', 'w').write('x')\n", "a.py": "raise SystemExit\n"})
    assert not (tmp_path / "made").exists()


def test_a_missing_path_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        audit(tmp_path / "nowhere")


def test_an_unknown_chip_and_version_are_bad_input(tmp_path):
    with pytest.raises(InputError, match="unknown Ascend chip"):
        audit(tmp_path, target="ascend_910z")
    with pytest.raises(InputError, match="no torch_npu wheel"):
        audit(tmp_path, torch_npu="1.8")


def test_one_file_can_be_audited(tmp_path):
    path = tmp_path / "one.py"
    path.write_text(CODE)
    assert {f.file for f in audit(path).findings} == {"one.py"}


def test_a_comment_with_a_reason_silences_a_finding(audited):
    report = audited(
        {
            "a.py": """\
        x = y.is_cuda  # w2t: ignore[A04] only for logging
        x = y.is_cuda  # w2t: ignore[A04]
        # w2t: ignore[A04, A03] the line below is for the GPU build
        x = y.is_cuda
        x = y.is_cuda  # w2t: ignore[B01] another rule
        """
        }
    )
    assert sorted(f.line for f in report.findings if f.rule == "A04") == [2, 5]
    assert [(i.finding.line, i.reason) for i in report.ignored] == [
        (1, "only for logging"), (4, "the line below is for the GPU build"),
    ]  # fmt: skip


def test_the_order_of_files_does_not_matter(audited, monkeypatch, tmp_path):
    files = {f"pkg/m{i}.py": CODE + f"from . import m{i + 1}\n" for i in range(6)}
    first = audited(files)
    original = engine.discover

    def shuffled(path, limit):
        found, skipped = original(path, limit)
        random.Random(3).shuffle(found)
        return found, skipped

    monkeypatch.setattr(engine, "discover", shuffled)
    second = audit(tmp_path)
    assert (first.verdict, first.findings, first.effort) == (second.verdict, second.findings, second.effort)


def test_the_document_has_what_programs_read(audited):
    document = json.loads(json.dumps(audited({"a.py": CODE}).to_dict()))
    assert document["verdict"] == "needs edits"
    assert {"rule", "file", "line", "severity", "effort", "risk"} <= set(document["findings"][0])
    assert document["rules"]["A04"]["sources"]
    assert document["target"]["torch_npu"] == "2.14.0"
    assert document["counts"]["high"] == 1
    assert document["coverage"]["interfaces"] == 1


def test_a_newer_wheel_buys_operators(tmp_path):
    (tmp_path / "a.py").write_text("import torch\nx = torch.isin(a, b)\ny = torch.linalg.eigh(a)\n")
    result = diff(tmp_path, "2.1.0", "2.14")
    assert [(f.rule, f.line) for f in result.fixed] == [("D01", 2)]
    assert result.added == ()
    assert "isin.Tensor_Tensor" in result.gained_operators
    assert "npu_swiglu" in result.gained_fused
    assert result.to_dict()["old"]["torch_npu"] == "2.1.0"


def test_new_findings_are_told_from_known_ones(audited, tmp_path):
    report = audited({"a.py": CODE})
    baseline = tmp_path / "base.txt"
    baseline.write_text(json.dumps(report.to_dict()))
    moved = audited({"a.py": "\n\n" + CODE + "z = y.is_cuda\n"})
    assert [(f.rule, f.line) for f in new_since(moved, baseline, "high")] == [("A04", 6)]
    assert new_since(report, baseline, "info") == ()
    with pytest.raises(InputError, match="baseline"):
        new_since(report, tmp_path / "a.py", "high")


def test_a_function_may_say_what_efficiency_to_expect(audited):
    report = audited({"a.py": CODE}, efficiency=lambda chip: {"chip": chip, "now": 0.5})
    assert report.efficiency == {"chip": "ascend_910c", "now": 0.5}


def test_captured_graphs_have_a_budget_of_streams(audited):
    files = {"config.json": json.dumps({"num_hidden_layers": 61})}
    assert "G04" in {f.rule for f in audited(files, graph_sizes=35).findings}
    assert "G04" not in {f.rule for f in audited(files, graph_sizes=10).findings}
