"""What a small program can check of the source. Old sins stand in ratchet.json, by file; their number may only shrink.

  /usr/bin/python3 tests/style/test_style.py            prints what is wrong
  /usr/bin/python3 tests/style/test_style.py --shrink   lowers the numbers of ratchet.json to what is there
"""
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SRC = ROOT / "src"
RATCHET = pathlib.Path(__file__).resolve().parent / "ratchet.json"
LINE, FUNCTION, FILE = 110, 100, 900
BANNED = {"iostream", "regex", "format", "print"}  # in every file
BANNED_IN_HEADERS = {"ranges"}


def layers() -> dict[str, set]:
    """What each layer may include: itself and what src/CMakeLists.txt names for it, in the order of that file."""
    found = {}
    for name, rest in re.findall(r"^rustbd_layer\((\w+)([^)]*)\)", (SRC / "CMakeLists.txt").read_text(), re.M):
        lower = rest.split("LIBS")[0].split()
        for other in lower:
            assert other in found, f"src/CMakeLists.txt: {name} names {other}, which does not stand above it"
        found[name] = {name, *lower}
    return found


def tests_may_use() -> dict[str, set]:
    """What src/CMakeLists.txt gives a layer's unit tests beyond what the layer has."""
    found = {}
    for name, libraries in re.findall(r"target_link_libraries\((\w+?)(?:_concurrent)?_test PRIVATE ([^)]*)\)", (SRC / "CMakeLists.txt").read_text()):
        found.setdefault(name, set()).update(re.findall(r"\brustbd_(\w+)", libraries))
    return found


def sources(*suffixes: str):
    return sorted(p for p in SRC.rglob("*") if p.suffix in suffixes and p.is_file())


def without_text(code: str) -> str:
    """The code with the insides of comments, strings and characters blanked; lines stay where they are."""
    pattern = re.compile(r'R"([^(\s]*)\(.*?\)\1"|//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'', re.S)
    return pattern.sub(lambda m: "\n" * m.group().count("\n") + " ", code)


def functions(code: str):
    """(line, length in lines) of each outermost function body."""
    code = re.sub(r"^[ \t]*#(?:[^\n\\]|\\\n|\\.)*", "", without_text(code), flags=re.M)
    stack, head, line, start, body = [], "", 1, 0, None
    for c in code:
        if c == "\n":
            line += 1
        if c == "{":
            words = head.strip()
            kind = "other"
            if body is None and ")" in words and not re.search(r"(?<![=!<>+\-*/|&^%])=(?!=)\s*$|^\s*(namespace|enum)\b", words):
                kind = "function"
                body, start = len(stack), line
            stack.append(kind)
            head = ""
        elif c == "}":
            if stack:
                stack.pop()
            if body is not None and len(stack) == body:
                yield start, line - start + 1
                body = None
            head = ""
        elif c == ";":
            head = ""
        else:
            head += c


def findings(path: pathlib.Path, allowed: dict[str, set], for_tests: dict[str, set] = {}):
    """(kind, line, text) of all that is wrong in a file; the kinds that start with `long` are ratcheted."""
    code = path.read_text()
    lines = code.split("\n")
    layer = path.relative_to(SRC).parts[0]
    header = path.suffix == ".h"
    may = set(allowed.get(layer, ()))
    if "testing" in path.parts or path.name.endswith("_test.cc"):
        may |= for_tests.get(layer, set())
    for number, line in enumerate(lines, 1):
        if len(line) > LINE:
            yield "long_lines", number, f"{len(line)} characters"
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b(?!\d)", line) and "\"XXX" not in line:
            yield "todo", number, line.strip()
        # The shared pointer that a call returns does not live as long as the loop or the plain pointer.
        if re.search(r"\bfor \([^;]* : \S*\(\S*\)->\w+(\(\))?\)", line) or re.search(r"\* ?\w+ = .*\b(catalog|committed)\(\)->", line):
            yield "dangling", number, line.strip()
        if include := re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line):
            quote, name = include.groups()
            if ".." in pathlib.PurePosixPath(name).parts:
                yield "include", number, f"{name}: a path that climbs"
            elif quote == '"':
                parts = name.split("/")
                if len(parts) < 3 or parts[0] != "rustbd":
                    yield "include", number, f'{name}: write "rustbd/<layer>/..."'
                elif parts[1] not in may:
                    yield "include", number, f"{name}: {layer} may not use {parts[1]} (src/CMakeLists.txt)"
            elif name.startswith("rustbd/"):
                yield "include", number, f"{name}: in quotes"
            elif name in BANNED or header and name in BANNED_IN_HEADERS:
                yield "banned", number, f"<{name}>"
    if header and not re.search(r"^#pragma once$", code, re.M):
        yield "pragma", 1, "no #pragma once"
    if len(lines) - 1 > FILE:
        yield "long_files", 1, f"{len(lines) - 1} lines"
    for start, length in functions(code):
        if length > FUNCTION:
            yield "long_functions", start, f"{length} lines"


