"""A file of measurements that is missing, empty, broken or no text is refused before a room reads it."""

import pytest

from wafer2token.evidence.errors import InputError
from wafer2token.study.validate import check_file, validate

BROKEN = {
    "empty.csv": (b"", "empty"),
    "blank.yaml": (b" \n\n", "empty"),
    "bytes.csv": (b"\xff\xfe\x00", "not a text file"),
    "zeros.csv": (b"a\x00b\n", "not a text file"),
    "broken.yaml": (b"a: [1\n", r"broken.yaml:2:1: broken YAML"),
    "broken.json": (b'[{"id": 1,\n', r"broken.json:2:1: broken JSON"),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("kind", ["kernels", "train", "serve"])
def test_broken_files(tmp_path, kind, name):
    content, message = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        validate(kind, points=str(tmp_path / name))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("kind", ["kernels", "train", "serve"])
def test_missing_files_and_folders(tmp_path, kind):
    with pytest.raises(InputError, match="no such file"):
        validate(kind, points=str(tmp_path / "none.csv"))
    with pytest.raises(InputError, match="is a directory"):
        validate(kind, points=str(tmp_path))


def test_a_sound_file_passes(tmp_path):
    (tmp_path / "a.yaml").write_text("- id: x\n")
    check_file(tmp_path / "a.yaml")


def test_own_points_need_a_kind():
    with pytest.raises(InputError, match="need a kind"):
        validate(points="a.csv")
