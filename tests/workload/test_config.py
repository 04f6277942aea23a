"""Reading config.json: old and new spellings, nested text parts, and every way of being broken."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wafer2token.catalog import get, ids
from wafer2token.evidence.errors import InputError
from wafer2token.workload import from_config, model, parameters, read_config, supported

BROKEN = Path(__file__).parents[1] / "data" / "broken" / "config"

LLAMA = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "torch_dtype": "bfloat16",
}


def problems(call):
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.exit_code == 2
    return caught.value.problems


def test_file_folder_and_card_give_the_same_shape(tmp_path):
    folder = tmp_path / "my-llama"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA))
    by_file, by_folder = model(folder / "config.json"), model(str(folder))
    assert by_file == by_folder
    assert by_file.id == "my-llama"
    assert parameters(by_file).total == parameters(model("llama_3_1_8b")).total


def test_old_and_new_spellings_agree():
    new = {**LLAMA, "dtype": "bfloat16", "rope_parameters": {"rope_theta": 500000.0}}
    del new["torch_dtype"]
    assert from_config({**LLAMA, "rope_theta": 500000.0}) == from_config(new)
    experts = {"model_type": "qwen3_moe", "moe_intermediate_size": 768, "num_experts_per_tok": 8}
    shapes = {
        from_config({**LLAMA, **experts, key: 128}) for key in ("num_experts", "n_routed_experts", "num_local_experts")
    }
    assert len(shapes) == 1


def test_nested_text_part_is_found():
    nested = {"model_type": "qwen3_5_moe", "vision_config": {"hidden_size": 1}, "tie_word_embeddings": False}
    text = get("model", "qwen3_5_397b_a17b").config
    assert from_config({**nested, "text_config": text}, id="x") == from_config(text, id="x")


@pytest.mark.parametrize("name", ids("model"))
def test_every_id_and_alias_resolves(name):
    card = get("model", name)
    assert {model(alias).id for alias in (card.id, card.name, *card.aliases)} == {card.id}


def test_names_that_people_use():
    assert model("deepseek-ai/DeepSeek-V3").id == model("DeepSeek-R1").id == "deepseek_v3"
    assert model("moonshotai/Kimi-K2-Instruct").attention == "mla"
    assert model("openai/gpt-oss-120b").layer_types[:2] == ("sliding_attention", "full_attention")
    assert model("Qwen/Qwen3-235B-A22B").is_moe


@pytest.mark.parametrize(
    ("name", "card"),
    [
        ("Qwen3-235B-A22B-Instruct-2507-FP8", "qwen3_235b_a22b"),
        ("Qwen3.5-397B-A17B-w8a8-mtp", "qwen3_5_397b_a17b"),
        ("meta-llama/Llama-3.1-8B-Instruct-FP8", "llama_3_1_8b"),
        ("deepseek-ai/DeepSeek-R1-0528-NVFP4", "deepseek_v3"),
        ("Mixtral-8x7B-Instruct-v0.1", "mixtral_8x7b"),
    ],
)
def test_a_variant_has_the_shape_of_its_base(name, card):
    assert model(name).id == card


def test_unknown_model_names_the_nearest():
    assert "llama_3_1_405b" in problems(lambda: model("llama_3_1_450b"))[0].remedy


def test_syntax_error_has_line_and_column():
    (problem,) = problems(lambda: read_config(BROKEN / "syntax.json"))
    assert problem.where.endswith("syntax.json:3:23")


@pytest.mark.parametrize("file", ["unknown_type.json", "no_type.json"])
def test_unknown_architecture_lists_the_supported(file):
    (problem,) = problems(lambda: read_config(BROKEN / file))
    assert "model_type" in problem.what
    assert all(name in problem.allowed for name in supported())


def test_unknown_architecture_names_the_nearest():
    assert "qwen3_moe" in problems(lambda: read_config(BROKEN / "unknown_type.json"))[0].remedy


def test_all_problems_at_once():
    found = problems(lambda: read_config(BROKEN / "many.json"))
    places = {p.where.rsplit(".", 1)[1] for p in found}
    assert places == {
        "hidden_size",
        "num_hidden_layers",
        "num_key_value_heads",
        "intermediate_size",
        "tie_word_embeddings",
        "vocab_size",
    }


def test_contradictions_between_keys():
    found = problems(lambda: read_config(BROKEN / "experts.json"))
    places = {p.where.rsplit(".", 1)[1] for p in found}
    assert places == {"num_experts_per_tok", "moe_intermediate_size", "first_k_dense_replace", "index_topk"}


def test_unknown_layer_type():
    assert "mamba" in str(problems(lambda: read_config(BROKEN / "layer_types.json"))[0])


@pytest.mark.parametrize("path", [BROKEN / "list.json", BROKEN / "absent.json", BROKEN])
def test_not_a_configuration(path):
    assert problems(lambda: read_config(path))


@pytest.mark.parametrize("value", [0, -1, 2.5, "8", True, [8]])
def test_a_count_is_a_positive_whole_number(value):
    (problem,) = problems(lambda: from_config({**LLAMA, "num_hidden_layers": value}))
    assert problem.got == value


def test_whole_floats_are_counts():
    assert from_config({**LLAMA, "num_hidden_layers": 32.0}).num_hidden_layers == 32


@pytest.mark.parametrize("value", [10**7, 1e18])
def test_more_dense_layers_than_layers_leave_no_layer_for_experts(value):
    config = {**get("model", "deepseek_v3").config, "first_k_dense_replace": value}
    assert problems(lambda: from_config(config))


def test_a_prediction_layer_of_an_all_linear_model_is_counted():
    config = dict(get("model", "qwen3_5_122b_a10b").config)
    assert parameters(from_config({**config, "full_attention_interval": 10**7})).total > 0


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 10**7), st.floats(), st.text(max_size=5), st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)  # fmt: skip


@given(name=st.sampled_from(ids("model")), data=st.data())
@settings(deadline=None, max_examples=300)
def test_a_damaged_configuration_is_read_or_refused_but_never_crashes(name, data):
    config = dict(get("model", name).config)
    for key in data.draw(st.lists(st.sampled_from(sorted(config)), min_size=1, max_size=4)):
        if data.draw(st.booleans()):
            config.pop(key, None)
        else:
            config[key] = data.draw(JUNK)
    extra = data.draw(
        st.sampled_from(["layer_types", "mlp_layer_types", "moe_layer_freq", "mlp_only_layers", "text_config"])
    )
    config[extra] = data.draw(JUNK)
    try:
        total = parameters(from_config(config)).total
    except InputError as error:
        total, refusals = None, error.problems
    assert total is None or total > 0
    assert total is not None or all(p.what and p.where for p in refusals)


def test_the_page_on_models_lists_every_architecture():
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    listed = page.partition("## Architectures")[2].partition("Where transformers")[0]
    assert set(re.findall(r"`([\w-]+)`", listed)) - {"model_type"} == set(supported())