def everything() -> list:
    allowed, for_tests = layers(), tests_may_use()
    return [(str(path.relative_to(ROOT)), *finding) for path in sources(".h", ".cc") for finding in findings(path, allowed, for_tests)]


def counts(found) -> dict:
    result = {}
    for path, kind, *_ in found:
        if kind.startswith("long"):
            of_kind = result.setdefault(kind, {})
            of_kind[path] = of_kind.get(path, 0) + 1
    return result


def _demand(found, *kinds):
    wrong = [f"{path}:{line}: {text}" for path, kind, line, text in found if kind in kinds]
    assert not wrong, "\n".join(wrong)


def test_includes(_):
    _demand(everything(), "include", "banned", "pragma")


def test_nothing_left_to_do(_):
    _demand(everything(), "todo")


def test_nothing_dangles(_):
    _demand(everything(), "dangling")


def test_lengths(_):
    """Lines, functions and files that are too long: none beyond those of ratchet.json, and no entry there without need."""
    found, before = everything(), json.loads(RATCHET.read_text())
    now, wrong = counts(found), []
    for kind in ("long_lines", "long_functions", "long_files"):
        for path in sorted({*now.get(kind, {}), *before.get(kind, {})}):
            have, may = now.get(kind, {}).get(path, 0), before.get(kind, {}).get(path, 0)
            if have > may:
                wrong += [f"{p}:{line}: {text} ({kind}: {have}, may be {may})" for p, k, line, text in found if (p, k) == (path, kind)]
            elif have < may:
                wrong.append(f"{path}: {kind} are down from {may} to {have}: run tests/style/test_style.py --shrink")
    assert not wrong, "\n".join(wrong)


def test_every_folder_has_a_readme(_):
    folders = [SRC / name for name in layers()] + [ROOT / name for name in ("tests", "bench", "fuzz", "docs") if any((ROOT / name).glob("*"))]
    missing = [str(f.relative_to(ROOT)) for f in folders if not (f / "README.md").is_file()]
    assert not missing, f"no README.md: {', '.join(missing)}"
    long = [f"{f.relative_to(ROOT)}/README.md" for f in folders if len((f / "README.md").read_text().split("\n")) > 80]
    assert not long, f"more than a page: {', '.join(long)}"


def test_every_folder_is_a_layer(_):
    folders = {p.name for p in SRC.iterdir() if p.is_dir()}
    assert folders == set(layers()), f"folders and layers differ: {folders ^ set(layers())}"


