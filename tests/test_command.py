"""The command: what it says, and how it fails."""

import errno
import json
import os
import subprocess
import sys

import pytest
from astropy.io import fits

from labeltransfer.command import COMMANDS, main, parser
from labeltransfer.command.book import read_parameters
from labeltransfer.command.process import in_words, log_to_stderr


def call(*arguments, cwd=None, **environment):
    command = [sys.executable, "-m", "labeltransfer", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def test_help_lists_commands_and_parameters(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["run", "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert "smoothing_width" in shown
    assert "--resume" in shown
    assert "default [teff,logg,fe_h,alpha_m,a_k]; allowed: names of labels" in shown
    assert "default 2017; allowed: 0 to 2147483647" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "x", "-p", "clip_sgima", "2"], "did you mean 'clip_sigma'"),
        (["run", "x", "-p", "clip_sigma", "0.1"], "range 1 to 100"),
        (["run", "x", "-p", "clip_sigma", "[2"], "cannot read"),
        (["run", "x", "--chapters", "7"], "no chapter '7'"),
        (["run", "x", "--chapters", "3-1"], "found a range that runs backwards, wanted 1-3"),
        (["run", "x/y"], "run name"),
        (["run", "-p", "clip_sigma", "2"], "wants a name"),
        (
            ["run", "default", "-p", "clip_sigma", "2"],
            "is there with clip_sigma = 4.0, and asked for is clip_sigma = 2.0",
        ),
        (["run", "x", "-p", "seed", "010"], "parameter seed: found '010', wanted int, without leading zeros"),
        (["run", "x", "-p", "seed", "1:30"], "parameter seed: found '1:30', wanted int"),
        (["run", "x", "-p", "seed", "1", "-p", "seed", "2"], "parameter seed: given 2 times, wanted once"),
        (["run", "x", "-p", "run", "y"], "parameter run: found 'y'"),
        (["build", "default/"], "run name"),
        (["build", "nothing"], "no run 'nothing'"),
        (["sync", "--accept", "nothing"], "no run 'nothing'"),
        (["compare", "nothing"], "no run 'nothing'"),
    ],
)
def test_mistakes_end_with_a_message_and_two(small_run, monkeypatch, capsys, arguments, message):
    monkeypatch.setenv("LABELTRANSFER_BOOK", str(small_run))
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert "Traceback" not in shown.err


def test_survey_that_is_not_there(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("LABELTRANSFER_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    assert main(["run", "x", "-p", "source", "folder", "-p", "survey_dir", "nowhere"]) == 2
    assert str(tmp_path / "nowhere") in capsys.readouterr().err
    assert main(["run", "x", "-p", "source", "folder"]) == 2
    assert "-p survey_dir PATH" in capsys.readouterr().err
    assert main(["run", "x", "-p", "survey_dir", "."]) == 2
    assert "-p source folder" in capsys.readouterr().err
    assert not (tmp_path / "runs" / "x").exists()


def test_a_relative_folder_is_meant_from_here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert read_parameters([["survey_dir", "data"]]) == {"survey_dir": str(tmp_path / "data")}


def test_sync_check_says_what_is_wrong(small_copy, monkeypatch, capsys):
    monkeypatch.setenv("LABELTRANSFER_BOOK", str(small_copy))
    assert main(["sync", "--check"]) == 0
    assert "every twin" in capsys.readouterr().out
    (small_copy / "book" / "02_mean.ipynb").unlink()
    assert main(["sync", "--check"]) == 1
    assert "02_mean.ipynb: does not exist" in capsys.readouterr().err
    assert main(["sync", "--accept", "default"]) == 0
    assert "written: book/02_mean.ipynb" in capsys.readouterr().out
    folder = small_copy / "_runs" / "default"
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**record, "status": "failed", "failure": "no star"}))
    assert main(["sync", "--accept", "default"]) == 2
    assert "it failed: no star" in capsys.readouterr().err
    (folder / "run.json").write_text(json.dumps({**record, "parameters": {**record["parameters"], "n_folds": 4}}))
    assert main(["sync", "--accept", "default"]) == 2
    assert "has n_folds = 4, wanted all parameters at their defaults" in capsys.readouterr().err


