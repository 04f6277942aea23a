import pytest

from wafer2token.evidence.errors import InputError
from wafer2token.train import train
from wafer2token.train.parse import complete, parse_plan, read_plan, settle
from wafer2token.train.plan import OFFLOADS, RECOMPUTE, SCHEDULES, offload_words


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


FULL, SELECTIVE = RECOMPUTE.index("full"), RECOMPUTE.index("selective")
LINES = {
    "Megatron-LM, GPT-3 175B": (
        "--num-layers 96 --hidden-size 12288 --seq-length 2048 --attention-backend auto --micro-batch-size 1 "
        "--global-batch-size 1536 --rampup-batch-size 16 16 5859375 --weight-decay 0.1 --fp16 --lr 6.0e-5 "
        "--tensor-model-parallel-size 8 --pipeline-model-parallel-size 16 --log-interval 100 --eval-iters 10",
        {"tp": 8, "pp": 16, "micro_batch": 1, "precision": "fp16"},
        {"global_batch": 1536, "seq_len": 2048},
    ),
    "Megatron-LM, Llama 3 8B in FP8": (
        "--group-query-attention --num-query-groups 8 --swiglu --micro-batch-size 1 --global-batch-size 128 --fp8-format hybrid "
        "--fp8-amax-history-len 1024 --bf16 --tensor-model-parallel-size 2 --context-parallel-size 1 --sequence-parallel "
        "--use-distributed-optimizer --overlap-grad-reduce --overlap-param-gather --seq-length 8192",
        {"tp": 2, "cp": 1, "micro_batch": 1, "precision": "fp8", "zero": 1, "sequence_parallel": True},
        {"global_batch": 128, "seq_len": 8192},
    ),
    "Megatron-LM, mixture of experts": (
        "--expert-model-parallel-size 8 --expert-tensor-parallel-size 1 --moe-token-dispatcher-type alltoall "
        "--moe-grouped-gemm --recompute-granularity selective --optimizer-cpu-offload --optimizer-offload-fraction 1.0 "
        "--num-layers-per-virtual-pipeline-stage 4 --pipeline-model-parallel-size 4 --tensor-model-parallel-size 1",
        {"ep": 8, "etp": 1, "recompute": SELECTIVE, "offload": 1, "pp": 4, "tp": 1},
        {"layers_per_chunk": 4},
    ),
    "Megatron-LM, long context": (
        "--tensor-model-parallel-size 8 --context-parallel-size 4 --cp-comm-type a2a --recompute-granularity full "
        "--recompute-method block --recompute-num-layers 3 --cpu-offloading-num-layers 2",
        {"tp": 8, "cp": 4, "context": 1, "recompute": FULL, "offload": 4},
        {"recompute_method": "block", "recompute_layers": 3},
    ),
    "MindSpeed-LLM, DeepSeek V2.5": (
        "--multi-head-latent-attention --use-distributed-optimizer --tensor-model-parallel-size 1 --sequence-parallel "
        "--pipeline-model-parallel-size 4 --num-layers-per-virtual-pipeline-stage 2 --expert-model-parallel-size 8 "
        "--recompute-granularity full --recompute-method uniform --recompute-num-layers 1 --reuse-fp32-param --bf16 "
        "--micro-batch-size 1 --global-batch-size 256 --seq-length 8192 --use-fused-swiglu --shape-order BNSD",
        {
            "tp": 1,
            "pp": 4,
            "ep": 8,
            "zero": 1,
            "recompute": FULL,
            "precision": "bf16",
            "micro_batch": 1,
            "sequence_parallel": True,
        },
        {
            "layers_per_chunk": 2,
            "global_batch": 256,
            "seq_len": 8192,
            "recompute_method": "uniform",
            "recompute_layers": 1,
        },
    ),
    "MindSpeed-LLM, DeepSeek V3": (
        "--tensor-model-parallel-size 2 --pipeline-model-parallel-size 8 --expert-model-parallel-size 16 --moe-tp-extend-ep "
        "--context-parallel-algo ulysses_cp_algo --context-parallel-size 1 --schedules-method dualpipev --swap-optimizer "
        "--moe-alltoall-overlap-comm --swap-attention --gemm-gradient-accumulation-fusion",
        {"tp": 2, "pp": 8, "ep": 16, "context": 1, "cp": 1, "schedule": SCHEDULES.index("dualpipev"), "offload": 5},
        {"extend_ep": True},
    ),
    "Megatron-DeepSpeed, ZeRO-Infinity": (
        "--deepspeed --zero-stage 3 --offload_optimizer cpu --offload_param nvme --micro-batch-size 4 --checkpoint-activations "
        "--ds-sequence-parallel-size 4 --global-batch-size 64",
        {"zero": 3, "offload": 3, "micro_batch": 4, "recompute": FULL},
        {"ulysses": 4, "global_batch": 64},
    ),
    "llama-recipes": (
        "--enable_fsdp --model_name meta-llama/Llama-2-70b-hf --fsdp_config.pure_bf16 --batch_size_training 1 --hsdp "
        "--fsdp_config.sharding_strategy HYBRID_SHARD --fsdp_activation_checkpointing --fsdp_cpu_offload",
        {"zero": 3, "precision": "bf16", "micro_batch": 1, "recompute": FULL, "offload": 3},
        {"node_shard": True},
    ),
    "Hugging Face Trainer": (
        '--fsdp "full_shard auto_wrap" --per_device_train_batch_size 2 --gradient_accumulation_steps 8 --bf16 True '
        "--gradient_checkpointing True --learning_rate 2e-5 --num_train_epochs 3",
        {"zero": 3, "micro_batch": 2, "micro_batches": 8, "precision": "bf16", "recompute": FULL},
        {},
    ),
    "torchtitan": (
        "--parallelism.tensor_parallel_degree 8 --parallelism.data_parallel_shard_degree 16 "
        "--parallelism.data_parallel_replicate_degree 2 --parallelism.pipeline_parallel_schedule Interleaved1F1B "
        "--training.local_batch_size 2 --training.seq_len 8192 --compile.enable",
        {"tp": 8, "schedule": SCHEDULES.index("interleaved"), "micro_batch": 2},
        {"shards": 16, "replicas": 2, "seq_len": 8192},
    ),
}


