"""Places: the home folder and the folder of the data, and what is said when they cannot be used."""

from pathlib import Path

import pytest

from assets.errors import ConfigError
from assets.settings import REPOSITORY
from assets.workspace import Workspace

SAMPLE = REPOSITORY / "configs" / "sample.yaml"


def test_a_home_that_cannot_be_written_is_an_error_that_names_the_variable(tmp_path):
    (tmp_path / "taken").write_text("a file where the folder should be")
    for home in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(ConfigError, match="SYNPREF_HOME") as caught:
            Workspace(SAMPLE, home=home).make_home()
        assert str(home) in str(caught.value)


def test_a_home_that_can_be_written_is_made(tmp_path):
    Workspace(SAMPLE, home=tmp_path / "a" / "b").make_home()
    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize(
    ("path", "variable", "expected"),
    [
        ("{data}/x", "/elsewhere", Path("/elsewhere/x")),
        ("{data}/x", "", REPOSITORY.parent / "shared" / "data" / "x"),
        ("{home}/x", "", Path("/home-of-tests/x")),
        ("{lake}/x", "", Path("/home-of-tests/lake/sample/x")),
        ("x/y", "", REPOSITORY / "configs" / "x" / "y"),
        ("/x/../y", "", Path("/y")),
    ],
)
def test_placeholders_are_filled_in(monkeypatch, path, variable, expected):
    monkeypatch.setenv("SYNPREF_DATA", variable)
    assert Workspace(SAMPLE, home=Path("/home-of-tests")).resolve(path) == expected.resolve()
