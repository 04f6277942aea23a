"""Parameter counts against published totals, and their inner consistency."""

import subprocess
import sys

import pytest

from wafer2token.catalog import get, ids
from wafer2token.workload import layer_parameters, layers, model, parameters, with_layers

CARDS = ids("model")


def outside(number, value):
    """Relative distance of a value from a published range; 0 inside it."""
    return max(number.low / value - 1, value / number.high - 1, 0)


@pytest.mark.parametrize("name", CARDS)
def test_total_within_one_percent_of_published(name):
    card = get("model", name)
    assert card.total_parameters is not None
    assert outside(card.total_parameters, parameters(model(name)).total) < 0.01


@pytest.mark.parametrize("name", [i for i in CARDS if get("model", i).active_parameters])
def test_active_within_one_percent_of_published(name):
    card, shape = get("model", name), model(name)
    count = parameters(shape)
    untied = 0 if shape.tie_word_embeddings else count.embedding
    active = count.active + {"layers": -count.embedding, "layers_and_head": 0, "all": untied}[card.active_counts]
    assert outside(card.active_parameters, active) < 0.01


@pytest.mark.parametrize("name", CARDS)
def test_parts_sum_to_the_whole(name):
    shape = model(name)
    p = parameters(shape)
    parts = p.attention + p.mlp_dense + p.experts + p.shared_expert + p.router + p.norm + p.bias
    assert p.total == parts + p.embedding + p.positions + p.head
    assert len(p.per_layer) == shape.num_hidden_layers
    assert sum(p.per_layer) == sum(layer_parameters(shape, kind).total * n for kind, n in layers(shape))
    assert p.multiplied <= p.active <= p.total


def test_every_layer_more_adds_one_layer():
    for name in ("llama_3_1_8b", "deepseek_v3", "gpt_oss_120b", "qwen3_next_80b_a3b"):
        shape = model(name)
        n = shape.num_hidden_layers
        grown = with_layers(shape, n + 1)
        kind = layers(grown)[-1][0] if len(layers(grown)) == 1 else None
        step = parameters(grown).total - parameters(shape).total
        assert step in {layer_parameters(shape, k).total for k, _ in layers(shape)}
        assert kind is None or step == layer_parameters(shape, kind).total
        assert with_layers(grown, n).layer_types == shape.layer_types


def test_known_exact_totals():
    # counts that model pages print to the last digit
    assert parameters(model("llama_3_1_8b")).total == 8_030_261_248
    assert parameters(model("llama_3_1_70b")).total == 70_553_706_496
    assert parameters(model("mistral_7b")).total == 7_241_732_096
    assert parameters(model("mixtral_8x7b")).total == 46_702_792_704
    assert parameters(model("gpt_j_6b")).total == 6_050_882_784


def test_summary_derives_counts_without_numpy():
    script = (
        "import sys; from wafer2token.workload import model, summary; s = summary(model('llama_3_1_405b'));"
        "print(s.total_parameters, s.kv_bytes_per_token_bf16, s.layers, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["405853388800", "516096", "{'gqa+dense':", "126}", "False"]