@pytest.mark.parametrize("line", LINES)
def test_lines_of_public_scripts(line):
    text, fields, later = LINES[line]
    stated = read_plan(text)
    assert dict(stated.fields) == fields
    assert dict(stated.later) == later


def test_what_is_settled_with_model_and_machine():
    hybrid = settle(read_plan(LINES["llama-recipes"][0]), 80, 64, 8)
    assert hybrid["shard"] == 8
    titan = settle(read_plan(LINES["torchtitan"][0]), 80, 256, 8)
    assert (titan["dp"], titan["shard"], titan["zero"]) == (32, 16, 3)
    chunks = settle(read_plan("pp=4,layers_per_chunk=5"), 80, 64, 8)
    assert chunks["vpp"] == 4
    block = settle(read_plan(LINES["Megatron-LM, long context"][0] + " --pipeline-model-parallel-size 8"), 80, 256, 8)
    assert block["recompute_share"] == pytest.approx(0.3)
    extended = settle(read_plan(LINES["MindSpeed-LLM, DeepSeek V3"][0]), 61, 512, 8)
    assert (extended["ep"], extended["etp"]) == (32, 1)
    ulysses = settle(read_plan(LINES["Megatron-DeepSpeed, ZeRO-Infinity"][0]), 61, 64, 8)
    assert (ulysses["cp"], ulysses["context"]) == (4, 1)
    with pytest.raises(InputError, match="do not divide the 20 of a stage"):
        settle(read_plan("pp=4,layers_per_chunk=3"), 80, 64, 8)


