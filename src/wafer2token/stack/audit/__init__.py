"""What keeps code and models on CUDA, and what the move to Ascend takes."""

from wafer2token.stack.audit.diff import AuditDiff, diff
from wafer2token.stack.audit.engine import VERDICTS, Audit, audit
from wafer2token.stack.audit.model import Finding, Rule
from wafer2token.stack.audit.rules import load_rules

__all__ = ["VERDICTS", "Audit", "AuditDiff", "Finding", "Rule", "audit", "diff", "load_rules"]