def _compiler_of(layer: str, scratch: pathlib.Path) -> list[str]:
    """The command by which a file of the layer is compiled, without its input and output."""
    databases = sorted((ROOT / "build").glob("*/compile_commands.json"), key=lambda p: -p.stat().st_mtime)
    if not databases:
        configure = ["cmake", "-S", str(ROOT), "-B", str(scratch / "build"), "-G", "Ninja", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"]
        done = subprocess.run(configure, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        databases = [scratch / "build/compile_commands.json"]
    for database in databases:
        for entry in json.loads(database.read_text()):
            path = pathlib.Path(entry["file"])
            if path.is_relative_to(SRC / layer) and path.suffix == ".cc" and not path.name.endswith("_test.cc"):
                words, command = shlex.split(entry["command"]), []
                if any("ccache" in w for w in words):
                    words = words[next(i for i, w in enumerate(words) if w.endswith("ccache")) + 1:]
                skip = 0
                for word in words:
                    if skip:
                        skip -= 1
                    elif word in ("-o", "-include", "-MF", "-MT", "-MQ"):
                        skip = 1
                    elif word not in ("-c", "-Winvalid-pch", "-MD", "-MMD", entry["file"]):
                        command.append(word)
                return [*command, "-fsyntax-only"]
    raise AssertionError(f"no file of {layer} in {databases}")


def _compiles(command, scratch: pathlib.Path, include: str) -> tuple[bool, str]:
    file = scratch / "include.cc"
    file.write_text(f'#include "{include}"\nint main() {{}}\n')
    done = subprocess.run([*command, str(file)], capture_output=True, text=True)
    return done.returncode == 0, done.stderr


def test_an_upward_include_does_not_compile(_):
    with tempfile.TemporaryDirectory() as directory:
        scratch = pathlib.Path(directory)
        for layer, lower, upper in (("sql", "rustbd/base/error.h", "rustbd/exec/access.h"), ("storage", "rustbd/base/ids.h", "rustbd/txn/locks.h")):
            assert (SRC / upper.removeprefix("rustbd/")).is_file(), upper
            command = _compiler_of(layer, scratch)
            ok, output = _compiles(command, scratch, lower)
            assert ok, f"{layer} including {lower}: {output}"
            ok, output = _compiles(command, scratch, upper)
            assert not ok, f"{layer} can include {upper}"
            assert "No such file or directory" in output and upper in output, output


def test_the_checks_see_what_they_are_for(_):
    """Each kind of finding is found in a file that has it."""
    allowed = {"base": {"base"}, "exec": {"base", "exec"}}
    long_function = "int f() {\n" + "  g();\n" * FUNCTION + "}\n"
    cases = {
        "include": ['#include "../x.h"', '#include "x.h"', '#include "rustbd/exec/y.h"', "#include <rustbd/base/x.h>"],
        "banned": ["#include <iostream>", "#include <regex>", "#include <ranges>"],
        "dangling": ["for (auto& r : c.catalog()->relations()) f(r);", "const auto* r = c.catalog()->role(1);"],
        "todo": ["// TO" + "DO: later", "// FIX" + "ME"],
        "long_lines": ["// " + "x" * LINE],
        "long_files": ["\n" * (FILE + 2)],
        "long_functions": [long_function, "struct S {\n  S(int a,\n    int b) : a_(a) {\n" + "    h(\"}\");\n" * FUNCTION + "  }\n};\n"],
    }
    global SRC
    src = SRC
    with tempfile.TemporaryDirectory() as directory:
        SRC = pathlib.Path(directory)
        try:
            path = SRC / "base" / "x.h"
            path.parent.mkdir()
            for kind, texts in cases.items():
                for text in texts:
                    path.write_text("#pragma once\n" + text + "\n")
                    kinds = {k for k, *_ in findings(path, allowed)}
                    assert kinds == {kind}, f"{text[:60]!r}: {kinds}, want {kind}"
            path.write_text("int x;\n")
            assert {k for k, *_ in findings(path, allowed)} == {"pragma"}
            path.write_text("#pragma once\n#include \"rustbd/base/y.h\"\nstruct S {\n" + "  void f() {}\n" * 200 + "};\n")
            assert not list(findings(path, allowed))
        finally:
            SRC = src


if __name__ == "__main__":
    all_found = everything()
    if sys.argv[1:] == ["--shrink"]:
        old = json.loads(RATCHET.read_text()) if RATCHET.exists() else None
        new = counts(all_found)
        if old is not None:
            new = {kind: {p: min(n, old.get(kind, {}).get(p, 0)) for p, n in files.items() if old.get(kind, {}).get(p, 0)} for kind, files in new.items()}
        RATCHET.write_text(json.dumps({kind: files for kind, files in sorted(new.items()) if files}, indent=1, sort_keys=True) + "\n")
    else:
        for where, kind_, line_, text_ in all_found:
            print(f"{where}:{line_}: {kind_}: {text_}")
