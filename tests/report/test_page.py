"""The page is one file that loads nothing, the same bytes every time, and draws in a real browser."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from importlib import resources

import pytest

from wafer2token import report
from wafer2token.report import words
from wafer2token.report.blocks import table_html
from wafer2token.report.parts import FUNCTIONS

META = {"seed": 0, "version": "0.1.0", "data": "3f9a"}


class Loads(HTMLParser):
    """Collects what a browser would fetch, and the balance of elements."""

    def __init__(self):
        super().__init__()
        self.fetched, self.open = [], []

    def handle_starttag(self, tag, attrs):
        names = dict(attrs)
        self.fetched += [v for k, v in attrs if k in ("src", "srcset", "poster", "data") and v]
        if tag in ("link", "iframe", "object", "embed", "base"):
            self.fetched.append(tag)
        if tag not in ("meta", "br", "hr", "img", "input"):
            self.open.append(tag)
        assert "onclick" not in names

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def without_library(html):
    library = (resources.files("wafer2token.report") / "assets" / "echarts.min.js").read_text()
    assert library in html
    return html.replace(library, "")


def test_nothing_is_fetched_and_elements_balance(sections):
    own = without_library(report.page("Title & more", sections, META))
    parser = Loads()
    parser.feed(own)
    assert parser.fetched == []
    assert parser.open == []
    assert "@import" not in own
    assert "url(" not in own
    assert "default-src 'none'" in own


def test_same_arguments_same_bytes(sections):
    assert report.page("t", sections, META) == report.page("t", sections, META)


def test_text_cannot_break_out(sections):
    evil = "</script><script>alert(1)</script>"
    flow = report.sankey([{"name": evil}, {"name": "b"}], [{"source": evil, "target": "b", "value": 1.0}], unit="u")
    html = report.page(evil, [report.Section("a", evil, evil, flow)], {evil: evil}, headlines=[(evil, evil, evil)])
    assert evil not in html
    assert html.count("alert(1)") > 3


def test_a_page_without_charts_is_light():
    html = report.page("t", [report.Section("a", "A", "text")], {})
    assert len(html) < 30_000


def test_library_keeps_its_licence():
    folder = resources.files("wafer2token.report") / "assets"
    assert "Apache License" in (folder / "echarts.LICENSE.txt").read_text()
    assert "Apache Software Foundation" in (folder / "echarts.NOTICE.txt").read_text()


def test_script_defines_every_named_function():
    script = (resources.files("wafer2token.report") / "assets" / "page.js").read_text()
    assert all(f"{name}: function" in script for name in FUNCTIONS)


def test_cells_by_kind():
    columns = [
        report.Column("n", "n", "W", "number"),
        report.Column("i", "i", "chips", "interval"),
        report.Column("g", "g", kind="grade"),
        report.Column("s", "s", kind="source"),
        report.Column("p", "p", "%", "number"),
    ]
    row = {"n": 1234567.0, "i": (1.0, 2.0, 3.0), "g": "press", "s": [("A", "https://a.b"), "C"], "p": 0.123}
    html = table_html(report.Table(columns, [row, {}], caption="cap"))
    for part in ("1.23 M", "2 (1 – 3)", "g-press", '<a href="https://a.b"', "; C", "12.3 %", "cap", ">W<"):
        assert part in html
    assert html.count('class="none"') == 5


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0, "", "0"),
        (999.6, "", "1,000"),
        (9994, "chips", "9,990 chips"),
        (12345, "chips", "12.3 k chips"),
        (999_950, "", "1 M"),
        (2.5e12, "tokens", "2.5 tn tokens"),
        (3.2e12, "B/s", "3.2 TB/s"),
        (0.8, "%", "80 %"),
        (None, "W", "–"),
        (float("nan"), "", "–"),
        (-0.00123, "", "-0.00123"),
    ],
)
def test_numbers_as_people_read_them(value, unit, expected):
    assert words.amount(value, unit) == expected


def test_interval_writes_the_unit_once():
    assert words.interval((1e6, 2e6, 3e6), "USD") == "2 M (1 M – 3 M) USD"
    assert words.interval((0.1, 0.2, 0.3), "%") == "20 % (10 % – 30 %)"
    assert words.interval((5, 5, 5), "chips") == "5 chips"


def test_prose_understands_little_and_escapes_the_rest():
    html = words.prose("a < b **c** `d`\n\n[e](https://f.g) [h](javascript:x)")
    assert html == (
        "<p>a &lt; b <strong>c</strong> <code>d</code></p>"
        '<p><a href="https://f.g" rel="noreferrer">e</a> [h](javascript:x)</p>'
    )


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no browser on this machine")
def test_browser_draws_every_chart(sections, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(report.page("t", sections, META), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    flags += [
        "--disable-background-networking",
        "--disable-component-update",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    done = subprocess.run(
        ["chromium", *flags, "--enable-logging=stderr", "--virtual-time-budget=3000", "--dump-dom", file.as_uri()],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert not re.findall(r"CONSOLE.*", done.stderr)
    charts = sum(s.chart is not None for s in sections)
    assert done.stdout.count("<svg") == charts


def test_long_times_are_read_in_days():
    assert words.readable("s", 864_000) == (1 / 86400, "days")
    assert words.readable("s", 5.0) == (1.0, "s")
    assert words.readable("chip", 1e9) == (1.0, "chip")
