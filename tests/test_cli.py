"""The command line, mostly run as users run it: in a process of its own."""

from __future__ import annotations

import argparse
import importlib.util
import io
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from _helpers import obeying_interrupts

import fastnn
from fastnn import _cli
from fastnn._cli import _demo, _demo_xor
from fastnn._output import files as _output_files
from fastnn._output import report as _report
from fastnn._output import sketch as _sketch
from fastnn._output.report import Report, Result, duration

WITHOUT_MATPLOTLIB = (
    "import sys; sys.modules['matplotlib'] = None; from fastnn._cli import main; sys.exit(main(sys.argv[1:]))"
)


def run(*arguments, directory=None, command=("-m", "fastnn"), encoding="utf-8"):
    env = {**os.environ, "PYTHONIOENCODING": encoding, "MPLBACKEND": "agg"}
    return subprocess.run(
        [sys.executable, *command, *arguments], capture_output=True, encoding="utf-8", timeout=300, cwd=directory, env=env
    )


# ---- fastnn demo ----


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def demo(directory):
    plot = ["--plot", "demo.png"] if importlib.util.find_spec("matplotlib") else []
    return run("demo", *plot, directory=directory)


def test_demo_succeeds(demo):
    assert (demo.returncode, demo.stderr) == (0, "")
    assert re.search(r"^Done in [\d.]+ m?s\.$", demo.stdout.splitlines()[-1])
    assert max(len(line) for line in demo.stdout.splitlines()) <= 90
    assert "Traceback" not in demo.stdout


def test_demo_learns_xor(demo):
    predicted = re.findall(r"(\d) xor (\d) is (\d),  predicted +(-?[\d.]+)", demo.stdout)
    assert [row[:3] for row in predicted] == [("0", "0", "0"), ("0", "1", "1"), ("1", "0", "1"), ("1", "1", "0")]
    for *_, wanted, value in predicted:
        assert float(value) == pytest.approx(int(wanted), abs=1e-3)
    assert float(re.search(r"loss before training +(\S+)", demo.stdout)[1]) > 0.1
    assert float(re.search(r"loss after training +(\S+)", demo.stdout)[1]) < 1e-6
    assert "The same parameters in all three" in demo.stdout


def test_demo_reads_digits(demo):
    percent, right, of = re.search(r"accuracy on held-out images +([\d.]+)% +\((\d+) of (\d+)\)", demo.stdout).groups()
    assert int(of) == 450
    assert int(right) >= 0.97 * 450
    assert float(percent) == pytest.approx(100 * int(right) / 450, abs=0.051)
    assert "UCI Machine" in demo.stdout
    assert "CC BY 4.0" in demo.stdout
    assert "The same losses in all epochs" in demo.stdout


def test_demo_fits_the_curve(demo):
    error, noise = re.search(
        r"square error against the true curve +([\d.]+) +\(of the samples: ([\d.]+)\)", demo.stdout
    ).groups()
    assert float(error) < 0.5 * float(noise)
    assert "The same curve" in demo.stdout


def test_demo_compares_with_numpy(demo):
    labels = re.findall(r"^ +(.*NumPy.*\S) +[\d.]+ (?:µs|ms|s) +[\d.]+ × as long$", demo.stdout, re.MULTILINE)
    assert [label.split(",")[0] for label in labels] == ["training", "training", "training", "reading one image", "training"]


def test_demo_draws_a_picture(demo, directory):
    pytest.importorskip("matplotlib")
    from matplotlib import image

    pixels = image.imread(directory / "demo.png")
    assert min(pixels.shape[:2]) > 500
    assert pixels.std() > 0.01  # the picture is not empty
    assert "demo.png" in demo.stdout


def test_demo_reports_a_start_from_which_training_gets_stuck_in_ascii():
    result = run("demo", "--seed", "1", encoding="ascii")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.isascii()
    assert "x as long" in result.stdout
    # From these weights the two units never learn to tell all four rows apart, neither in NumPy nor here.
    assert "Training got stuck" in result.stdout
    assert "The same parameters in all three" in result.stdout


def test_demo_agrees_with_numpy_from_a_start_near_a_saddle():
    # Rounding errors grow by seven orders of magnitude here, in NumPy too.
    assert _demo_xor.run(Report(io.StringIO()), 6).agrees


def test_demo_fails_if_numpy_disagrees(monkeypatch, capsys):
    for part in ("_demo_xor", "_demo_digits", "_demo_curve"):
        result = Result([1.0], agrees=part != "_demo_digits")
        monkeypatch.setattr(getattr(_demo, part), "run", lambda report, seed, result=result: result)
    assert _cli.main(["demo"]) == 1
    assert capsys.readouterr().err == "fastnn: error: fastnn and NumPy gave different results: digits\n"


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_an_interrupted_demo_ends_without_a_traceback():
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    with obeying_interrupts():
        process = subprocess.Popen([sys.executable, "-m", "fastnn", "demo"], **pipes)
    process.stdout.readline()  # it has started
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "fastnn: interrupted\n")


