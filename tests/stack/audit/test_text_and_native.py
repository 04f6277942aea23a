"""Sources other than Python: CUDA, requirements, Docker files, scripts, configuration, notebooks, documentation."""

import json

import pytest


def met(report, file):
    return {f.rule for f in report.findings if f.file == file}


def test_a_cuda_kernel_needs_kernels(audited):
    kernel = """\
    #include <cublas_v2.h>
    // asm volatile in a comment does not count
    __global__ void f(float* x) { x[0] = __shfl_down_sync(0xffffffff, x[0], 1); }
    void run(float* x) { f<<<1, 32>>>(x); cudaDeviceSynchronize(); }
    """
    report = audited({"csrc/k.cu": kernel})
    assert {"E02", "E03", "E05", "E18"} <= met(report, "csrc/k.cu")
    assert report.verdict == "needs kernels"
    assert not [f for f in report.findings if f.line == 2]


def test_code_under_an_npu_condition_is_served(audited):
    source = "#ifdef MMCV_WITH_NPU\nvoid f() { x.is_cuda(); }\n#else\nvoid g() { x.is_cuda(); }\n#endif\nvoid h() { x.is_cuda(); }\n"
    report = audited({"csrc/a.cpp": source})
    assert {f.line: f.severity for f in report.findings if f.rule == "E19"} == {2: "info", 4: "info", 6: "medium"}


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("flash-attn>=2.5", "F01"),
        ("flash_attn", "F01"),
        ("bitsandbytes==0.43", "F05"),
        ("deepspeed", "F06"),
        ("vllm>=0.8", "F08"),
        ("cupy-cuda12x", "E13"),
        ("nvidia-cublas-cu12==12.1", "F21"),
        ("onnxruntime-gpu", "F16"),
        ("nvidia-ml-py", "A11"),
        ("--extra-index" + "-url https://download.pytorch.org/whl/cu121", "F21"),
    ],
)
def test_requirements(audited, line, rule):
    assert rule in met(audited({"requirements.txt": line + "\n"}), "requirements.txt")


def test_requirements_of_pyproject_and_setup(audited):
    report = audited({
        "pyproject.toml": '[project]\nname = "x"\ndependencies = ["xformers", "numpy"]\n',
        "setup.py": "from setuptools import setup\nsetup(install_requires=['flash-attn'])\n",
    })  # fmt: skip
    assert "F02" in met(report, "pyproject.toml")
    assert "F01" in met(report, "setup.py")


def test_docker_and_scripts(audited):
    report = audited({
        "Dockerfile": "FROM nvidia/cuda:12.4\nRUN pip install flash-attn vllm\nENV CUDA_VISIBLE_DEVICES=0\n",
        "run.sh": "# export NCCL_DEBUG=INFO\nexport NCCL_SOCKET_IFNAME=eth0\nnvidia-smi\n",
        "train.yaml": "device: cuda\n",
    })  # fmt: skip
    assert {"F21", "F01", "F08", "A09"} <= met(report, "Dockerfile")
    assert {"B03", "A11"} <= met(report, "run.sh")
    assert not [f for f in report.findings if f.file == "run.sh" and f.line == 1]
    assert "A03" in met(report, "train.yaml")


@pytest.mark.parametrize(("method", "rule"), [("fp8", "C05"), ("awq", "F15"), ("gptq", "F15")])
def test_a_quantised_checkpoint(audited, method, rule):
    config = json.dumps({"model_type": "llama", "quantization_config": {"quant_method": method}})
    assert rule in met(audited({"config.json": config}), "config.json")


def test_fp8_matters_less_on_the_generation_that_has_it(audited):
    files = {"config.json": json.dumps({"quantization_config": {"quant_method": "fp8"}})}
    severity = {t: audited(files, target=t).findings[0].severity for t in ("ascend_910c", "ascend_950dt")}
    assert severity == {"ascend_910c": "high", "ascend_950dt": "medium"}


def test_a_notebook_is_read_by_its_cells(audited):
    cells = [{"cell_type": "markdown", "source": "cuda"}, {"cell_type": "code", "source": ["%pip x\n", "y = x.cuda()"]}]
    report = audited({"nb.ipynb": json.dumps({"cells": cells})})
    assert {(f.rule, f.line) for f in report.findings} == {("A02", 2)}


def test_documentation_is_information_only(audited):
    report = audited({"README.md": "Needs a CUDA GPU.\n", "docs/ascend.md": "Runs on Ascend, unlike CUDA.\n"})
    assert [(f.file, f.severity) for f in report.findings] == [("README.md", "info")]
    assert report.verdict == "runs today"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nb.ipynb", '{"cells": 3}'),
        ("nb.ipynb", '{"cells": [3, {"cell_type": "code", "source": [3, null]}]}'),
        ("config.json", "[]"),
        ("config.json", '{"num_hidden_layers": "x", "quantization_config": [1]}'),
        ("config.json", '{"quantization_config": {"quant_method": 5}}'),
        ("pyproject.toml", "project = 3"),
        ("pyproject.toml", "[build-system]\nrequires = 3"),
    ],
)
def test_a_file_of_another_shape_does_no_harm(audited, name, text):
    assert audited({name: text, "good.py": "x.cuda()\n"}).findings


def test_vector_code_for_one_processor_is_told_apart(audited):
    source = "#ifdef __AVX512F__\nx = _mm512_add_ps(a, b);\n#endif\ny = _mm256_add_ps(a, b);\n"
    report = audited({"simd.h": source})
    assert {f.line: f.severity for f in report.findings} == {2: "low", 4: "medium"}
