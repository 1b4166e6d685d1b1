import numpy as np
import pytest

from labeltransfer import catalogue
from labeltransfer.archive import open_survey
from labeltransfer.command import main
from labeltransfer.mock import SimulatedSurvey, write_survey
from labeltransfer.survey import label_survey
from labeltransfer.transfer import LabelTransfer, learn
from lamost_files import real_spectra

NAMES = ("teff", "logg", "fe_h")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    survey = SimulatedSurvey(n_overlap=120, n_dr2=10, n_apogee=200, seed=8)
    return write_survey(survey, tmp_path_factory.mktemp("survey") / "new", progress=False)


@pytest.fixture(scope="module")
def transfer(folder):
    return learn(open_survey("folder", folder, NAMES, progress=False), rng=np.random.default_rng(1))


@pytest.mark.slow
def test_a_survey_is_learnt(transfer):
    assert transfer.model.label_names == NAMES
    assert transfer.simulated
    assert 80 < len(transfer.reference_labels) == transfer.counts["reference stars"] <= 120
    assert repr(transfer).startswith("LabelTransfer(teff, logg, fe_h; recipe robust; trained on")


@pytest.mark.slow
def test_what_was_learnt_survives_the_file(transfer, folder, tmp_path):
    transfer.write(tmp_path / "model.npz")
    again = LabelTransfer.read(tmp_path / "model.npz")
    files = sorted(folder.rglob("spec-*.fits"))[:20]
    first, second = (label_survey(one, files, progress=False) for one in (transfer, again))
    for name in first.colnames:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    assert again.counts == transfer.counts
    assert (again.width, again.convention, again.mask) == (50.0, "paper", "none")


@pytest.mark.slow
def test_labels_come_back_near_the_truth(transfer, folder):
    overlap = open_survey("folder", folder, NAMES, progress=False).overlap()
    table = label_survey(transfer, folder / "spectra", progress=False)
    place = {name: row for row, name in enumerate(table["id"])}
    rows = [place[name] for name in overlap.truth.ids]
    good = np.asarray(table["converged"])[rows]
    assert good.mean() > 0.9
    for name, limit in zip(NAMES, (120, 0.35, 0.2), strict=True):
        residual = (np.asarray(table[name])[rows] - overlap.truth.column(name))[good]
        assert np.median(np.abs(residual)) < limit


def test_too_few_stars_to_learn_from(folder):
    survey = open_survey("folder", folder, NAMES, progress=False)
    with pytest.raises(ValueError, match=r": found \d+ stars with spectra and good labels, wanted 100000 or"):
        learn(survey, rng=np.random.default_rng(1), n_starts=100_000)


@pytest.mark.slow
def test_real_giants_are_learnt_and_labelled():
    folder = real_spectra() / "lamost_dr10_giants"
    if not folder.exists():
        pytest.skip("no real LAMOST spectra at hand (LABELTRANSFER_REAL_SPECTRA)")
    transfer = learn(open_survey("folder", folder, NAMES, progress=False), rng=np.random.default_rng(1))
    labelled = label_survey(transfer, folder, progress=False)
    assert len(labelled) == 80
    assert not transfer.simulated
    pipeline = open_survey("folder", folder, NAMES, progress=False).overlap().labels
    residual = labelled["teff"] - pipeline.column("teff")
    assert np.nanmedian(np.abs(residual)) < 100


# --- from the shell


@pytest.mark.slow
def test_train_and_infer_from_the_shell(folder, tmp_path, capsys):
    model, labels = tmp_path / "model.npz", tmp_path / "labels.fits"
    assert main(["train", str(folder), "-o", str(model), "--label-names", "teff,logg"]) == 0
    assert "reference stars" in capsys.readouterr().out
    files = [str(path) for path in sorted(folder.rglob("spec-*.fits"))[:6]]
    broken = tmp_path / "spec-broken.fits"
    broken.write_bytes(b"no FITS")
    assert main(["infer", str(model), *files, str(broken), "-o", str(labels)]) == 3
    captured = capsys.readouterr()
    assert f"not read: {broken}: not a FITS file" in captured.err
    assert "6 stars labelled" in captured.out
    assert "1 files not read" in captured.out
    table = catalogue.read(labels)
    assert len(table) == 6
    assert {"teff", "logg", "teff_err", "cov_teff_logg"} <= set(table.colnames)
    assert "fe_h" not in table.colnames


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nowhere", "-o", "m.npz"], "nowhere: no such folder"),
        (["train", "nowhere", "-o", "m.pkl"], "found suffix '.pkl', wanted .npz"),
        (["infer", "m.npz", "a.fits", "-o", "x.doc"], "found suffix '.doc', wanted one of .fits"),
        (["infer", "m.npz", "a.fits", "-o", "x.fits"], "m.npz: no such file; wanted a LabelTransfer"),
    ],
)
def test_the_shell_is_told_what_is_wrong(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