# ---- All other commands ----


def test_info_prints_the_configuration():
    result = run("info")
    assert (result.returncode, result.stderr) == (0, "")
    for name in ("fastnn", "instruction set", "usable here", "threads"):
        assert re.search(rf"^{name} ", result.stdout, re.MULTILINE)
    assert fastnn.__version__ in result.stdout


def test_version_is_printed():
    result = run("--version")
    assert (result.returncode, result.stdout) == (0, f"fastnn {fastnn.__version__}\n")


@pytest.mark.parametrize("command", [("-m", "fastnn"), ("-c", "import sys; from fastnn._cli import main; sys.exit(main())")])
def test_no_command_prints_the_help(command):
    result = run(command=command)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == run("--help", command=command).stdout
    for name in ("demo", "predict", "inspect", "export", "bench", "info", "--version"):
        assert re.search(rf"^ +{name} ", result.stdout, re.MULTILINE)


def test_only_similar_commands_are_suggested(capsys):
    assert _cli.main(["dance"]) == 2
    assert "did you mean" not in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [(), ("demo",), ("predict",), ("inspect",), ("export",), ("bench",), ("info",)])
def test_help_is_printed_where_only_ascii_can_be(arguments):
    result = run(*arguments, "--help", encoding="ascii")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.isascii()


def shell(line):
    """Run a shell line in which "fastnn" is the command; return the exit code and the text of the errors."""
    code = "import sys; from fastnn._cli import main; sys.exit(main(sys.argv[1:]))"
    line = line.replace("fastnn", f"{sys.executable} -c '{code}'")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    result = subprocess.run(["bash", "-c", line], capture_output=True, encoding="utf-8", timeout=100, env=environment)
    return result.returncode, result.stderr


@pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX")
@pytest.mark.parametrize("arguments", ["", "info", "--help", "--version", "bench --help"])
def test_closed_outputs_are_ignored_and_full_ones_are_an_error(arguments):
    assert shell(f"fastnn {arguments} | true; exit ${{PIPESTATUS[0]}}") == (141, "")
    assert shell(f"fastnn {arguments} >&-") == (0, "")
    assert shell(f"fastnn {arguments} >&- 2>&-") == (0, "")
    if os.path.exists("/dev/full"):
        assert shell(f"fastnn {arguments} > /dev/full") == (1, "fastnn: error: [Errno 28] No space left on device\n")


@pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX")
def test_errors_that_cannot_be_written_leave_the_exit_code():
    assert shell("fastnn dance 2>&-") == (2, "")
    assert shell("fastnn demo --seed x >&- 2>&-") == (2, "")


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ((), ["demo", "info", "--version"]),
        (("demo",), ["--plot", "--seed"]),
        (("predict",), ["MODEL", "DATA", "--out", "--columns", "--no-header", "--delimiter", "--allow-missing"]),
        (("inspect",), ["FILE", "--json"]),
        (("export",), ["FILE", "--to", "--out", "--name", "--dtype", "--force"]),
    ],
)
def test_help_describes_each_command(arguments, names, capsys):
    assert _cli.main([*arguments, "--help"]) == 0
    text = capsys.readouterr().out
    for name in names:
        assert name in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dance"], "invalid choice: 'dance'"),
        (["demmo"], "did you mean 'demo'?; see fastnn --help"),
        (["benchmark"], "did you mean 'bench'?; see fastnn --help"),
        (["bench", "--dtype", "float46"], "did you mean 'float64'?; see fastnn bench --help"),
        (["info", "more"], "unrecognized arguments: more"),
        (["demo", "--seed"], "expected one argument"),
        (["demo", "--seed", "-1"], "expected an integer from 0"),
        (["demo", "--seed", "4294967296"], "expected an integer from 0 to 4294967295, got '4294967296'"),
        (["demo", "--seed", "²"], "expected an integer"),
    ],
)
def test_wrong_usage_exits_with_a_message(arguments, message, capsys):
    assert _cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert re.fullmatch(r"fastnn.*: error: .*; see fastnn.* --help\n", err)


def test_wrong_usage_in_a_process_exits_with_2():
    result = run("dance")
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("name", ["demo", "demo.txt", "missing/demo.png", "folder.png", "lost.png"])
def test_plots_that_cannot_be_saved_are_refused_before_anything_runs(name, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "lost.png").symlink_to("missing/demo.png")
    assert _cli.main(["demo", "--plot", name]) == 2
    assert re.search(f"argument --plot: expected a.* got {re.escape(repr(name))}", capsys.readouterr().err)


@pytest.mark.parametrize("name", ["", "missing/a", "folder", "new/", "lost", "old", "fixed/new"])
def test_files_that_cannot_be_written_are_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("folder", "fixed"):
        (tmp_path / folder).mkdir()
    (tmp_path / "lost").symlink_to("missing/a")
    (tmp_path / "old").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.W_OK and os.path.basename(path) not in ("old", "fixed"))
    with pytest.raises(argparse.ArgumentTypeError, match=f"^expected a file .*got '{name}'"):
        _output_files.output_file(name)


