"""The counts against transformers, which builds every model on the meta device from the same configuration.

Runs only where the extra ``trace`` (torch, transformers) is installed.
"""

import warnings

import pytest

from wafer2token.catalog import get
from wafer2token.workload import from_config, model, parameters
from wafer2token.workload.families import FAMILIES

pytestmark = pytest.mark.oracle
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

# cards whose model_type transformers builds by itself, without code from elsewhere
NATIVE = [
    "bloom_7b1",
    "deepseek_v2",
    "deepseek_v2_lite",
    "deepseek_v3",
    "deepseek_v4_flash",
    "deepseek_v4_pro",
    "ernie_4_5_21b_a3b",
    "ernie_4_5_300b_a47b",
    "falcon_180b",
    "falcon_40b",
    "gemma_2_27b",
    "gemma_3_27b",
    "gemma_4_26b_a4b",
    "gemma_4_31b",
    "glm_4_5",
    "glm_4_5_air",
    "gpt3_175b",
    "gpt_j_6b",
    "gpt_neox_20b",
    "gpt_oss_120b",
    "gpt_oss_20b",
    "hunyuan_a13b",
    "hy3_295b_a21b",
    "llama_2_70b",
    "llama_3_1_405b",
    "llama_3_1_8b",
    "llama_3_2_1b",
    "llama_4_maverick",
    "llama_4_scout",
    "mimo_v2_flash",
    "minimax_m2",
    "mistral_7b",
    "mixtral_8x22b",
    "mixtral_8x7b",
    "nemotron_3_nano_30b_a3b",
    "nemotron_3_super_120b_a12b",
    "nemotron_4_340b",
    "nemotron_h_56b",
    "olmo_7b",
    "opt_175b",
    "phi_4",
    "pythia_6_9b",
    "qwen2_5_72b",
    "qwen2_5_7b",
    "qwen3_235b_a22b",
    "qwen3_30b_a3b",
    "qwen3_32b",
    "qwen3_8b",
    "qwen3_next_80b_a3b",
]


def built(config):
    """The number of parameters of the model that transformers builds."""
    keys = {key: value for key, value in config.items() if key != "model_type"}
    if "kv_lora_rank" in keys:
        keys.setdefault("q_lora_rank", None)  # TOML has no null; the published file says null
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        settings = transformers.AutoConfig.for_model(config["model_type"], **keys)
        with torch.device("meta"):
            network = transformers.AutoModelForCausalLM.from_config(settings)
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("name", NATIVE)
def test_count_is_that_of_transformers(name):
    expected = built(get("model", name).config)
    assert parameters(model(name)).total == expected


# their default configurations cannot be built as they stand; cards above cover them
# (step3p5 has no causal model of its own there; longcat_flash holds unused weights for experts that do nothing;
# the default gemma4_text has embeddings in every layer)
UNBUILDABLE = {"nemotron", "deepseek_v2", "glm4_moe", "dots1", "hunyuan_v1_dense", "hunyuan_v1_moe"}
UNBUILDABLE |= {"step3p5", "longcat_flash", "gemma4_text"}


@pytest.mark.parametrize("model_type", sorted(set(FAMILIES) - UNBUILDABLE))
def test_every_family_counts_like_transformers(model_type):
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if model_type not in CONFIG_MAPPING:
        pytest.skip("not an architecture of transformers itself")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        settings = CONFIG_MAPPING[model_type]()
        with torch.device("meta"):
            network = transformers.AutoModelForCausalLM.from_config(settings)
    expected = sum(p.numel() for p in network.parameters())
    # what transformers writes today: the new spellings (dtype, rope_parameters, layer_types)
    assert parameters(from_config(settings.to_dict())).total == expected
