"""What training does not model is refused, not priced as something else."""

import pytest

from wafer2token.evidence.errors import EvidenceError
from wafer2token.train import train


def test_linear_attention_is_refused():
    with pytest.raises(EvidenceError, match="linear attention"):
        train("qwen3_next_80b_a3b", "h100_sxm", 64, 1e12, samples=None)
