"""Traces, objectives, plans and generated loads: what is read, and what is said when it is wrong."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wafer2token.evidence.errors import InputError
from wafer2token.serve.flags import parse_plan
from wafer2token.serve.plan import Plan, checked, rank_unit, ranks_per_chip
from wafer2token.serve.requests import gamma_arrivals, lengths, make, on_off_arrivals, poisson_arrivals, scaled
from wafer2token.serve.slo import parse_slo
from wafer2token.serve.traces import read_trace
from wafer2token.workload import model


def write(tmp_path, name, text):
    file = tmp_path / name
    file.write_text(text)
    return file


def test_azure(tmp_path):
    file = write(tmp_path, "a.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04.0319600,3180,8\n")
    requests = read_trace(file)
    assert list(requests.isl) == [4808, 3180]
    assert requests.arrival_s == pytest.approx([0.0, 0.052], abs=1e-6)


def test_mooncake_keeps_its_hashes(tmp_path):
    lines = [{"timestamp": 0, "input_length": 1100, "output_length": 5, "hash_ids": [0, 1, 2]}, {"timestamp": 1500, "input_length": 600, "output_length": 7, "hash_ids": [0, 9]}]
    requests = read_trace(write(tmp_path, "m.jsonl", "\n".join(map(json.dumps, lines))))
    assert requests.hash_tokens == 512
    assert list(requests.hash_start) == [0, 3, 5]
    assert requests.arrival_s[1] == 1.5


def test_burstgpt_leaves_failed_requests_out(tmp_path):
    text = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,472,18,490,x\n45,ChatGPT,1087,0,1087,x\n118,GPT-4,417,276,693,x\n"
    requests = read_trace(write(tmp_path, "b.csv", text))
    assert list(requests.osl) == [18, 276]


def test_aiperf_and_vllm(tmp_path):
    record = {"metadata": {"request_start_ns": 5_000_000_000}, "metrics": {"input_sequence_length": {"value": 10}, "output_sequence_length": {"value": 3}}}
    assert list(read_trace(write(tmp_path, "p.jsonl", json.dumps(record))).isl) == [10]
    assert list(read_trace(write(tmp_path, "v.jsonl", '{"prompt_len": 7, "output_len": 2}')).osl) == [2]


def test_malformed_lines_are_all_named(tmp_path):
    good = '{"timestamp": 0, "input_length": 10, "output_length": 5}'
    file = write(tmp_path, "bad.jsonl", f'{good}\n{{"timestamp": 1, "input_len\n{{"timestamp": 2, "input_length": -4, "output_length": 5}}\n{{"timestamp": 3}}\n')
    with pytest.raises(InputError) as caught:
        read_trace(file)
    assert [p.where for p in caught.value.problems] == ["bad.jsonl:2", "bad.jsonl:3", "bad.jsonl:4"]


@pytest.mark.parametrize("text", ["", "hello\n", "a,b,c\n1,2,3\n", "[1,2]\n"])
def test_unknown_formats_say_what_is_known(tmp_path, text):
    with pytest.raises(InputError, match="Azure 2023"):
        read_trace(write(tmp_path, "x.txt", text))


def test_slo():
    one, two = parse_slo("ttft=2s, p90_tpot=50ms")
    assert (one.metric, one.limit_s, one.statistic) == ("ttft", 2.0, "p99")
    assert (two.metric, two.limit_s, two.statistic) == ("tpot", 0.05, "p90")


def test_slo_names_every_problem():
    with pytest.raises(InputError) as caught:
        parse_slo("ttft=2,tpott=50ms,nonsense,tpot=-1s")
    assert len(caught.value.problems) == 4
    assert any("tpot" in str(p) for p in caught.value.problems)


def test_plans_as_people_write_them():
    assert parse_plan("tp=8,ep=8,weights=fp8") == Plan(tp=8, ep=8, weights="fp8")
    assert parse_plan("--tensor-parallel-size 8 --enable-expert-parallel --max-num-seqs 64") == Plan(tp=8, ep=8, max_num_seqs=64)
    assert parse_plan("--tp-size=16 --dp-size=4 --enable-dp-attention --ep-size 16") == Plan(tp=4, dp=4, ep=16)
    assert not parse_plan("--enforce-eager").graph


def test_wrong_plans_name_everything():
    with pytest.raises(InputError) as caught:
        parse_plan("tp=eight,pq=2,dp=1.5")
    assert len(caught.value.problems) == 3
    with pytest.raises(InputError) as caught:
        checked(Plan(tp=128, ep=3, imbalance=0.5, accepted=2.0), model("llama_3_1_8b"))
    assert len(caught.value.problems) >= 4


def test_a_910c_counts_two_ranks():
    assert (rank_unit("ascend_910c"), ranks_per_chip("ascend_910c")) == ("die", 2)
    assert (rank_unit("gb200"), ranks_per_chip("gb200")) == ("chip", 1)


@given(st.floats(0.5, 500), st.sampled_from([0.2, 1.0, 5.0]), st.integers(0, 100))
def test_arrivals_have_their_rate(rate, shape, seed):
    times = gamma_arrivals(rate, 4000, shape, seed)
    assert np.all(np.diff(times) >= 0)
    assert 4000 / times[-1] == pytest.approx(rate, rel=5 / np.sqrt(4000 * shape))
    assert np.std(np.diff(times)) * rate == pytest.approx(1 / np.sqrt(shape), rel=0.25)


def test_bursts_keep_the_mean():
    times = on_off_arrivals(10.0, 50_000, 2.5, 1.0, 3.0, seed=1)
    assert 50_000 / times[-1] == pytest.approx(10.0, rel=0.02)
    counts = np.histogram(times, np.arange(0, times[-1], 1.0))[0]
    assert counts.var() / counts.mean() > 3


def test_lengths_and_scaling():
    assert lengths(100, 5000, 0.5, "lognormal").mean() == pytest.approx(100, rel=0.05)
    base = make(poisson_arrivals(2.0, 100), lengths(50, 100, 0.5), 10)
    twice = scaled(base, rate=8.0, repeat=2)
    assert len(twice) == 200
    assert 200 / twice.arrival_s[-1] == pytest.approx(8.0, rel=0.03)
