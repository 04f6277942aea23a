"""Routing drawn as a distribution: what uneven experts cost, and what a balancer wins back, beside what was published.

    python benchmarks/serve_experts.py
"""

from __future__ import annotations

from wafer2token.serve import Plan, steady_state
from wafer2token.serve.routing import imbalance, usual_routing

CASES = {
    "CloudMatrix 384, 910C": ("cloudmatrix384", "int8", 320, 64, "prefill: 5,655 default, 6,688 perfect balance"),
    "H100 (SGLang, 96 GPUs)": ("h100_sxm", "fp8", 72, 32, "prefill: 6,288 default, 7,417 perfect; balancer 1.49x prefill, 2.54x decode"),
}


def rates(on: str, weights: str, ep: int, redundant: int, balance: str) -> tuple[float, float]:
    """(prefill, decode) tokens per second and chip of DeepSeek-R1, 4,096 tokens in and 1,024 out at 50 ms per token."""
    plan = Plan(dp=ep, ep=ep, drafts=1, accepted=0.7, weights=weights, activations=weights, kv="bf16", expert_balance=balance,
                redundant_experts=redundant if balance == "eplb" else 0, max_num_seqs=ep * 256)  # fmt: skip
    made = steady_state("deepseek_v3", on, 4096, 1024, 0.05, plan=plan)
    return float(made.prefill_tokens_per_s_per_chip[0]), float(made.decode_tokens_per_s_per_chip[0])


def main() -> None:
    """Print the busiest rank by tokens of a step, then what it does to prefill and decoding."""
    print("busiest rank over the mean of 256 experts, top 8: mean of layers and steps (p10 to p90)")
    for ep, redundant, prompts in ((32, 32, True), (72, 32, False), (320, 64, False)):
        for name, routing in (("in order", usual_routing(False)), (f"balanced, {redundant} redundant", usual_routing(True, redundant, prompts))):
            made = imbalance(routing, 256, 8, ep)
            shown = ", ".join(f"{t:,} tokens {made.mean[k]:.2f} ({made.p10[k]:.2f} to {made.p90[k]:.2f})" for k, t in ((4, 256), (6, 4096), (8, 65536)))
            print(f"  EP{ep:<3} {name:25} {shown}; hottest expert {made.hottest_expert:.0f}x")
    for name, (on, weights, ep, redundant, published) in CASES.items():
        print(f"{name}; published {published}")
        even = rates(on, weights, ep, 0, "given")
        for balance in ("given", "eplb", "none"):
            prefill, decode = rates(on, weights, ep, redundant, balance)
            label = {"given": "even", "eplb": f"balanced, {redundant} redundant", "none": "in order"}[balance]
            print(f"  {label:25} prefill {prefill:7,.0f} ({prefill / even[0]:4.0%})   decode EP{ep} {decode:7,.0f} ({decode / even[1]:4.0%})")


if __name__ == "__main__":
    main()
