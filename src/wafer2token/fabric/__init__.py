"""Many chips: links, topologies, collectives."""
