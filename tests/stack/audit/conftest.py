"""Small projects written to a folder, and the findings in them."""

from textwrap import dedent

import pytest

from wafer2token.stack.audit import Audit, audit


@pytest.fixture
def audited(tmp_path):
    """A function that audits files given as ``{path: text}``."""

    def run(files: dict[str, str], **options) -> Audit:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text), encoding="utf-8")
        return audit(tmp_path, **options)

    return run


@pytest.fixture
def rules_at(audited):
    """A function that audits one Python text and returns {line: {rule: severity}}."""

    def run(text: str, path: str = "pkg/code.py", **options) -> dict[int, dict[str, str]]:
        found: dict[int, dict[str, str]] = {}
        for finding in audited({path: text}, **options).findings:
            found.setdefault(finding.line, {})[finding.rule] = finding.severity
        return found

    return run
