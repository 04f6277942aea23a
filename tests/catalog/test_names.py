"""Chips, systems and models by the names that people use for them."""

import pytest

from wafer2token import catalog

CHIPS = {
    "910B": "ascend_910b3", "910B3": "ascend_910b3", "910C": "ascend_910c", "Ascend 910C": "ascend_910c", "H20": "h20", "H100": "h100_sxm",
    "H800": "h800_sxm", "H200": "h200_sxm", "A100": "a100_sxm_80", "B200": "b200_sxm", "GB200": "gb200",
}  # fmt: skip
SYSTEMS = {"CloudMatrix 384": "cloudmatrix384", "CM384": "cloudmatrix384", "NVL72": "gb200_nvl72", "GB200 NVL72": "gb200_nvl72"}
MODELS = {
    "meta-llama/Llama-3.1-405B": "llama_3_1_405b", "Qwen/Qwen2.5-72B": "qwen2_5_72b", "Qwen/Qwen3-235B-A22B": "qwen3_235b_a22b",
    "deepseek-ai/DeepSeek-V3": "deepseek_v3", "deepseek-ai/DeepSeek-R1": "deepseek_v3", "deepseek-ai/DeepSeek-V3.2": "deepseek_v3_2",
    "moonshotai/Kimi-K2-Instruct": "kimi_k2", "mistralai/Mixtral-8x7B-v0.1": "mixtral_8x7b", "openai/gpt-oss-120b": "gpt_oss_120b",
    "zai-org/GLM-4.5": "glm_4_5", "GPT-3 175B": "gpt3_175b", "Pangu Ultra 135B": "pangu_ultra_135b",
    "Pangu Pro MoE 72B": "pangu_pro_moe_72b", "Pangu Ultra MoE 718B": "pangu_ultra_moe_718b",
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name", "id"),
    [(kind, name, id) for kind, names in (("chip", CHIPS), ("system", SYSTEMS), ("model", MODELS)) for name, id in names.items()],
)
def test_a_name_in_use_finds_its_card(kind, name, id):
    assert catalog.get(kind, name).id == id


def test_what_is_contested_has_claimants_with_weights():
    for name in ("chip.ascend_910c.peak.bf16", "chip.ascend_910c.tdp", "quantity.ascend_units_2025.value"):
        claims = catalog.number(name).claims
        assert len({c.by for c in claims}) > 1, name
        assert sum(c.weight for c in claims) == pytest.approx(1)


def test_announced_and_shipped_are_apart():
    assert catalog.get("chip", "ascend_950pr").status == "shipped"
    assert catalog.get("chip", "ascend_950pr_announced").status == "announced"
    assert catalog.get("chip", "ascend_910d").status == "rumoured"
