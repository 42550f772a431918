"""The documentation agrees with the repository: links lead somewhere, names of files, keys and metrics exist."""
import re
import subprocess

import harness

ROOT = harness.ROOT
PAGE_LINES = 60


def tracked(*patterns):
    names = subprocess.run(["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
                           capture_output=True, text=True, check=True).stdout.split()
    return [ROOT / n for n in names if (ROOT / n).exists()]


def test_links_lead_somewhere(_):
    broken, seen = [], 0
    for page in tracked("*.md"):
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target) or target.startswith("#"):
                continue
            seen += 1
            if not (page.parent / target.split("#")[0]).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert seen > 20, "the search for links finds them"
    assert not broken, "links that lead nowhere:\n" + "\n".join(broken)


def test_each_layer_has_a_readme_of_a_page(_):
    layers = re.findall(r"^rustbd_layer\((\w+)", (ROOT / "src/CMakeLists.txt").read_text(), re.M)
    assert len(layers) > 15
    missing = [layer for layer in layers if not (ROOT / "src" / layer / "README.md").exists()]
    assert not missing, f"no README: {missing}"
    long = [str(p.relative_to(ROOT)) for p in tracked("src/*README.md") if len(p.read_text().splitlines()) > PAGE_LINES]
    assert not long, f"more than a page: {long}"


def test_files_that_contributing_names_exist(_):
    text = (ROOT / "CONTRIBUTING.md").read_text()
    names = {n for n in re.findall(r"`((?:src|tests|scripts|docs|bench)/[\w/.-]+)`", text)}
    assert len(names) > 10
    missing = [n for n in sorted(names) if not (ROOT / n).exists()]
    assert not missing, f"CONTRIBUTING.md names {missing}"


def test_configuration_keys_are_documented(_):
    keys = set(re.findall(r'\{"(\w+\.\w+)", k\w+,', (ROOT / "src/server/config.cc").read_text()))
    table = (ROOT / "docs/operations.md").read_text().split("## Configuration")[1].split("## Memory")[0]
    documented = {k for row in re.findall(r"^\| (`.*?) \|", table, re.M) for k in re.findall(r"`(\w+\.\w+)`", row)}
    assert len(keys) > 15
    assert keys == documented, f"not documented: {sorted(keys - documented)}; documented but not there: {sorted(documented - keys)}"


def test_metrics_that_operations_names_exist(_):
    named = set(re.findall(r"`(rustbd_\w+)", (ROOT / "docs/operations.md").read_text()))
    code = "".join(p.read_text() for p in tracked("src/*.cc", "src/*.h") if not p.name.endswith("_test.cc"))
    assert len(named) > 10
    missing = sorted(n for n in named if f'"{n}"' not in code)
    assert not missing, f"docs/operations.md names metrics that are not there: {missing}"
