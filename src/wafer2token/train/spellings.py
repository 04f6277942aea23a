"""How frameworks spell the fields of a plan: Megatron, MindSpeed, DeepSpeed, PyTorch FSDP, torchtitan, MindFormers, Hugging Face.

Hyphens, underscores and capitals are one; a section's name before a dot is left out (``parallelism.tensor_parallel_degree``).
"""

from __future__ import annotations

from typing import Any

FIELDS: dict[str, tuple[str, ...]] = {
    "tp": (
        "tensor_model_parallel_size", "tensor_parallel_size", "tensor_parallel_degree", "model_parallel",
        "model_parallel_size", "tp_size", "tp_degree", "autotp_size",
    ),
    "pp": (
        "pipeline_model_parallel_size", "pipeline_parallel_size", "pipeline_parallel_degree", "pipeline_stage",
        "pipe_parallel_size", "pp_size", "pp_degree",
    ),
    "dp": ("data_parallel_size", "data_parallel", "dp_size"),
    "cp": ("context_parallel_size", "context_parallel_degree", "context_parallel", "cp_size"),
    "ep": ("expert_model_parallel_size", "expert_parallel_size", "expert_parallel_degree", "expert_parallel", "ep_size"),
    "etp": ("expert_tensor_parallel_size", "expert_tensor_parallel_degree", "expert_model_tensor_parallel_size"),
    "vpp": (
        "num_virtual_stages", "virtual_pipeline_model_parallel_size", "pp_interleave_num",
        "num_virtual_stages_per_pipeline_rank",
    ),
    "micro_batch": (
        "mbs", "micro_batch_size", "train_micro_batch_size_per_gpu", "per_device_train_batch_size",
        "local_batch_size", "batch_size_training",
    ),
    "micro_batches": ("ga", "gradient_accumulation_steps", "micro_batch_num", "accumulate_grad_batches"),
    "zero": (
        "zero_stage", "stage", "data_parallel_sharding_strategy", "sharding_strategy", "fsdp_sharding_strategy", "fsdp",
    ),
    "shard": ("fsdp_group", "mics_shard_size", "sharding_group_size"),
    "recompute": ("recompute_granularity",),
    "recompute_share": (),
    "schedule": ("pipeline_schedule", "pipeline_parallel_schedule", "schedules_method"),
    "context": ("context_parallel_algo", "cp_comm_type", "context_parallel_method"),
    "sequence_parallel": ("sp", "use_seq_parallel"),
    "offload": ("offload_optimizer", "offload_param", "optimizer_offload_fraction", "cpu_offloading_num_layers"),
    "precision": ("dtype", "mixed_precision", "fp8_format", "fp8_recipe", "mixed_precision_param"),
    "global_batch": ("global_batch_size", "gbs", "train_batch_size"),
    "seq_len": ("seq_length", "sequence_length", "seq_len", "max_seq_len", "context_length", "max_seq_length"),
    "layers_per_chunk": ("num_layers_per_virtual_pipeline_stage", "pipeline_parallel_layers_per_stage"),
    "recompute_method": (),
    "recompute_layers": ("recompute_num_layers",),
    "replicas": ("data_parallel_replicate_degree", "num_distributed_optimizer_instances"),
    "shards": ("data_parallel_shard_degree", "fully_shard_degree", "dp_shard"),
    "gradients": ("main_grads_dtype", "grad_accum_dtype", "gradient_dtype"),
    "moments": ("exp_avg_dtype", "exp_avg_sq_dtype"),
    "ulysses": ("ds_sequence_parallel_size", "ulysses_degree", "ulysses_parallel_size"),
}  # fmt: skip
"""Field -> other names of it. The fields after ``precision`` are settled once model, machine and batch are known."""

SPELLINGS: dict[str, str] = {name: field for field, names in FIELDS.items() for name in (field, *names)}

