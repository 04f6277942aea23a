"""An independent engine for tests: SimPy, token by token, no jumps. Slow and plain on purpose."""

from __future__ import annotations

import bisect
import math
from collections import deque

import simpy


def interpolate(xs, ys, x):
    if x <= xs[0]:
        return ys[0]
    i = min(max(bisect.bisect_right(list(xs), x) - 1, 0), len(xs) - 2)
    return ys[i] + (ys[i + 1] - ys[i]) * (x - xs[i]) / (xs[i + 1] - xs[i])


def row(table, batch):
    b = list(table.batch)
    i = min(max(bisect.bisect_right(b, batch) - 1, 0), len(b) - 2)
    share = (batch - b[i]) / (b[i + 1] - b[i])
    return [lo + (hi - lo) * share for lo, hi in zip(table.attend_s[i], table.attend_s[i + 1], strict=True)]


def seconds(table, tokens, contexts, work):
    total = interpolate(table.tokens, table.gemm_s, tokens)
    if contexts:
        mean = sum(contexts) / len(contexts)
        values = row(table, len(contexts))
        kv = list(table.kv)
        j = min(max(bisect.bisect_right(kv, mean) - 1, 0), len(kv) - 2)
        slope = (values[j + 1] - values[j]) / (kv[j + 1] - kv[j])
        total += max(values[j] + slope * (mean - kv[j]), 0.0)
    if work > 0:
        total += interpolate(table.work, table.work_s, work)
    return max(total, table.host_s)


class Job:
    def __init__(self, index, isl, osl):
        self.index, self.isl, self.osl = index, isl, osl
        self.target, self.computed, self.made = isl, 0, 0
        self.context, self.admitted = 0, 0
        self.blocks, self.left = [], []
        self.first = self.finish = -1.0


class Replica:
    def __init__(self, env, pool, cluster):
        self.env, self.pool, self.cluster = env, pool, cluster
        self.waiting, self.filling, self.decoding = [], [], []
        self.free, self.count = deque(range(min(pool.kv_blocks, 10_000))), 0
        self.keeps = cluster.prefix_cache and cluster.policy == "vllm"
        self.content = {}
        self.bell = env.event()
        env.process(self.work())

    def put(self, job):
        self.waiting.append(job)
        if not self.bell.triggered:
            self.bell.succeed()

    def work(self):
        while True:
            plan = self.compose()
            if plan is None:
                self.bell = self.env.event()
                yield self.bell
                continue
            took, chunks, stepping = plan
            yield self.env.timeout(took)
            self.apply(chunks, stepping)

    def make_room(self):
        size, gone = self.cluster.block_size, False
        while self.decoding:
            need = [j for j in self.decoding if j.context + 1 > len(j.blocks) * size]
            if len(need) <= len(self.free):
                for j in need:
                    j.blocks.append(self.take())
                break
            gone = True
            youngest = max(self.decoding + self.filling, key=lambda j: j.admitted)
            known = youngest.context if youngest in self.decoding else youngest.computed
            youngest.left = youngest.blocks[: known // size]
            for k, block in enumerate(youngest.left):
                self.content[block] = (youngest.index, k)
            self.give(youngest)
            (self.decoding if youngest in self.decoding else self.filling).remove(youngest)
            youngest.target, youngest.computed = youngest.isl + youngest.made, 0
            self.waiting.insert(0, youngest)
        return gone

    def compose(self):
        gone = self.make_room()
        separate = self.cluster.policy == "sglang"
        budget = self.pool.max_num_batched_tokens - (0 if separate else len(self.decoding))
        chunks = []
        for job in self.filling:
            chunks.append(max(min(job.target - job.computed, budget), 0))
            budget -= chunks[-1]
        while self.waiting and not gone and budget > 0 and len(self.decoding) + len(self.filling) < self.pool.max_num_seqs:
            job = self.waiting[0]
            blocks = -(-job.target // self.cluster.block_size)
            if blocks > len(self.free):
                break
            self.waiting.pop(0)
            self.find(job)
            job.blocks += [self.take() for _ in range(blocks - len(job.blocks))]
            self.count += 1
            job.admitted = self.count
            self.filling.append(job)
            chunks.append(min(job.target - job.computed, budget))
            budget -= chunks[-1]
        tokens = sum(chunks)
        if tokens == 0 and not self.decoding:
            return None
        stepping = not (separate and tokens)
        contexts = [j.context for j in self.decoding] if stepping else []
        work = sum(c * (j.computed + 0.5 * (c + 1)) for c, j in zip(chunks, self.filling, strict=True))
        return seconds(self.pool.table, tokens + len(contexts), contexts, work), chunks, stepping

    def apply(self, chunks, stepping):
        now = self.env.now
        if stepping:
            for job in list(self.decoding):
                job.context += 1
                job.made += 1
                if job.made == job.osl:
                    self.end(job, now)
                    self.decoding.remove(job)
        for job, chunk in list(zip(self.filling, chunks, strict=True)):
            job.computed += chunk
            if job.computed < job.target:
                continue
            self.filling.remove(job)
            job.made += 1
            job.first = now if job.first < 0 else job.first
            job.context = job.target
            if job.made == job.osl:
                self.end(job, now)
            else:
                self.decoding.append(job)

    def end(self, job, now):
        job.finish = now
        self.give(job)

    def take(self):
        block = self.free.popleft()
        self.content.pop(block, None)
        return block

    def give(self, job):
        """The end of the sequence first, as vLLM frees it."""
        self.free.extend(reversed(job.blocks))
        job.blocks = []

    def find(self, job):
        """Blocks that nobody has overwritten since the job left them behind."""
        for k, block in enumerate(job.left if self.keeps else []):
            if self.content.get(block) != (job.index, k):
                break
            self.free.remove(block)
            job.blocks.append(block)
        del job.blocks[-(-job.target // self.cluster.block_size) :]
        job.computed = min(len(job.blocks) * self.cluster.block_size, job.target - 1)
        job.left = []


def play(requests, cluster):
    """(first, finish) times per request; round robin over the replicas of one pool."""
    env = simpy.Environment()
    pool = cluster.pools[0]
    replicas = [Replica(env, pool, cluster) for _ in range(pool.replicas)]
    jobs = [Job(i, int(a), int(b)) for i, (a, b) in enumerate(zip(requests.isl, requests.osl, strict=True))]

    def source():
        for job, at in zip(jobs, requests.arrival_s, strict=True):
            yield env.timeout(max(at - env.now, 0.0))
            replicas[job.index % len(replicas)].put(job)

    env.process(source())
    env.run()
    assert not any(math.isnan(j.finish) for j in jobs)
    return [j.first for j in jobs], [j.finish for j in jobs]
