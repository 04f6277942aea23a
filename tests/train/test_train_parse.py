import pytest

from wafer2token.evidence.errors import InputError
from wafer2token.train.parse import complete, parse_plan
from wafer2token.train.plan import RECOMPUTE, SCHEDULES


@pytest.mark.parametrize(
    "text",
    [
        "tp=8,pp=16,cp=2,mbs=1,zero=1,recompute=full",
        "--tensor-model-parallel-size 8 --pipeline-model-parallel-size 16 --context-parallel-size 2 --micro-batch-size 1 --use-distributed-optimizer --recompute-granularity full",
        "tensor_parallel_size=8 pipeline_parallel_size=16 context_parallel_size=2 train_micro_batch_size_per_gpu=1 zero_stage=1 recompute=full",
        "model_parallel=8,pipeline_stage=16,context_parallel=2,micro_batch_size=1,zero=1,recompute=full",
    ],
)
def test_spellings_agree(text):
    assert parse_plan(text) == {
        "tp": 8,
        "pp": 16,
        "cp": 2,
        "micro_batch": 1,
        "zero": 1,
        "recompute": RECOMPUTE.index("full"),
    }


def test_every_problem_at_once():
    with pytest.raises(InputError) as caught:
        parse_plan("tq=8,pp=zero,recompute=some")
    assert len(caught.value.problems) == 3


def test_complete_divides():
    plan = complete(parse_plan("tp=8,pp=4,vpp=2"), 512, 256)
    assert (plan.dp, plan.micro_batches, SCHEDULES[plan.schedule]) == (16, 16, "interleaved")
    with pytest.raises(InputError, match="does not divide the global batch"):
        complete(parse_plan("tp=8,pp=4"), 512, 250)
    with pytest.raises(InputError, match="ranks"):
        complete(parse_plan("tp=8,pp=3"), 512, 256)
