"""Reading a Hugging Face ``config.json``: old and new spellings in, one ``ModelShape`` out, all problems at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from wafer2token.evidence.errors import InputError, Problem, nearest
from wafer2token.workload.families import FAMILIES, SAME_AS, SPELLINGS, Family, supported
from wafer2token.workload.hybrids import TRANSLATIONS, translated
from wafer2token.workload.shape import DENSE, FULL, LINEAR, NONE, SLIDING, SPARSE, ModelShape, Overrides

MOST_LAYERS = 10_000  # a guard against typing errors: each layer is kept as a word

_LAYER_WORDS = {
    "full_attention": FULL,
    "attention": FULL,
    "global": FULL,
    "sliding_attention": SLIDING,
    "chunked_attention": SLIDING,
    "local": SLIDING,
    "linear_attention": LINEAR,
    "indexed_attention": FULL,
    "deepseek_sparse_attention": FULL,
    NONE: NONE,
}
_MLP_WORDS = {DENSE: DENSE, SPARSE: SPARSE, NONE: NONE, "moe": SPARSE, "hash_moe": SPARSE}
# fields of a shape that some configurations give under the same name
_PLAIN = (
    "moe_latent_size",
    "zero_experts",
    "o_groups",
    "o_lora_rank",
    "hc_mult",
    "norms_per_layer",
)


def read_config(path: str | Path) -> ModelShape:
    """The shape in a local ``config.json``, or in a folder that holds one.

    Raises InputError with every problem: no file, broken JSON (line and column), unknown ``model_type``
    (with the supported ones), missing, negative or contradictory values.
    """
    file = Path(path)
    if file.is_dir():
        file = file / "config.json"
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            Problem(f"cannot read: {error}", str(path), remedy="give a config.json, or a folder that holds one")
        ) from None
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"{file}:{error.lineno}:{error.colno}"
        raise InputError(Problem(f"broken JSON: {error.msg}", where, remedy="mend the file")) from None
    if not isinstance(raw, dict):
        raise InputError(Problem("a configuration is a JSON object", str(file), got=type(raw).__name__))
    return from_config(raw, id=file.parent.name or "config", where=str(file))


def from_config(raw: Mapping[str, Any], id: str = "config", where: str = "config") -> ModelShape:
    """The shape that a configuration describes; ``where`` names it in messages. Raises InputError."""
    values, place = _text_part(raw, where)
    family, model_type = _family(values, raw, place)
    values = translated(model_type, {**family.defaults, **values}, MOST_LAYERS)
    read = _Reader(values, place)
    common = _common(read, family)
    words = _layer_words(read, family, common["num_hidden_layers"])
    routed = SPARSE in words["mlp_layer_types"] or model_type not in TRANSLATIONS
    experts = _experts(read, family) if routed else {}
    latent = _latent(read, family)
    parts = _parts(read, family, model_type, common)
    _check(read, common, experts, latent)
    read.stop()
    merged = {**common, **experts, **latent, **words, **parts}
    known = {f.name for f in fields(ModelShape)}
    return ModelShape(id=id, model_type=model_type, **{k: v for k, v in merged.items() if k in known})


def _text_part(raw: Mapping[str, Any], where: str) -> tuple[dict[str, Any], str]:
    """The language part of a configuration; a multimodal one nests it."""
    for key in ("text_config", "llm_config", "language_config"):
        if isinstance(raw.get(key), Mapping):
            outer = {k: raw[k] for k in ("tie_word_embeddings", "torch_dtype", "dtype") if k in raw}
            return {**outer, **raw[key]}, f"{where} $.{key}"
    return dict(raw), f"{where} $"


def _family(values: Mapping[str, Any], raw: Mapping[str, Any], place: str) -> tuple[Family, str]:
    given = values.get("model_type", raw.get("model_type"))
    if not isinstance(given, str):
        raise InputError(Problem("no model_type", f"{place}.model_type", got=given, allowed=", ".join(supported())))
    name = SAME_AS.get(given, given)
    if name not in FAMILIES:
        close = nearest(given, supported())
        remedy = f"did you mean {', '.join(close)}? " if close else ""
        remedy += "an architecture is never guessed; describe it with the keys of a supported one"
        raise InputError(Problem("unknown model_type", f"{place}.model_type", given, ", ".join(supported()), remedy))
    return FAMILIES[name], name


@dataclass
class _Reader:
    """Looks keys up under all their spellings and collects what is wrong."""

    values: Mapping[str, Any]
    place: str
    problems: list[Problem] = field(default_factory=list)

    def spelled(self, key: str) -> str:
        """The spelling present in the file, or the canonical one."""
        for name in SPELLINGS.get(key, (key,)):
            if self.values.get(name) is not None:
                return name
        return key

    def fault(self, key: str, what: str, got: object = None, allowed: str = "", remedy: str = "") -> None:
        """Note one problem."""
        self.problems.append(Problem(what, f"{self.place}.{self.spelled(key)}", got, allowed, remedy))

    def count(self, key: str, default: int | None = None, least: int = 0) -> int:
        """A whole number; without a default it must be there and be positive."""
        value = self.values.get(self.spelled(key))
        if value is None:
            if default is None:
                names = " or ".join(SPELLINGS.get(key, (key,)))
                self.fault(key, "missing", remedy=f"give {names}")
                return 0
            return default
        least = 1 if default is None else least
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self.fault(key, "not a usable count", value, f"a whole number >= {least}")
            return 0
        return value

    def flag(self, key: str, default: bool) -> bool:
        """A truth value."""
        value = self.values.get(self.spelled(key), default)
        if not isinstance(value, bool):
            self.fault(key, "not a truth value", value, "true or false")
            return default
        return value

    def table(self, key: str) -> Mapping[str, Any]:
        """A nested object; empty when absent."""
        value = self.values.get(key) or {}
        if not isinstance(value, Mapping):
            self.fault(key, "not an object", value, "keys and values")
            return {}
        return value

    def indices(self, key: str) -> set[int]:
        """A list of layer numbers; empty when absent."""
        value = self.values.get(key) or []
        if not isinstance(value, list) or not all(isinstance(i, int) for i in value):
            self.fault(key, "not a list of layer numbers", value)
            return set()
        return set(value)

    def stop(self) -> None:
        """Raise InputError if anything is wrong."""
        if self.problems:
            raise InputError(self.problems)


def _common(read: _Reader, family: Family) -> dict[str, Any]:
    hidden = read.count("hidden_size")
    heads = read.count("num_attention_heads")
    kv_heads = _kv_heads(read, heads)
    head_dim = read.count("head_dim", default=0)
    if not head_dim and heads and hidden:
        head_dim, rest = divmod(hidden, heads)
        if rest and not family.mla:
            read.fault(
                "hidden_size",
                "not divisible by num_attention_heads, and no head_dim is given",
                hidden,
                f"a multiple of {heads}",
            )
    return {
        "hidden_size": hidden,
        "num_hidden_layers": _layer_count(read),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "vocab_size": read.count("vocab_size"),
        "intermediate_size": _dense_width(read, family, hidden),
        "max_position_embeddings": read.count("max_position_embeddings", default=0),
        "tie_word_embeddings": read.flag("tie_word_embeddings", default=False),
        "dtype": str(read.values.get(read.spelled("dtype")) or "bfloat16").removeprefix("torch."),
        "num_nextn_predict_layers": read.count("num_nextn_predict_layers", default=0),
    }


def _layer_count(read: _Reader) -> int:
    count = read.count("num_hidden_layers")
    if count > MOST_LAYERS:
        read.fault("num_hidden_layers", "not a usable count", count, f"at most {MOST_LAYERS:,}")
        return 0
    return count


def _kv_heads(read: _Reader, heads: int) -> int:
    if read.values.get("multi_query") is True and not read.values.get("new_decoder_architecture"):
        return 1
    if read.values.get("multi_query_attention") is False:
        return heads
    given = read.count("num_key_value_heads", default=heads, least=1)
    if given and heads and heads % given:
        read.fault("num_key_value_heads", "does not divide num_attention_heads", given, f"a divisor of {heads}")
    return given


def _dense_width(read: _Reader, family: Family, hidden: int) -> int:
    if family.dense_width_key != "intermediate_size" and read.values.get(family.dense_width_key) is not None:
        return read.count(family.dense_width_key)
    if "expansion_ratio" in read.values:
        return read.count("expansion_ratio") * hidden
    width = read.count("intermediate_size", default=family.mlp_width * hidden, least=1)
    has_dense = not family.moe or read.count("first_k_dense_replace", default=0) > 0
    if not width and has_dense:
        read.fault("intermediate_size", "missing", remedy=f"give {' or '.join(SPELLINGS['intermediate_size'])}")
    return width


def _experts(read: _Reader, family: Family) -> dict[str, int]:
    if not family.moe:
        return {}
    experts = read.count("n_routed_experts")
    per_token = read.count("num_experts_per_tok")
    if experts and per_token > experts:
        read.fault("num_experts_per_tok", "more experts per token than there are", per_token, f"1..{experts}")
    width = read.count(family.expert_width_key)
    shared = read.count("n_shared_experts", default=0)
    shared_width = read.count("shared_expert_intermediate_size", default=shared * width)
    if family.expert_width_key == "intermediate_size" and family.dense_width_key != "intermediate_size":
        shared, shared_width = 1, width
    return {
        "n_routed_experts": experts,
        "num_experts_per_tok": per_token,
        "moe_intermediate_size": width,
        "n_shared_experts": shared or int(shared_width > 0),
        "shared_expert_intermediate_size": shared_width,
    }


def _latent(read: _Reader, family: Family) -> dict[str, int]:
    plain = {key: read.count(key, default=0) for key in _PLAIN if read.values.get(key) is not None}
    if family.index:
        plain |= {key: read.count(key, default=0) for key in ("index_n_heads", "index_head_dim", "index_topk")}
    if not family.mla and ("o_groups" in plain or read.values.get("share_q_dim")):
        plain["q_lora_rank"] = read.count("q_lora_rank")
    if not family.mla:
        return plain | ({"v_head_dim": read.count("v_head_dim")} if family.narrow_values else {})
    return plain | {
        "q_lora_rank": read.count("q_lora_rank", default=0),
        "kv_lora_rank": read.count("kv_lora_rank"),
        "qk_nope_head_dim": read.count("qk_nope_head_dim"),
        "qk_rope_head_dim": read.count("qk_rope_head_dim"),
        "v_head_dim": read.count("v_head_dim"),
        "index_n_heads": read.count("index_n_heads", default=0),
        "index_head_dim": read.count("index_head_dim", default=0),
        "index_topk": read.count("index_topk", default=0),
    }


def _layer_words(read: _Reader, family: Family, count: int) -> dict[str, Any]:
    attention = _attention_words(read, family, count)
    out: dict[str, Any] = {"layer_types": attention, "mlp_layer_types": _mlp_words(read, family, count)}
    if SLIDING in attention:
        out["sliding_window"] = read.count("sliding_window")
    out["layer_overrides"] = _overrides(read, count)
    if LINEAR in attention:
        for key in ("num_key_heads", "num_value_heads", "key_head_dim", "value_head_dim", "conv_kernel_dim"):
            out[f"linear_{key}"] = read.count(f"linear_{key}")
    return out


def _overrides(read: _Reader, count: int) -> tuple[Overrides, ...]:
    """What single layers set otherwise; empty where no layer does."""
    rows = read.values.get("layer_overrides") or []
    if not any(rows):
        return ()
    if len(rows) != count:
        read.fault("layer_types", "not one word per layer", len(rows), f"{count} words")
        return ()
    wrong = sorted({k for row in rows for k, v in row.items() if not isinstance(v, int) or v < 0})
    for key in wrong:
        read.fault(key, "not a usable count in some layer", remedy="whole numbers")
    return () if wrong else tuple(tuple(sorted(row.items())) for row in rows)


def _attention_words(read: _Reader, family: Family, count: int) -> tuple[str, ...]:
    given = read.values.get("layer_types")
    if isinstance(given, list) and given:
        unknown = sorted({str(w) for w in given} - set(_LAYER_WORDS))
        if unknown:
            read.fault("layer_types", "unknown kind of layer", unknown, ", ".join(_LAYER_WORDS))
            return ()
        if len(given) != count:
            read.fault("layer_types", "not one word per layer", len(given), f"{count} words")
            return ()
        return tuple(_LAYER_WORDS[w] for w in given)
    if family.window_default == "linear":
        period = read.count("full_attention_interval", default=4, least=1) or 1
        return tuple(FULL if (i + 1) % period == 0 else LINEAR for i in range(count))
    windowed = read.values.get(read.spelled("sliding_window")) is not None
    if not windowed or read.values.get("use_sliding_window") is False or family.window_default == "none":
        return (FULL,) * count
    if family.window_default == "alternate":
        return tuple(FULL if i % 2 else SLIDING for i in range(count))
    if family.window_default.startswith("last_full:"):
        period = int(family.window_default.partition(":")[2])
        return tuple(FULL if (i + 1) % period == 0 else SLIDING for i in range(count))
    return (SLIDING,) * count


def _mlp_words(read: _Reader, family: Family, count: int) -> tuple[str, ...]:
    if not family.moe and "layer_overrides" not in read.values:
        return (DENSE,) * count
    given = read.values.get("mlp_layer_types")
    if isinstance(given, list) and len(given) == count and all(word in _MLP_WORDS for word in given):
        return tuple(_MLP_WORDS[word] for word in given)
    dense = read.indices("mlp_only_layers")
    dense |= set(range(min(read.count("first_k_dense_replace", default=0), count)))
    explicit = read.values.get(read.spelled("moe_layer_freq"))
    if isinstance(explicit, list) and len(explicit) == count:
        dense |= {i for i, sparse in enumerate(explicit) if not sparse}
        step = 1
    else:
        step = read.count("moe_layer_freq", default=1, least=1) or 1
    late = read.spelled("moe_layer_freq") != "moe_layer_freq"
    return tuple(DENSE if i in dense or (i + late) % step else SPARSE for i in range(count))


def _check(read: _Reader, common: Mapping[str, Any], experts: Mapping[str, int], latent: Mapping[str, int]) -> None:
    """Values that contradict each other."""
    dense_first = read.count("first_k_dense_replace", default=0)
    if dense_first > common["num_hidden_layers"] > 0:
        read.fault("first_k_dense_replace", "more dense layers than layers", dense_first)
    if read.values.get("hidden_size_per_layer_input"):
        remedy = "embeddings of every layer are not known; describe the model without them or use another one"
        read.fault("hidden_size_per_layer_input", "not known", read.values["hidden_size_per_layer_input"], "0", remedy)
    index = [latent.get(k, 0) for k in ("index_n_heads", "index_head_dim", "index_topk")]
    if any(index) and not all(index):
        read.fault("index_topk", "a sparse index needs index_n_heads, index_head_dim and index_topk", index)


def _parts(read: _Reader, family: Family, model_type: str, common: Mapping[str, Any]) -> dict[str, Any]:
    """The small parts of an architecture, as far as the configuration may switch them."""
    parts = dict(family.parts)
    values = read.values
    for key, names in family.switches.items():
        if values.get(key) is not None:
            parts |= dict.fromkeys(names, read.flag(key, default=False))
    for key in ("attn_output_gate", "latent_output_gate"):
        if isinstance(values.get(key), bool):
            parts[key] = values[key]
    if model_type == "falcon":
        parts["norms_per_layer"] = 2 if values.get("new_decoder_architecture") else 1
    if model_type == "mpt" and values.get("no_bias") is False:
        parts |= dict.fromkeys(("qkv_bias", "o_bias", "mlp_bias", "norm_bias"), True)
    positions = common["max_position_embeddings"]
    if model_type == "mpt" and not read.table("attn_config").get("alibi", values.get("alibi", False)):
        parts["learned_positions"] = positions
    elif parts.get("learned_positions"):
        parts["learned_positions"] = positions + (2 if model_type == "opt" else 0)
    return parts
