"""The command that starts an engine with a plan, so that an answer can be tried."""

from __future__ import annotations

from wafer2token.catalog import get
from wafer2token.evidence.errors import InputError

from .plan import Plan

_VLLM_KV = ("fp8", "int8")


def launch_command(model_id: str, stack: str, plan: Plan, role: str = "both") -> str:
    """A shell command for vLLM, vllm-ascend, SGLang or TensorRT-LLM that runs one instance of ``plan``.

    ``role`` "prefill" or "decode" adds the engine's own option for a disaggregated instance.
    """
    name = hub_name(model_id)
    if stack.startswith("sglang"):
        return " ".join(_sglang(name, plan, role, stack))
    if stack == "trtllm":
        return " ".join(_trtllm(name, plan))
    return " ".join(_vllm(name, plan, role, stack))


def hub_name(model_id: str) -> str:
    """The name on the Hugging Face hub of a model card, else the id itself."""
    try:
        card = get("model", model_id)
    except InputError:
        return model_id
    return next((a for a in card.aliases if "/" in a), model_id)


def _vllm(name: str, plan: Plan, role: str, stack: str) -> list[str]:
    ascend, balanced = stack == "vllm-ascend", plan.expert_balance == "eplb"
    out = ["DYNAMIC_EPLB=true"] * (ascend and balanced) + ["vllm serve", name, f"--tensor-parallel-size {plan.tp}"]
    out += [f"--pipeline-parallel-size {plan.pp}"] * (plan.pp > 1) + [f"--data-parallel-size {plan.dp}"] * (plan.dp > 1)
    out += ["--enable-expert-parallel"] * (plan.ep > 1)
    out += [f"--max-num-seqs {plan.max_num_seqs}"]
    out += [f"--max-num-batched-tokens {plan.max_num_batched_tokens}"]
    out += [f"--gpu-memory-utilization {plan.memory_utilisation:g}"]
    out += [f"--kv-cache-dtype {plan.kv}"] * (plan.kv in _VLLM_KV)
    spare = f'"num_redundant_experts": {plan.redundant_experts}'
    if balanced:
        out.append(f"--additional-config '{{\"eplb_config\": {{\"dynamic_eplb\": true, {spare}}}}}'" if ascend else f"--enable-eplb --eplb-config '{{{spare}}}'")
    if ascend:
        out += ["--quantization ascend"] * (plan.weights in ("int8", "int4"))
    else:
        out += ["--quantization fp8"] * (plan.weights == "fp8")
    if plan.drafts:
        out.append(f"--speculative-config '{{\"method\": \"mtp\", \"num_speculative_tokens\": {plan.drafts}}}'")
    out += ["--enforce-eager"] * (not plan.graph)
    if role != "both":
        kv_role = "kv_producer" if role == "prefill" else "kv_consumer"
        connector = "MooncakeConnectorV1" if ascend else "NixlConnector"
        out.append(f"--kv-transfer-config '{{\"kv_connector\": \"{connector}\", \"kv_role\": \"{kv_role}\"}}'")
    return out


def _sglang(name: str, plan: Plan, role: str, stack: str) -> list[str]:
    ranks = plan.tp * plan.dp
    out = ["python3 -m sglang.launch_server --model-path", name, f"--tp-size {ranks}"]
    out += [f"--dp-size {plan.dp} --enable-dp-attention"] * (plan.dp > 1) + [f"--pp-size {plan.pp}"] * (plan.pp > 1)
    out += [f"--ep-size {plan.ep}"] * (plan.ep > 1)
    out += [f"--max-running-requests {plan.max_num_seqs * plan.dp}", f"--chunked-prefill-size {plan.max_num_batched_tokens * plan.dp}"]
    out += [f"--mem-fraction-static {plan.memory_utilisation:g}"]
    out += ["--kv-cache-dtype fp8_e4m3"] * (plan.kv == "fp8")
    out += ["--enable-two-batch-overlap"] * plan.overlap + ["--disable-cuda-graph"] * (not plan.graph)
    if plan.drafts:
        out.append(f"--speculative-algorithm NEXTN --speculative-num-steps {plan.drafts} --speculative-num-draft-tokens {plan.drafts + 1}")
    if plan.expert_balance == "eplb":
        out.append(f"--enable-eplb --ep-num-redundant-experts {plan.redundant_experts}")
    out += ["--device npu"] * stack.endswith("ascend") + [f"--disaggregation-mode {role}"] * (role != "both")
    return out


def _trtllm(name: str, plan: Plan) -> list[str]:
    out = ["trtllm-serve", name, f"--tp_size {plan.tp * plan.dp}"]
    out += [f"--pp_size {plan.pp}"] * (plan.pp > 1) + [f"--ep_size {plan.ep}"] * (plan.ep > 1)
    out += [f"--max_batch_size {plan.max_num_seqs}", f"--max_num_tokens {plan.max_num_batched_tokens}"]
    return [*out, f"--kv_cache_free_gpu_memory_fraction {plan.memory_utilisation:g}"]
