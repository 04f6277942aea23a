"""Stocks and flows by quarter: what is made, what binds, who owns what."""
