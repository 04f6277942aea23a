"""What a port adds beside, need not have, or only mentions: told once per extension, or low."""

import json

import pytest

from wafer2token.stack.audit.diff import new_since

KERNEL = "__global__ void f(float* x) {}\n"
TRITON = "import triton\n@triton.jit\ndef k(x): pass\n"


def severe(report):
    return sorted({f.file for f in report.at_least("medium")})


def test_one_file_stands_for_the_sources_of_an_extension(audited):
    files = {
        "pkg/__init__.py": "",
        "pkg/csrc/a.cu": KERNEL,
        "pkg/csrc/cuda/b.cu": KERNEL,
        "pkg/csrc/c.cpp": "x.is_cuda();\n",
    }
    report = audited(files)
    assert severe(report) == ["pkg/csrc/a.cu"]
    assert report.verdict == "needs kernels"
    told = [f for f in report.findings if f.file == "pkg/csrc/cuda/b.cu"]
    assert {f.severity for f in told} == {"low"}
    assert {f.severity_alone for f in told} == {"critical"}
    assert all("told once, at pkg/csrc/a.cu" in f.guards for f in told)


def test_two_extensions_are_told_twice(audited):
    files = {"a/__init__.py": "", "a/csrc/a.cu": KERNEL, "b/__init__.py": "", "b/csrc/b.cu": KERNEL}
    assert severe(audited(files)) == ["a/csrc/a.cu", "b/csrc/b.cu"]


def test_sources_beside_python_modules_are_an_extension_of_their_folder(audited):
    files = {"ops/a.py": "", "ops/a.cu": KERNEL, "ops/b.cu": KERNEL, "ops/more/b.py": "", "ops/more/c.cu": KERNEL}
    assert severe(audited(files)) == ["ops/a.cu", "ops/more/c.cu"]


def test_a_triton_kernel_with_more_to_say_keeps_its_severity(audited):
    files = {"ops/a.py": TRITON, "ops/b.py": TRITON, "ops/c.py": TRITON + "x = y.is_cuda\n"}
    assert severe(audited(files)) == ["ops/a.py", "ops/c.py"]


def test_a_kernel_added_to_an_extension_is_new(audited, tmp_path):
    report = audited({"csrc/a.cu": KERNEL})
    baseline = tmp_path / "baseline.txt"
    baseline.write_text(json.dumps(report.to_dict()), encoding="utf-8")
    more = audited({"csrc/b.cu": KERNEL})
    assert {f.file for f in new_since(more, baseline, "critical")} == {"csrc/b.cu"}


SETUP = """\
from setuptools import setup
TABLE = {"flash-attn": "flash-attn>=2", "deepspeed": "deepspeed"}
GPU = ["bitsandbytes"]
base = ["numpy"]
base.append("xformers")
extras = {"gpu": GPU, "ds": [TABLE["deepspeed"]]}
setup(install_requires=base + [TABLE["flash-attn"]], extras_require=extras)
"""


def test_what_setup_always_asks_for_weighs_more_than_an_extra(audited):
    worst = {
        f.rule: f.severity for f in audited({"setup.py": SETUP}).findings if f.rule in {"F01", "F02", "F05", "F06"}
    }
    assert worst == {"F01": "high", "F02": "high", "F05": "low", "F06": "low"}


def test_where_setup_says_nothing_of_requirements_every_string_may_be_one(audited):
    text = "from setuptools import setup\nsetup(**read(['flash-attn']))\n"
    assert {f.severity for f in audited({"setup.py": text}).findings if f.rule == "F01"} == {"high"}


def test_an_extra_of_pyproject_is_low(audited):
    text = '[project]\nname = "x"\ndependencies = ["flash-attn"]\n[project.optional-dependencies]\ngpu = ["xformers"]\n'
    worst = {f.rule: f.severity for f in audited({"pyproject.toml": text}).findings}
    assert (worst["F01"], worst["F02"]) == ("high", "low")


@pytest.mark.parametrize(
    ("text", "rule", "severity"),
    [
        ("import torch\nprint(f'devices: {torch.cuda.device_count()}')\n", "A17", "low"),
        ("import torch\nlogger.info('on', torch.cuda.is_available())\n", "A17", "low"),
        ("import torch\nprint(choose(torch.cuda.is_available()))\n", "A17", "medium"),
        ("import torch\nif torch.cuda.is_available():\n    torch.cuda.synchronize()\n", "A17", "low"),
        ("import torch\nif torch.cuda.is_available():\n    torch.cuda.set_device(0)\n", "A17", "medium"),
        ("import torch\n\ntorch.cuda.manual_seed_all(1)\n", "A01", "low"),
        ("import torch\nok = isinstance(m, torch.nn.DataParallel)\n", "A13", "low"),
        ("import torch\nm = torch.nn.DataParallel(m)\n", "A13", "high"),
        ("import torch\nclass M(torch.nn.DataParallel): pass\n", "A13", "high"),
        ("\nif is_fp8_available(): pass\n", "C04", "low"),
        ("\nx = scaled_fp8_quant(y)\n", "C04", "high"),
        ("\ncommand = 'CUDA_VISIBLE_DEVICES=0 python train.py'\n", "A09", "low"),
        ("import os\nos.environ['CUDA_VISIBLE_DEVICES'] = '0'\n", "A09", "medium"),
    ],
)
def test_a_mention_weighs_less_than_a_use(audited, text, rule, severity):
    assert [f.severity for f in audited({"a.py": text}).findings if f.rule == rule] == [severity]


def test_a_folder_named_cuda_is_no_device(audited):
    report = audited({"a.py": "import os\np = os.path.join('cuda', 'k.cu')\nm.to('cuda')\n"})
    assert [f.line for f in report.findings if f.rule == "A03"] == [3]


def test_helpers_of_tests_are_tests(audited):
    report = audited({"pkg/testing_utils.py": "x = y.is_cuda\n"})
    assert {(f.place, f.severity) for f in report.findings} == {("test", "low")}
