"""The commands: formats and nothing else."""
