"""g++ 12 destroys owning temporaries of a co_await expression twice (docs/decisions/030): closures that capture by value
and braced aggregates must be named first."""
import re

import harness

ROOT = harness.ROOT


def awaited_calls(text: str):
    """(line, text) of each co_await expression up to its ; at depth 0 or an enclosing bracket's end."""
    for match in re.finditer(r"(?<!operator )\bco_await\b", text):
        depth, at = 0, match.end()
        while at < len(text):
            c = text[at]
            if c in "([{":
                depth += 1
            elif c in ")]}":
                depth -= 1
                if depth < 0:
                    break
            elif c == ";" and depth == 0:
                break
            at += 1
        yield text.count("\n", 0, match.start()) + 1, text[match.start():at]


CLOSURE = re.compile(r"[(,=]\s*\[((?!&\])[^\]\[]*)\]\s*(?:\(|\{|mutable)")
AGGREGATE = re.compile(r"[(,]\s*catalog::\w+\{[^{}]*[a-z]")


def owning_captures(captures: str):
    parts = [p.strip() for p in captures.split(",") if p.strip()]
    return [p for p in parts if not p.startswith("&") and p not in ("this", "=")] + (["="] if "=" in parts else [])


def findings(text: str):
    out = []
    for line, call in awaited_calls(re.sub(r"//[^\n]*", "", text)):
        for match in CLOSURE.finditer(call):
            if owning_captures(match[1]):
                out.append((line, "a closure that captures by value"))
        if AGGREGATE.search(call):
            out.append((line, "a braced aggregate"))
    return out


def test_the_search_finds_what_it_should(_):
    assert findings("co_await f(1, [shared](X& s) { s.put(shared); });")
    assert findings("co_await c.put(t, catalog::Schema{id, name});")
    assert not findings("co_await f([&] { return g(x); }); auto f = [shared] {};")
    assert not findings("co_await f([&x, this] { return g(x); });")


def test_no_owning_temporaries_in_co_await(_):
    bad = []
    for path in sorted((ROOT / "src").rglob("*.cc")) + sorted((ROOT / "src").rglob("*.h")):
        for line, what in findings(path.read_text()):
            bad.append(f"{path.relative_to(ROOT)}:{line}: {what}")
    assert not bad, "inside a co_await (docs/decisions/030):\n" + "\n".join(bad)
