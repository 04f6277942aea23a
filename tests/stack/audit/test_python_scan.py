"""Names are resolved through aliases; context and guards decide how much a site matters."""

import pytest


@pytest.mark.parametrize(
    "text",
    [
        "import torch\ntorch.cuda.synchronize()",
        "import torch as t\nt.cuda.synchronize()",
        "from torch import cuda\ncuda.synchronize()",
        "from torch import cuda as accelerator\naccelerator.synchronize()",
        "from torch.cuda import synchronize\nsynchronize()",
        "from torch.cuda import synchronize as wait\nwait()",
        "import torch.cuda\ntorch.cuda.synchronize()",
        "import torch; c = torch.cuda\nc.synchronize()",
        "import torch\ngetattr(torch, 'cuda').synchronize()",
    ],
)
def test_an_alias_does_not_hide_a_cuda_call(rules_at, text):
    assert rules_at(text)[2]["A01"] == "medium"


def test_a_local_name_that_only_looks_like_torch_is_left_alone(rules_at):
    assert "A01" not in rules_at("def run(torch):\n    return torch.cuda.synchronize()\n").get(2, {})


def test_comments_and_docstrings_are_no_code(rules_at):
    assert rules_at('"""Uses torch.cuda and "cuda"."""\n# x.cuda()\ndef f():\n    """cuda"""\n    return 1\n') == {}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("x.cuda()", "A02"),
        ("x = y.to('cuda:0')", "A03"),
        ("d = f'cuda:{rank}'", "A03"),
        ("ok = x.device.type == 'cuda'", "A04"),
        ("ok = x.is_cuda", "A04"),
        ("x = y.to(0)", "A05"),
        ("import os\nos.environ['CUDA_VISIBLE_DEVICES'] = '0'", "A09"),
        ("a = ray.remote(num_gpus=1)", "A10"),
        ("import pynvml", "A11"),
        ("import torch\nm = torch.nn.DataParallel(m)", "A13"),
        ("import torch.distributed as dist\ndist.init_process_group('nccl')", "B01"),
        ("if backend == 'nccl': pass", "B02"),
        ("import torch\nx = y.to(torch.float64)", "C01"),
        ("import torch\nx = torch.view_as_complex(y)", "C02"),
        ("import torch\nx = y.to(torch.float8_e4m3fn)", "C04"),
        ("import torch\nx = torch.linalg.eigh(y)", "D04"),
        ("import torch\nx = torch.linalg.eigh(y)", "D01"),
        ("from torch.utils.cpp_extension import CUDAExtension\nCUDAExtension('x', [])", "E01"),
        ("import triton\n@triton.jit\ndef k(x): pass", "E06"),
        ("import cupy", "E13"),
        ("from flash_attn import flash_attn_func", "F01"),
        ("import torch\nf = torch.compile(m)", "G01"),
        ("import torch\ng = torch.cuda.CUDAGraph()", "G03"),
    ],
)
def test_each_rule_finds_its_site(rules_at, text, rule):
    assert any(rule in rules for rules in rules_at(text).values())


def test_an_unguarded_import_matters_more_than_an_optional_one(rules_at):
    found = rules_at("import flash_attn\ntry:\n    import flash_attn\nexcept ImportError:\n    flash_attn = None\n")
    assert found[1]["F01"] == "high"
    assert found[3]["F01"] == "low"


def test_a_branch_beside_the_npu_is_already_served(rules_at):
    text = """\
    import torch
    if is_npu_available():
        device = "npu"
    elif torch.cuda.is_available():
        device = "cuda"
    """
    assert all(severity == "info" for rules in rules_at(text).values() for severity in rules.values())


def test_a_list_that_names_the_npu_is_already_served(rules_at):
    assert set(rules_at("ok = kind in ('cuda', 'npu')\n")[1].values()) == {"info"}


def test_a_test_that_decides_matters_more_than_one_around_harmless_calls(rules_at):
    text = """\
    import torch
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.cuda.is_available():
        model.cuda()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    """
    found = rules_at(text)
    assert found[2]["A17"] == "low"
    assert found[4]["A17"] == "medium"
    assert found[6]["A17"] == "medium"


def test_a_list_of_other_accelerators_asks_for_the_npu(rules_at):
    assert rules_at("from accelerate.utils import is_xpu_available\n")[1]["A18"] == "medium"


def test_a_dtype_in_a_table_is_a_mention_and_a_cast_is_a_use(rules_at):
    found = rules_at("import torch\nTABLE = {'f64': torch.float64}\nx = y.to(torch.float64)\n")
    assert found[2]["C01"] == "low"
    assert found[3]["C01"] == "high"


def test_relative_imports_resolve_within_the_package(audited):
    report = audited({
        "pkg/__init__.py": "",
        "pkg/dist/__init__.py": "",
        "pkg/dist/pynccl.py": "X = 1\n",
        "pkg/dist/use.py": "from .pynccl import X\n",
        "pkg/other.py": "from .dist.pynccl import X\n",
    })  # fmt: skip
    assert {(f.file, f.rule) for f in report.findings} >= {("pkg/dist/use.py", "B11"), ("pkg/other.py", "B11")}


def test_cuda_source_in_a_string_is_cuda_source(rules_at):
    text = 'SOURCE = """\n__global__ void f(float* x) {\n  asm volatile("mov.u32");\n}\n"""\nPROSE = """\nasm volatile\n"""\n'
    assert "E03" in rules_at(text)[3]
    assert 7 not in rules_at(text)


def test_inline_assembly_in_triton(rules_at):
    assert "E03" in rules_at("import triton.language as tl\ny = tl.inline_asm_elementwise('x', a)\n")[2]
