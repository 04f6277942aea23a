"""The page of a training answer: the pipeline as a chart with its data, and honest words about what is drawn."""

import json
import re
from dataclasses import replace

import pytest

from wafer2token.report.train_page import train_page
from wafer2token.train import train
from wafer2token.train.plan import SCHEDULES


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


def test_a_schedule_that_is_not_played_is_named(answer):
    best = answer.best[0]
    folded = replace(best, plan=replace(best.plan, schedule=SCHEDULES.index("dualpipe"), vpp=1))
    html = train_page(replace(answer, best=(folded,)))
    assert "dualpipe has no played timeline here; 1f1b is drawn" in html


def test_no_price_and_no_pipeline():
    alone = train("llama_3_1_8b", "ascend_950dt", 64, 1e12, "tp=1,zero=3", 50, assume=True, global_batch=512)
    html = train_page(alone)
    assert chart(html)["yAxis"]["data"] == ["stage 0"]
    assert (
        "nan" not in re.sub(r"<script.*?</script>", "", html, flags=re.S).lower().split("the best plan in numbers")[-1]
    )
