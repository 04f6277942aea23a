"""An audit as one self-contained HTML page: no network, data inside, filters that work from a file."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wafer2token.stack.audit import Audit

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881}
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
table{border-collapse:collapse;width:100%;font-size:.86rem}
th,td{text-align:left;padding:.3rem .5rem;border-bottom:1px solid var(--line);vertical-align:top}
th{position:sticky;top:0;background:Canvas}td.n{text-align:right;font-variant-numeric:tabular-nums}
code{font:.82rem/1.4 ui-monospace,monospace;overflow-wrap:anywhere}
.cards{display:flex;flex-wrap:wrap;gap:.8rem;margin:1rem 0}
.card{border:1px solid var(--line);border-radius:.5rem;padding:.6rem .9rem;min-width:9rem}
.card b{display:block;font-size:1.15rem}.muted{opacity:.7}
.critical{color:#c0392b;font-weight:600}.high{color:#d35400;font-weight:600}.medium{color:#b7860b}
select,input{font:inherit;padding:.15rem .3rem}@media print{.tools{display:none}}
"""
_SCRIPT = """
const data=JSON.parse(document.getElementById('data').textContent);
const scale=['info','low','medium','high','critical'];
const body=document.getElementById('rows'),severity=document.getElementById('severity'),
 place=document.getElementById('place'),text=document.getElementById('text'),count=document.getElementById('count');
function cell(row,value,name){const c=row.insertCell();c.textContent=value;if(name)c.className=name;return c}
function draw(){
 const least=scale.indexOf(severity.value),want=text.value.toLowerCase();
 const shown=data.findings.filter(f=>scale.indexOf(f.severity)>=least&&(!place.value||f.place===place.value)
  &&(!want||(f.file+' '+f.rule+' '+f.message+' '+data.rules[f.rule].title).toLowerCase().includes(want)));
 body.replaceChildren();
 for(const f of shown.slice(0,2000)){const r=body.insertRow(),rule=data.rules[f.rule];
  cell(r,f.severity,f.severity);cell(r,f.rule);cell(r,f.file+':'+f.line);
  const c=cell(r,rule.title+': ');const code=document.createElement('code');code.textContent=f.snippet||f.message;c.append(code);
  cell(r,f.effort);cell(r,f.risk);cell(r,f.transfer_to_npu);
  const d=cell(r,rule.replacement+' ');rule.sources.slice(0,2).forEach((u,i)=>{const a=document.createElement('a');a.href=u;a.textContent='['+(i+1)+']';d.append(a)});}
 count.textContent=shown.length+' findings'+(shown.length>2000?', the first 2000 shown':'');
}
[severity,place,text].forEach(e=>e.addEventListener('input',draw));draw();
"""


def page(report: Audit) -> str:
    """The report as an HTML document."""
    document = report.to_dict()
    embedded = {"findings": document["findings"], "rules": document["rules"]}
    data = json.dumps(embedded, ensure_ascii=False).replace("<", "\\u003c")
    places = sorted({f["place"] for f in document["findings"]})
    options = "".join(f"<option>{escape(p)}</option>" for p in places)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Porting audit: {escape(report.path)}</title><style>{_STYLE}</style></head><body>
