"""The test command behind ./test. Builds what a part needs, runs it, prints one line per test and a closing line."""
import importlib.util
import os
import pathlib
import subprocess
import sys
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import harness  # noqa: E402

PARTS = ("style", "unit", "sql", "clients", "crash")
passed = failed = known = 0
failures = []
surprises = []
SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=0",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}


def read_known():
    """tests/known_failures.txt: NAME and why, a line each. They run; failing is no news, passing is (a ratchet)."""
    path = ROOT / "tests/known_failures.txt"
    lines = [line.split(None, 1) for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")] if path.exists() else []
    return {name: why for name, why in lines}


KNOWN = read_known()


def why_known(name: str):
    """The reason on the list, or nothing; an entry that ends with * stands for all names that begin so."""
    for entry, why in KNOWN.items():
        if name == entry or (entry.endswith("*") and name.startswith(entry[:-1])):
            return why.strip()
    return None


def report(name: str, ok: bool, seconds: float, output: str = ""):
    global passed, failed, known
    if not ok and why_known(name):
        known += 1
        print(output[-3000:], flush=True)
        print(f"known to fail: {name} ({seconds:.1f} s): {why_known(name)}", flush=True)
        return
    if ok and name in KNOWN:
        surprises.append(name)
    if ok:
        passed += 1
    else:
        failed += 1
        failures.append(name)
        print(output[-12000:], flush=True)
    print(f"{'ok  ' if ok else 'FAIL'} {name} ({seconds:.1f} s)", flush=True)


def build(preset: str, *targets: str) -> bool:
    begin = time.monotonic()
    done = subprocess.run([str(ROOT / "scripts/build"), preset, *targets], capture_output=True, text=True)
    ok = done.returncode == 0
    if ok:
        print(f"built {preset}: {' '.join(targets)} ({time.monotonic() - begin:.0f} s)", flush=True)
    else:
        report(f"build {preset} {' '.join(targets)}", False, time.monotonic() - begin, done.stdout + done.stderr)
    return ok


def list_of(preset: str, kind: str):
    return (ROOT / f"build/{preset}/{kind}.list").read_text().split()


def run_binary(preset: str, name: str, *arguments: str, label: str = ""):
    begin = time.monotonic()
    env = {**os.environ, **SANITIZER_OPTIONS}
    try:
        done = subprocess.run([str(ROOT / f"build/{preset}/src/{name}"), *arguments], capture_output=True, text=True, timeout=1800, env=env,
                              stdin=subprocess.DEVNULL)
        report(f"{preset}/{name}{label}", done.returncode == 0, time.monotonic() - begin, done.stdout + done.stderr)
    except subprocess.TimeoutExpired as e:
        report(f"{preset}/{name}{label}", False, time.monotonic() - begin, f"no end within 1800 s\n{e.stdout}")


def unit():
    """All under the address and undefined-behaviour sanitizers; the concurrent ones also under the thread sanitizer, and
    optimised: both orders of a race are more likely in one or the other."""
    if build("dev", "unit_tests", "concurrent_tests"):
        for name in list_of("dev", "unit_tests") + list_of("dev", "concurrent_tests"):
            run_binary("dev", name)
    if build("dev", "rustbd-sim"):
        run_binary("dev", "rustbd-sim", "--seeds", "200", label=" (200 seeds)")
    for preset in ("tsan", "release"):
        if build(preset, "concurrent_tests"):
            for name in list_of(preset, "concurrent_tests"):
                run_binary(preset, name)


def sanitized():
    """The server where many sessions meet, and where it is killed, under the sanitizers."""
    fewer, before = {"RUSTBD_KILL_ROUNDS": "8", "RUSTBD_MIXED_KILL_ROUNDS": "4"}, dict(os.environ)
    for preset in ("dev", "tsan"):
        if not build(preset, "rustbd"):
            continue
        os.environ.update({**fewer, **before, **SANITIZER_OPTIONS, "RUSTBD": str(ROOT / f"build/{preset}/rustbd")})
        for part, only in (("sql", "test_concurrency"), ("sql", "test_storm"), ("crash", "test_kill"), ("crash", "test_encryption")):
            run_files(part, only, label=f"{preset}/")
        os.environ.clear()
        os.environ.update(before)


def optimised():
    if build("release", "unit_tests", "concurrent_tests"):
        for name in list_of("release", "unit_tests") + list_of("release", "concurrent_tests"):
            run_binary("release", name)


def run_files(part: str, only: str = "", label: str = ""):
    for path in sorted((ROOT / "tests" / part).glob("test_*.py")):
        if only and only not in str(path):
            continue
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        context = harness.Context()
        before = failed
        try:
            spec.loader.exec_module(module)
            for name in [n for n in vars(module) if n.startswith("test_")]:
                begin = time.monotonic()
                try:
                    getattr(module, name)(context)
                    report(f"{label}{part}/{path.stem}.{name}", True, time.monotonic() - begin)
                except Exception:  # noqa: BLE001: a test fails by any exception
                    report(f"{label}{part}/{path.stem}.{name}", False, time.monotonic() - begin, traceback.format_exc())
        except Exception:  # noqa: BLE001
            report(f"{label}{part}/{path.stem}", False, 0, traceback.format_exc())
        finally:
            try:
                context.close(failed > before)
            except Exception:  # noqa: BLE001
                report(f"{label}{part}/{path.stem}.shutdown", False, 0, traceback.format_exc())


def release() -> bool:
    return build("release", "rustbd")


def style():
    run_files("style")
    if build("release", "link_tests"):
        report("link tests", True, 0)


def crash():
    if build("release", "rustbd-sim"):
        run_binary("release", "rustbd-sim", "--seeds", "2000", label=" (2,000 seeds)")
    if build("release", "server_test"):
        run_binary("release", "server_test", "--gtest_filter=RandomBits.*", label=" (1,000 bits of a data directory flipped)")
    if release():
        run_files("crash")


def one(name: str) -> bool:
    layer = name.split(".")[0]
    if (ROOT / "src" / layer.removesuffix("_test").removesuffix("_concurrent")).is_dir() and layer.endswith("_test"):
        if build("dev", layer):
            arguments = ["--gtest_filter=" + name[len(layer) + 1:]] if "." in name else []
            run_binary("dev", layer, *arguments)
        return True
    for part in PARTS:
        if list((ROOT / "tests" / part).glob(f"*{name}*.py")):
            if part == "style" or release():
                run_files(part, name)
            return True
    return False


def main():
    names = sys.argv[1:] or ["all"]
    for name in names:
        if name == "all":
            style()
            if release():
                run_files("sql")
                run_files("clients")
            crash()
            unit()
            sanitized()
        elif name == "unit":
            unit()
        elif name == "optimised":
            optimised()
        elif name == "sanitized":
            sanitized()
        elif name == "style":
            style()
        elif name == "crash":
            crash()
        elif name in PARTS:
            if release():
                run_files(name)
        elif not one(name):
            print(f"no test is called '{name}': unit, sql, clients, crash, style, optimised, sanitized, all, or a name", file=sys.stderr)
            sys.exit(2)
    if failures:
        print("failed: " + ", ".join(failures))
    if surprises:
        print("known to fail, but passed (take them off tests/known_failures.txt): " + ", ".join(surprises))
    print(f"{passed} passed, {failed} failed, {known} skipped", flush=True)
    sys.exit(1 if failed or not passed else 0)


main()
