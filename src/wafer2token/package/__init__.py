"""Dies and HBM stacks to chips: bonding, stacking, assembly yield and cost."""