def test_a_launch_script_is_read_with_its_own_variables(tmp_path):
    script = tmp_path / "pretrain.sh"
    script.write_text(
        '#!/bin/bash\nTP=8\nPP=${PP:-4}  # stages\nPP=4\nGPT_ARGS="\n  --tensor-model-parallel-size ${TP} \\\n  --lr 1e-4\n'
        '  # --pipeline-model-parallel-size 64\n  --micro-batch-size 1 --global-batch-size 512 --bf16\n"\n'
        "torchrun pretrain_gpt.py $GPT_ARGS --pipeline-model-parallel-size $PP --seq-length 4096 | tee log\n"
    )
    stated = read_plan(str(script))
    assert dict(stated.fields) == {"tp": 8, "pp": 4, "micro_batch": 1, "precision": "bf16"}
    assert dict(stated.later) == {"global_batch": 512, "seq_len": 4096}
    assert "lr" in stated.ignored
    result = train("llama_3_1_70b", "dgx_h100", 64, 1e12, plan=str(script), samples=None)
    assert (result.plan.tp, result.plan.pp, result.global_batch, result.seq_len) == (8, 4, 512, 4096)


def test_a_deepspeed_file(tmp_path):
    config = tmp_path / "ds.json"
    config.write_text(
        '{"bf16": {"enabled": true}, "train_micro_batch_size_per_gpu": 2, "train_batch_size": 64, "steps_per_print": 10, '
        '"zero_optimization": {"stage": 3, "offload_optimizer": {"device": "cpu"}, "offload_param": {"device": "cpu"}, '
        '"overlap_comm": true, "reduce_bucket_size": "auto"}}'
    )
    stated = read_plan(str(config))
    assert dict(stated.fields) == {"precision": "bf16", "micro_batch": 2, "zero": 3, "offload": 3}
    assert stated.later == {"global_batch": 64}


def test_micro_batches_settle_the_batch_and_contradictions_are_refused():
    line = "--tensor-parallel-size 8 --gradient_accumulation_steps 16 --micro-batch-size 2 --use-distributed-optimizer"
    result = train("llama_3_1_8b", "dgx_h100", 16, 1e12, plan=line, samples=None, seq_len=4096)
    assert (result.global_batch, result.plan.micro_batches) == (64, 16)
    with pytest.raises(InputError, match="16 micro-batches of 2 on 2 ranks are not the global batch"):
        train("llama_3_1_8b", "dgx_h100", 16, 1e12, plan=line, samples=None, seq_len=4096, global_batch=128)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("--context-parallel-algo hybrid_cp_algo", "ring and all-to-all together"),
        ("--zero_hpz_partition_size 8", "second copy of the weights"),
        ("--pipeline-model-parallel-layout Et*3", "stages of unlike layers"),
        ("--use_peft", "low-rank"),
        ("--tensor-model-paralel-size 8", "tensor_model_parallel_size"),
        ("offload=disk", "optimizer, weights, activations"),
    ],
)
def test_what_is_not_modelled_is_said(text, said):
    with pytest.raises(InputError, match=said):
        parse_plan(text)


def test_formats_of_the_optimizer():
    stated = read_plan(
        "--use-precision-aware-optimizer --main-grads-dtype bf16 --exp-avg-dtype fp8 --exp-avg-sq-dtype fp8"
    )
    assert dict(stated.later) == {"gradients": "bf16", "moments": "fp8"}


def test_offloads_in_words():
    assert offload_words(parse_plan("offload=weights+activations")["offload"]) == "weights+activations"
    assert parse_plan("offload=none")["offload"] == 0
    assert len(OFFLOADS) == 3


def test_a_plan_as_printed_is_read_back():
    plan = complete(
        parse_plan("tp=8,pp=4,cp=2,zero=2,recompute=full,recompute_share=0.5,offload=optimizer,sp=0"), 512, 256
    )
    assert complete(parse_plan(str(plan)), 512, 256) == plan