<h1>{escape(report.path)} on {escape(report.target.chip)}</h1>
<p class="muted">torch_npu {escape(report.target.wheel.version)} · {report.lines:,} lines read</p>
{_cards(document)}
<h2>Files</h2>{_files(document)}
<h2>Operators and interfaces</h2>{_coverage(document)}
<h2>Versions</h2>{_versions(document)}
<h2>Efficiency to expect</h2>{_efficiency(document)}
<h2>Findings</h2><p class="tools"><label>at least <select id="severity"><option>info</option><option>low</option>
<option selected>medium</option><option>high</option><option>critical</option></select></label>
<label>in <select id="place"><option value="">everything</option>{options}</select></label>
<label>with <input id="text" placeholder="file, rule, text"></label> <span id="count" class="muted"></span></p>
<table><thead><tr><th>severity<th>rule<th>where<th>what<th>effort<th>risk<th>transfer_to_npu<th>on Ascend</tr></thead>
<tbody id="rows"></tbody></table>
{_passed_over(document)}
<script id="data" type="application/json">{data}</script><script>{_SCRIPT}</script></body></html>
"""


def _cards(document: dict[str, Any]) -> str:
    effort = document["effort"]
    lines = effort["lines"]
    span = f"{lines['p10']:,.0f} - {lines['p50']:,.0f} - {lines['p90']:,.0f}" if lines else "none"
    counts = document["counts"]
    cards = [
        ("verdict", document["verdict"]),
        ("with transfer_to_npu", document["verdict_with_transfer_to_npu"]),
        ("critical / high / medium", f"{counts['critical']} / {counts['high']} / {counts['medium']}"),
        ("places to change", f"{effort['sites']:,} in {effort['files']:,} files"),
        ("source lines, P10 - P50 - P90", span),
    ]
    return (
        '<div class="cards">'
        + "".join(f'<div class="card">{escape(k)}<b>{escape(v)}</b></div>' for k, v in cards)
        + "</div>"
    )


def _table(columns: list[str], rows: list[list[Any]]) -> str:
    head = "".join(f"<th>{escape(c)}" for c in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(v))}" for v in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _files(document: dict[str, Any]) -> str:
    rows = [
        [f["file"], f["place"], f["verdict"], f["critical"], f["high"], f["medium"], f["low"], ", ".join(f["rules"])]
        for f in document["files"] if f["worst"] not in {"low", "info"}
    ]  # fmt: skip
    return _table(["file", "place", "verdict", "critical", "high", "medium", "low", "rules"], rows[:500])


def _coverage(document: dict[str, Any]) -> str:
    coverage = document["coverage"]
    rows = [[k, v] for k, v in {**coverage["by_class"], **coverage["documented"]}.items()]
    fallback = ", ".join(coverage["cpu_fallback"]) or "none"
    return _table(["class", "interfaces"], rows) + f"<p>Run on the host: <code>{escape(fallback)}</code></p>"


def _versions(document: dict[str, Any]) -> str:
    required = [[r["package"], r["pins"], r["counterpart"], "yes" if r["met"] else r["reason"], f"{r['file']}:{r['line']}"]
                for r in document["versions"]["required"]]  # fmt: skip
    lags = [[g["project"], g["counterpart"], g["newest_any"], _days(g["final_days"]), _days(g["pre_release_days"])]
            for g in document["versions"]["lags"]]  # fmt: skip
    return _table(["package", "asked for", "on Ascend", "met", "where"], required) + _table(
        ["upstream", "on Ascend", "newest", "final release after, days", "pre-release after, days"], lags
    )


def _days(days: dict[str, float]) -> str:
    if "p25" not in days:
        return f"n={days['n']}"
    return f"{days['min']:.0f} to {days['max']:.0f}, median {days['median']:.0f} (n={days['n']:.0f})"


def _efficiency(document: dict[str, Any]) -> str:
    efficiency = document["efficiency"]
    rows = [[k, json.dumps(v, ensure_ascii=False) if isinstance(v, (dict, list)) else v] for k, v in efficiency.items()]
    return _table(["", ""], rows)


def _passed_over(document: dict[str, Any]) -> str:
    parts = ""
    if document["ignored"]:
        rows = [[i["rule"], f"{i['file']}:{i['line']}", i["reason"]] for i in document["ignored"]]
        parts += "<h2>Silenced in the source</h2>" + _table(["rule", "where", "reason"], rows)
    if document["skipped"]:
        rows = [[s["file"], s["reason"]] for s in document["skipped"]]
        parts += "<h2>Passed over</h2>" + _table(["file", "reason"], rows)
    return parts
