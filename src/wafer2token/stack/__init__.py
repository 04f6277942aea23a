"""Software stacks: measured efficiency over time, operator coverage, code audit."""
