"""A large language model as operators with shapes."""
