"""Requests through a batching engine: latency, throughput, capacity under an SLO, cost per token."""