def test_runs_are_listed(small_run, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("LABELTRANSFER_BOOK", str(small_run))
    assert main(["runs"]) == 0
    assert capsys.readouterr().out.startswith("default")
    monkeypatch.setenv("LABELTRANSFER_RUNS", str(tmp_path))
    assert main(["runs"]) == 0
    assert "no runs in" in capsys.readouterr().out


def test_a_comparison_replaces_nothing_unasked(small_run, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("LABELTRANSFER_BOOK", str(small_run))
    page, numbers, other = tmp_path / "c.html", tmp_path / "c.json", tmp_path / "mine.html"
    other.write_text("<p>mine</p>")
    command = ["compare", "default", "default", "--html", str(page), "--json", str(numbers)]
    assert main(command) == 0
    before = {path: path.read_bytes() for path in (page, numbers)}
    capsys.readouterr()
    assert main(command) == 2
    assert "a page of a comparison is there already; give another name, or replace it (--replace)" in (
        capsys.readouterr().err
    )
    assert {path: path.read_bytes() for path in (page, numbers)} == before
    assert main([*command, "--replace"]) == 0
    assert main(["compare", "default", "--html", str(other), "--replace"]) == 2
    assert "is no page of a comparison that labeltransfer wrote" in capsys.readouterr().err
    assert other.read_text() == "<p>mine</p>"
    assert main(["compare", "default", "--html", str(page), "--json", str(page), "--replace"]) == 2
    assert "wanted two names" in capsys.readouterr().err


def test_a_crash_in_a_process_of_its_own(small_copy):
    page = small_copy / "book" / "01_stars.md"
    page.write_text(page.read_text().replace("values = chapter", "1 / 0\nvalues = chapter"))
    done = call("run", "crash", cwd=small_copy, LABELTRANSFER_BOOK=str(small_copy))
    assert done.returncode == 1
    assert "01_stars: cell" in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert (small_copy / "_runs" / "crash" / "01_stars.failed.ipynb").exists()


@pytest.mark.parametrize(
    ("options", "suffix", "n_hdus"), [([], ".fits", 1), (["--format", "table", "--gzip"], ".gz", 2)]
)
def test_simulate_writes_the_file_format_asked_for(tmp_path, options, suffix, n_hdus):
    sizes = ["--overlap", "2", "--dr2", "1", "--apogee", "4"]
    assert main(["simulate", str(tmp_path / "new"), *sizes, *options]) == 0
    files = [path for path in (tmp_path / "new" / "spectra").rglob("*") if path.is_file()]
    assert len(files) == 3
    assert {path.suffix for path in files} == {suffix}
    with fits.open(files[0]) as hdus:
        assert len(hdus) == n_hdus


def test_simulate_knows_no_other_format(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["simulate", str(tmp_path / "new"), "--format", "dr2"])
    assert "choose from" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_survey_without_an_overlap_is_not_recommended_to_learn_from(tmp_path, capsys):
    assert main(["simulate", str(tmp_path / "new"), "--overlap", "0", "--dr2", "3", "--apogee", "20"]) == 0
    assert capsys.readouterr().out.endswith("0 stars in common, 3 further LAMOST stars\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--label-names", ""], "label names: found none, or an empty one"),
        (["--label-names", "teff,"], "label names: found none, or an empty one"),
        (["--seed", "-1"], "argument --seed: found '-1', wanted a whole number, 0 or more"),
    ],
)
def test_what_train_is_asked_is_checked_first(tmp_path, capsys, options, message):
    try:
        code = main(["train", str(tmp_path), "-o", str(tmp_path / "model.npz"), *options])
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["teff", "teff=", "=50", "teff:50", "teff=-1", "teff=nan", "teff=fifty", "teff=50,", "teff=50,teff=60"]
)
def test_label_errors_of_the_shell_are_checked_first(tmp_path, capsys, text):
    with pytest.raises(SystemExit):
        main(["train", str(tmp_path), "-o", str(tmp_path / "model.npz"), "--label-errors", text])
    assert "wanted every label once, with a number that is not negative: teff=50,logg=0.1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "passed"),
    [
        ([], {"rng": None}),
        (["--seed", "3"], {"rng": 3}),
        (["--label-errors", "TEFF=50, [Mg/Fe]=0.1"], {"rng": None, "label_errors": {"teff": 50.0, "mg_fe": 0.1}}),
    ],
)
def test_train_asks_learn_for_nothing_unasked(monkeypatch, tmp_path, options, passed):
    def learn(survey, **given):
        raise ValueError(repr(given) if given != passed else "as it should be")

    monkeypatch.setattr("labeltransfer.archive.open_survey", lambda *given, **options: None)
    monkeypatch.setattr("labeltransfer.transfer.learn", learn)
    given = parser(arguments := ["train", str(tmp_path), "-o", str(tmp_path / "m.npz"), *options]).parse_args(arguments)
    with pytest.raises(ValueError, match="as it should be"):
        given.call(given)


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", ".", "-o", "model.pkl"],
        ["train", ".", "-o", "there.npz"],
        ["infer", "m.npz", "a.fits", "-o", "labels.doc"],
        ["infer", "m.npz", "a.fits", "-o", "there.csv"],
    ],
)
def test_an_output_that_cannot_be_is_refused_before_anything_is_loaded(tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.npz").touch()
    (tmp_path / "there.csv").touch()
    assert loaded(f"from labeltransfer.command import main; assert main({arguments!r}) == 2") == []


def test_simulate_writes_a_survey_and_never_into_a_full_folder(tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    assert main(["simulate", str(tmp_path / "full")]) == 2
    assert "not an empty folder" in capsys.readouterr().err
    arguments = ["--overlap", "8", "--dr2", "5", "--apogee", "20", "--seed", "3"]
    assert main(["simulate", str(tmp_path / "new"), *arguments]) == 0
    assert "labeltransfer run" in capsys.readouterr().out
    assert list((tmp_path / "new").rglob("*.fits*"))


# ---- what it loads, and how it ends


HEAVY = ("numba", "matplotlib", "scipy", "astropy", "numpy", "IPython", "docutils", "papermill", "labeltransfer.mock")


def loaded(code):
    """Heavy modules that are loaded after some code in a process of its own."""
    code = f"import sys\ntry:\n  {code}\nexcept SystemExit:\n  pass\nprint(*(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


@pytest.mark.parametrize("option", ["--help", "--version", "-v --help"])
def test_help_and_version_load_nothing_heavy(option):
    assert loaded(f"from labeltransfer.command import main; main({option.split()!r})") == []


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if command.module != "book"])
def test_the_help_of_a_command_loads_nothing_heavy(name):
    assert loaded(f"from labeltransfer.command import main; main(['{name}', '--help'])") == []


