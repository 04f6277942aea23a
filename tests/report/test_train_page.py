"""The page of a training answer: the pipeline as a chart with its data, and honest words about what is drawn."""

import json
import re

import pytest

from wafer2token.report.train_page import train_page
from wafer2token.train import train


@pytest.fixture(scope="module")
def answer():
    return train("llama_3_1_70b", "dgx_h100", 512, 1e12, "tp=8,pp=4,vpp=2,mbs=1", 50, seq_len=8192, global_batch=512)


def chart(html):
    return json.loads(re.search(r'id="w2t-data">(.*?)</script>', html, re.S).group(1))["pipeline"]


def test_pipeline_has_a_track_per_stage_and_a_slice_per_pass(answer):
    option = chart(train_page(answer))
    assert option["yAxis"]["data"] == [f"stage {i}" for i in range(4)]
    drawn = {series["name"]: len(series["data"]) for series in option["series"]}
    assert drawn["forward"] == drawn["backward"] == answer.plan.micro_batches * 4 * answer.plan.vpp


def test_plans_memory_and_intervals_are_there(answer):
    html = train_page(answer)
    for anchor in ("plans", "pipeline", "answer", "memory", "frontier"):
        assert f'id="{anchor}"' in html, anchor
    assert train_page(answer) == html


def test_dualpipe_is_played_and_drawn():
    folded = train(
        "llama_3_1_70b", "dgx_h100", 64, 1e12, "tp=4,pp=4,schedule=dualpipe,recompute=full", 50, global_batch=64
    )
    html = train_page(folded)
    assert "Schedule dualpipe, played event by event" in html
    drawn = {series["name"]: len(series["data"]) for series in chart(html)["series"]}
    assert drawn["forward beside backward"] > drawn["weight gradient"] > 0


def test_no_price_and_no_pipeline():
    alone = train("llama_3_1_8b", "ascend_950dt", 64, 1e12, "tp=1,zero=3", 50, assume=True, global_batch=512)
    html = train_page(alone)
    assert chart(html)["yAxis"]["data"] == ["stage 0"]
    assert (
        "nan" not in re.sub(r"<script.*?</script>", "", html, flags=re.S).lower().split("the best plan in numbers")[-1]
    )
