"""One accelerator: how long a kernel takes."""