def test_the_library_loads_a_room_when_it_is_used():
    assert loaded("import labeltransfer as lt; dir(lt), lt.__version__") == []
    assert set(loaded("import labeltransfer as lt; lt.labels.LABELS, lt.Labels")) <= {"numpy", "astropy"}
    assert "matplotlib" not in loaded("import labeltransfer as lt; lt.Spectra, lt.learn")


def test_every_public_name_is_there():
    import labeltransfer as lt

    assert {"Spectra", "learn", "open_survey", "validation"} <= set(dir(lt))
    assert all(getattr(lt, name) is not None for name in dir(lt))
    assert not hasattr(lt, "Table")
    capitals_and_calls = [name for name in dir(lt) if not isinstance(getattr(lt, name), type(lt))]
    assert len(capitals_and_calls) <= 18, "the rest stays in its modules"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error(closed):
    done = subprocess.run(["sh", "-c", f'exec "{sys.executable}" -m labeltransfer completion bash {closed}'],
                          capture_output=True, check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_terminal_without_a_character_shows_an_escape(tmp_path):
    plain = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    assert call("infer", "--help", **plain).returncode == 0
    done = call("infer", "é.npz", "x", "-o", "ü.fits", **plain)
    assert done.returncode == 2
    assert (
        done.stderr == "labeltransfer infer: \\xe9.npz: no such file; wanted a LabelTransfer written by labeltransfer\n"
    )
    done = call("simulate", "ö", "--overlap", "0", "--dr2", "0", "--apogee", "0", cwd=tmp_path, **plain)
    assert (done.returncode, done.stdout) == (0, "\\xf6: 0 stars in common, 0 further LAMOST stars\n")


def test_errors_of_the_system_that_name_no_file():
    assert in_words(FileNotFoundError(errno.ENOENT, "No such file or directory")) == (
        "the current folder: No such file or directory"
    )
    assert in_words(OSError(errno.ENOSPC, "No space left on device")) == "standard output: No space left on device"
    assert in_words(OSError(errno.EMFILE, "Too many open files")) == "Too many open files"


def test_version_and_exit_codes_are_shown():
    from labeltransfer import __version__

    assert call("--version").stdout == f"labeltransfer {__version__}\n"
    shown = call("--help", NO_COLOR="1").stdout
    assert "\x1b" not in shown
    assert [line.split()[0] for line in shown.partition("exit codes:\n")[2].splitlines()] == "0 1 2 3 130".split()  # noqa: SIM905


@pytest.mark.parametrize(
    "arguments",
    [
        ["infer", "model.npz", "", "-o", "labels.fits"],
        ["infer", "", "spectra", "-o", "labels.fits"],
        ["infer", "model.npz", "spectra", " ", "-o", "labels.fits"],
        ["infer", "model.npz", "spectra", "-o", ""],
        ["train", "", "-o", "model.npz"],
        ["train", "survey", "--labels", "", "-o", "model.npz"],
        ["ingest", "", "-o", "store"],
        ["simulate", ""],
        ["fetch", "tutorial", "-o", ""],
        ["sweep", ""],
        ["compare", "default", "--html", ""],
    ],
)
def test_an_empty_path_is_not_the_current_folder(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "found an empty path" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_and_options(capsys, shell):
    assert main(["completion", shell]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("simulate", "infer", "compare"))
    assert "smoothing" in shown or "take_from" in shown or "from" in shown


@pytest.mark.parametrize("arguments", [["--help"], ["completion", "bash"], ["train", "--help"]])
def test_a_reader_that_goes_away_is_no_error(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        command = [sys.executable, "-m", "labeltransfer", *arguments]
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    assert done.stderr == ""
    assert done.returncode in (0, 141)


@pytest.mark.parametrize(
    ("arguments", "missing", "extra"),
    [
        (["run", "x"], "papermill", "book"),
        (["runs"], "jupytext", "book"),
        (["ingest", "spectra", "-o", "store"], "zarr", "survey"),
        (["fetch", "tutorial", "-o", "data"], "pooch", "survey"),
        (["infer", "m.npz", "spectra", "-o", "labels.parquet"], "pyarrow", "survey"),
    ],
)
def test_a_missing_extra_is_named_before_anything_is_written(
    monkeypatch, capsys, tmp_path, arguments, missing, extra
):  # fmt: skip
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setenv("LABELTRANSFER_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert f'{missing} is not installed: pip install "labeltransfer[{extra}]"' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_the_system_says_is_told_without_its_number():
    from labeltransfer.command.process import in_words

    assert in_words(PermissionError(13, "Permission denied", "a.npz")) == "a.npz: Permission denied"
    assert in_words(ValueError("a.npz: damaged")) == "a.npz: damaged"
    assert in_words(OSError("no scheduler")) == "no scheduler"


def test_messages_of_the_library_are_as_loud_as_asked(capsys):
    import logging

    for option, shown in (("-q", "e"), ("", "w e"), ("-v", "i w e"), ("-vv", "d i w e")):
        log_to_stderr(option.count("v") - option.count("q"))
        logger = logging.getLogger("labeltransfer.cannon")
        for say, text in ((logger.debug, "d"), (logger.info, "i"), (logger.warning, "w"), (logger.error, "e")):
            say(text)
        assert [line[-1] for line in capsys.readouterr().err.splitlines()] == shown.split()
    logging.getLogger("labeltransfer").handlers.clear()
    logging.getLogger("labeltransfer").setLevel(logging.NOTSET)


def test_what_a_sub_command_does_not_understand_is_told_below_its_own_usage(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["train", "spectra", *(f"spec-{n}.fits" for n in range(9)), "-o", "model.npz"])
    told = capsys.readouterr().err
    assert "usage: labeltransfer train" in told
    assert "unrecognized arguments: spec-0.fits spec-1.fits spec-2.fits and 6 more" in told
