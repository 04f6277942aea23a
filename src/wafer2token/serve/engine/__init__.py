"""The discrete-event engine of the serving simulator.

It jumps from event to event: between two changes of a batch the decode steps of a replica have a linear duration, so
that any number of them is one closed sum. ``run.simulate`` is the only entry.
"""
