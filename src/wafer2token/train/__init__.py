"""Parallel plans, memory, step time, failures and goodput, days and cost."""