SWITCHES: dict[str, tuple[str, Any]] = {
    "use_distributed_optimizer": ("zero", "1"),
    "recompute_activations": ("recompute", "selective"),
    "checkpoint_activations": ("recompute", "full"),
    "gradient_checkpointing": ("recompute", "full"),
    "fsdp_activation_checkpointing": ("recompute", "full"),
    "sequence_parallel": ("sequence_parallel", "true"),
    "bf16": ("precision", "bf16"),
    "fp16": ("precision", "fp16"),
    "fp8": ("precision", "fp8"),
    "pure_bf16": ("precision", "bf16"),
    "optimizer_cpu_offload": ("offload", "optimizer"),
    "cpu_optimizer": ("offload", "optimizer"),
    "swap_optimizer": ("offload", "optimizer"),
    "cpu_offload": ("offload", "optimizer"),
    "swap_attention": ("offload", "activations"),
    "cpu_offloading": ("offload", "activations"),
    "cpu_checkpointing": ("offload", "activations"),
    "enable_activation_offload": ("offload", "activations"),
    "fsdp_offload_params": ("offload", "weights+optimizer"),
    "fsdp_cpu_offload": ("offload", "weights+optimizer"),
    "enable_cpu_offload": ("offload", "weights+optimizer"),
    "use_fsdp": ("zero", "3"),
    "enable_fsdp": ("zero", "3"),
    "use_torch_fsdp2": ("zero", "3"),
    "use_megatron_fsdp": ("zero", "3"),
    "use_custom_fsdp": ("zero", "3"),
    "hsdp": ("zero", "hybrid_shard"),
    "accumulate_allreduce_grads_in_fp32": ("gradients", "fp32"),
    "moe_tp_extend_ep": ("extend_ep", True),
    "moe_zerobubble": ("schedule", "zero_bubble"),
    "enable_zero_bubble": ("schedule", "zero_bubble"),
    "nanopipe_enabled": ("schedule", "zero_bubble"),
}

SHARDING = {
    "no_shard": 0, "optim": 1, "optim_grads": 2, "optim_grads_params": 3, "full_shard": 3, "shard_grad_op": 2,
    "hybrid_shard": 3, "hybrid_shard_zero2": 2, "fsdp": 3, "zero1": 1, "zero2": 2, "zero3": 3,
}  # fmt: skip
HYBRID = ("hybrid_shard", "hybrid_shard_zero2")
"""Sharding words that shard inside a node and repeat across nodes."""

SCHEDULE_WORDS = {
    "1f1b": "1f1b",
    "interleaved": "interleaved",
    "interleaved1f1b": "interleaved",
    "gpipe": "gpipe",
    "zb": "zero_bubble",
    "zbh1": "zero_bubble",
    "zerobubble": "zero_bubble",
    "interleavedzerobubble": "zero_bubble",
    "zbvzerobubble": "zero_bubble",
    "dualpipe": "dualpipe",
    "dualpipev": "dualpipev",
}
CONTEXT_WORDS = {
    "ring": "ring", "p2p": "ring", "megatron_cp_algo": "ring", "allgather": "ring", "all_gather": "ring",
    "all_to_all": "all_to_all", "alltoall": "all_to_all", "a2a": "all_to_all", "ulysses": "all_to_all",
    "ulysses_cp_algo": "all_to_all",
}  # fmt: skip
PRECISIONS = ("bf16", "fp16", "fp8", "mxfp8", "nvfp4", "fp4", "tf32", "fp32")
PRECISION_WORDS = {
    "bfloat16": "bf16", "float16": "fp16", "float32": "fp32", "hybrid": "fp8", "e4m3": "fp8", "delayed": "fp8",
    "tensorwise": "fp8", "blockwise": "fp8",
}  # fmt: skip

NOT_MODELLED = {
    "ulysses_degree_in_cp": "ring and all-to-all together are not modelled; take context=ring or context=all_to_all",
    "hybrid_cp_algo": "ring and all-to-all together are not modelled; take context=ring or context=all_to_all",
    "a2a+p2p": "ring and all-to-all together are not modelled; take context=ring or context=all_to_all",
    "hierarchical_context_parallel_sizes": "rings within rings are not modelled; take context_parallel_size alone",
    "zero_hpz_partition_size": "a second copy of the weights inside a node is not modelled; shard=8 shards everything there",
    "pipeline_model_parallel_layout": "stages of unlike layers are not modelled; layers are dealt evenly",
    "decoder_first_pipeline_num_layers": "stages of unlike layers are not modelled; layers are dealt evenly",
    "decoder_last_pipeline_num_layers": "stages of unlike layers are not modelled; layers are dealt evenly",
    "num_layer_list": "stages of unlike layers are not modelled; layers are dealt evenly",
    "pipeline_model_parallel_split_rank": "encoder and decoder on different stages are not modelled",
    "encoder_tensor_model_parallel_size": "encoder and decoder on different stages are not modelled",
    "tp_2d": "tensor parallelism in two dimensions is not modelled; take tp alone",
    "optimizer_selection": "only Adam is modelled",
    "lora_r": "low-rank fine-tuning is not modelled",
    "use_peft": "low-rank fine-tuning is not modelled",
    "use_lora": "low-rank fine-tuning is not modelled",
}
"""What changes a step in a way that no part of this planner prices, and what to say instead."""
