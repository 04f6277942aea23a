"""wafer2token: from the wafer to the token, every number with a source and a grade.

``wafer2token.verbs`` has one function per command of ``w2t``.
"""

__version__ = "0.1.0"