def test_files_that_can_be_written_are_accepted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").touch()
    (tmp_path / "link").symlink_to("new")
    for name in ("new", "old", "link", "./new", str(tmp_path / "new"), "/dev/stdout", "/dev/null"):
        assert str(_output_files.output_file(name)) == os.path.normpath(name)


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("PDF", b"%PDF"), ("svg", b"<?xml")])
def test_pictures_replace_a_file_as_a_whole(suffix, start, tmp_path):
    figures = pytest.importorskip("matplotlib.figure")
    (tmp_path / f"link.{suffix}").symlink_to("target")
    _output_files.save_figure(figures.Figure(), tmp_path / f"link.{suffix}")
    assert (tmp_path / f"link.{suffix}").is_symlink()
    assert (tmp_path / "target").read_bytes().startswith(start)


def test_plots_without_matplotlib_name_the_extra():
    result = run("demo", "--plot", "a.png", command=("-c", WITHOUT_MATPLOTLIB))
    assert (result.returncode, result.stdout) == (2, "")
    assert 'needs Matplotlib: pip install "fastnn-cpu[plot]"' in result.stderr


ERRORS = (ValueError("two\nlines"), OSError("two lines"), ArithmeticError("two lines"), MemoryError("two lines"))


@pytest.mark.parametrize("error", ERRORS)
def test_errors_are_one_line(error, monkeypatch, capsys):
    def fail(arguments):
        raise error

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", lambda *_: argparse.Namespace(run=fail))
    assert _cli.main([]) == 1
    assert capsys.readouterr().err == "fastnn: error: two lines\n"


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_closed_pipe_ends_the_command_quietly():
    process = subprocess.Popen(
        [sys.executable, "-m", "fastnn", "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )
    process.stdout.readline()
    process.stdout.close()
    assert (process.wait(timeout=60), process.stderr.read()) == (141, "")
    process.stderr.close()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0.00 µs"), (9.99e-4, "999 µs"), (9.999e-4, "1.00 ms"), (0.9999, "1.00 s"), (12.34, "12.3 s"), (123.4, "123 s")],
)
def test_durations_are_printed_in_suitable_units(seconds, text):
    assert duration(seconds) == text


def test_reports_keep_characters_that_the_encoding_has():
    texts = {}
    for encoding in ("utf-8", "latin-1", "ascii"):
        file = io.BytesIO()
        stream = io.TextIOWrapper(file, encoding=encoding)
        Report(stream).time("a", 1.0, than=0.25)
        texts[encoding] = file.getvalue().decode(encoding).split()
    assert texts["utf-8"] == ["a", "1.00", "s", "4.0", "×", "as", "long"]
    assert texts["latin-1"] == texts["ascii"] == ["a", "1.00", "s", "4.0", "x", "as", "long"]


@pytest.mark.parametrize(
    ("encoding", "text"), [("utf-8", "ü😀·"), ("latin-1", "ü\\U0001f600."), ("ascii", "\\xfc\\U0001f600.")]
)
def test_reports_replace_characters_that_the_encoding_lacks(encoding, text):
    file = io.BytesIO()
    stream = io.TextIOWrapper(file, encoding=encoding)
    Report(stream).title("ü😀·")
    assert file.getvalue().decode(encoding) == text + "\n"


@pytest.mark.parametrize("encoding", [None, "klingon"])
def test_reports_can_be_written_to_a_stream_without_an_encoding(encoding):
    class Stream(io.StringIO):
        pass

    Stream.encoding = encoding
    stream = Stream()
    Report(stream).title("a × b")
    assert stream.getvalue() == "a x b\n"


@pytest.mark.parametrize(
    ("environment", "styled"),
    [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"TERM": "xterm"}, True)],
)
@pytest.mark.parametrize("terminal", [True, False])
def test_colours_are_used_only_where_they_are_wanted(environment, styled, terminal, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("TERM", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    Report(stream).title("a")
    assert stream.getvalue() == ("\033[1ma\033[0m\n" if styled and terminal else "a\n")


def test_verdicts_give_the_difference_and_say_whether_it_is_within_bounds():
    stream = io.StringIO()
    report = Report(stream)
    assert report.verdict("bits", 1e-10, 1e-9)
    assert not report.verdict("bits", float("nan"), 1e-9)
    assert stream.getvalue().splitlines() == [
        "   The same bits: the largest difference is 1e-10.",
        "   NOT THE same bits: the largest difference is nan.",
    ]
    assert _report.largest_difference([np.zeros((1, 2))], [np.array([0.0, -2.0])]) == 2.0


def test_a_curve_is_sketched_in_characters():
    x = np.linspace(0, 1, 5)[:, None]
    assert _sketch.curves([("-", x, x), ("o", x[:1], x[:1])], width=10, height=3) == [
        "  1.0 │       - -",
        "      │     -",
        "  0.0 │o -",
        "       ──────────",
        "       0.0    1.0",
    ]
