"""DeepSeek-R1 on CloudMatrix 384, beside what was published: expert balance, MTP, EP degree, cache reuse.

    python benchmarks/serve_cloudmatrix.py
"""

from __future__ import annotations

from wafer2token.serve import Plan, steady_state

BASE = {"weights": "int8", "activations": "int8", "kv": "int8", "max_num_seqs": 320 * 256}
PUBLISHED = {
    "decode, EP320, MTP": "1,943 tokens/s per chip at 49.4 ms",
    "prefill, even experts": "6,688 tokens/s per chip",
    "prefill, served balance": "5,655 tokens/s per chip",
    "MTP on / off": "+6% to +49%, falling with batch",
    "prefill, 50% / 90% of the prompt cached": "x1.42 / x2.28",
    "cached prompts over UB, against VPC": "x1.52",
}
UB, VPC = 151e9, 400e9 / 8 / 16
"""Links to the memory pool per die [B/s], published: reads of host memory over UB; 400 Gbit/s of VPC per node of 16 dies."""


def rates(ep: int = 320, drafts: int = 1, imbalance: float = 1.0, hit: float = 0.0, link: float = UB, kv: str = "int8") -> tuple[float, float]:
    """(prefill, decode) tokens per second and chip."""
    plan = Plan(dp=ep, ep=ep, drafts=drafts, accepted=0.7 * drafts, imbalance=imbalance, **{**BASE, "kv": kv})
    made = steady_state("deepseek_v3", "cloudmatrix384", 4096, 1024, 0.05, plan=plan, prefix_hit=hit, cache_link=link)
    return float(made.prefill_tokens_per_s_per_chip[0]), float(made.decode_tokens_per_s_per_chip[0])


def main() -> None:
    """Print model and publication side by side."""
    prefill, decode = rates()
    rows = {
        "decode, EP320, MTP": f"{decode:,.0f} tokens/s per chip at 50 ms",
        "prefill, even experts": f"{prefill:,.0f} tokens/s per chip",
        "prefill, served balance": f"{rates(imbalance=1.2)[0]:,.0f} tokens/s per chip",
        "MTP on / off": f"{decode / rates(drafts=0)[1] - 1:+.0%}",
        "prefill, 50% / 90% of the prompt cached": f"x{rates(hit=0.5)[0] / prefill:.2f} / x{rates(hit=0.9)[0] / prefill:.2f}",
        "cached prompts over UB, against VPC": f"x{rates(hit=0.9, kv='bf16')[0] / rates(hit=0.9, kv='bf16', link=VPC)[0]:.2f} (16-bit cache)",
    }
    for name, made in rows.items():
        print(f"{name:42} {made:36} published {PUBLISHED[name]}")
    for ep in (32, 64, 128, 256, 320):
        print(f"  EP{ep}: decode {rates(ep=ep)[1]:,.0f}")


if __name__ == "__main__":
    main()
