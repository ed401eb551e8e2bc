"""Images come out of archives; nothing else does, and nothing lands outside the folder."""

import gzip
import io
import stat
import tarfile
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from i2i_bench.tasks import archives
from i2i_bench.tasks.archives import ArchiveError, Bounds, unpack

GOOD = {"set/trainA/1.png": b"one" * 400, "set/trainB/1.JPG": b"two" * 400}
KINDS = ("zip", "tar.gz")


def make(path, files, kind):
    """Write an archive of names and contents."""
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz") as archive:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def make_tar(path, *members):
    """Write a tar.gz of members of any kind, each with its content."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in GOOD.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in members:
            archive.addfile(info, io.BytesIO(b"x" * info.size))
    return path


def member(name, kind=tarfile.REGTYPE, **fields):
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in fields.items():
        setattr(info, key, value)
    return info


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "around" / "folder").mkdir(parents=True)
    return tmp_path / "around" / "folder"


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def assert_refused(path, folder, reason, **options):
    with pytest.raises(ArchiveError, match=reason) as caught:
        unpack(path, folder, **options)
    assert path.name in str(caught.value) and "\n" not in str(caught.value)
    around = {each for each in folder.parent.iterdir() if each != folder}
    assert not around  # nothing beside the folder


# What is sound


def test_images_come_out_as_they_went_in(kind, tmp_path, folder):
    path = make(tmp_path / "archive", GOOD, kind)
    assert unpack(path, folder) == len(GOOD)
    assert contents(folder) == GOOD


def test_the_kind_is_known_by_content_not_by_name(tmp_path, folder):
    path = make(tmp_path / "archive.zip", GOOD, "tar.gz")
    unpack(path, folder)
    assert contents(folder) == GOOD


def test_what_is_no_image_or_of_a_system_stays_inside(kind, tmp_path, folder):
    others = ("readme.txt", "set/.DS_Store", "__MACOSX/set/trainA/._1.png", "set/.x.png", "x.py")
    path = make(tmp_path / "archive", GOOD | dict.fromkeys(others, b"x"), kind)
    assert unpack(path, folder) == len(GOOD)
    assert contents(folder) == GOOD


def test_a_leading_dot_and_names_of_any_script_are_plain(kind, tmp_path, folder):
    names = {"./trainA/1.png": "trainA/1.png", "trainA/写真 10:31.png": "trainA/写真 10:31.png"}
    path = make(tmp_path / "archive", dict.fromkeys(names, b"x"), kind)
    unpack(path, folder)
    assert set(contents(folder)) == set(names.values())


def test_folders_of_an_archive_are_no_images(tmp_path, folder):
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        archive.mkdir("trainA")
        archive.mkdir("trainA/sub.png")
        archive.writestr("trainA/1.png", b"x")
    assert unpack(tmp_path / "a", folder) == 1
    path = make_tar(tmp_path / "b", member("./", tarfile.DIRTYPE), member("c.png", tarfile.DIRTYPE))
    other = folder / "other"
    other.mkdir()
    assert unpack(path, other) == len(GOOD)


def test_progress_ends_at_the_size_of_the_archive(kind, tmp_path, folder):
    path, calls = make(tmp_path / "archive", GOOD, kind), []
    unpack(path, folder, progress=lambda *call: calls.append(call))
    size = path.stat().st_size
    assert calls == sorted(calls) and calls[-1] == (size, size)
    assert len(calls) == len(GOOD) + 1


# What is hostile


@pytest.mark.parametrize(
    "name",
    [
        "../evil.png",
        "set/../../evil.png",
        "/evil.png",
        "//evil.png",
        "/../evil.png",
        "..\\evil.png",
        "C:\\evil.png",
        "set/\x07.png",
        "set/new\nline.png",
        "set/\x1b[31m.png",
        "..",
        "x/" * 20 + "1.png",
        "x" * 256 + ".png",
        "../evil.txt",
    ],
)
def test_names_that_lead_elsewhere_are_refused(name, kind, tmp_path, folder):
    path = make(tmp_path / "archive", GOOD | {name: b"x"}, kind)
    assert_refused(path, folder, r"plain name|leads out|too long")


def test_a_name_that_hides_its_end_is_refused(tmp_path, folder):
    path = make(tmp_path / "archive", {"evil.pngXevil.txt": b"x"}, "zip")
    path.write_bytes(path.read_bytes().replace(b"pngX", b"png\0"))
    assert_refused(path, folder, "plain name")


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE],
)
@pytest.mark.parametrize("name", ["set/evil.png", "set/evil"])
def test_links_and_devices_of_a_tar_are_refused(name, kind, tmp_path, folder):
    path = make_tar(tmp_path / "archive", member(name, kind, linkname="/etc/passwd"))
    assert_refused(path, folder, "link, a device")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_of_a_zip_are_refused(kind, tmp_path, folder):
    info = zipfile.ZipInfo("set/evil.png")
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "archive", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert_refused(tmp_path / "archive", folder, "link, a device")


def test_a_file_below_a_link_is_not_written_through_it(tmp_path, folder):
    link = member("set/out", tarfile.SYMTYPE, linkname="../../..")
    path = make_tar(tmp_path / "archive", link, member("set/out/evil.png", size=1))
    assert_refused(path, folder, "link, a device")


def test_a_member_that_comes_twice_is_refused(kind, tmp_path, folder):
    path = make(tmp_path / "archive", {"A/1.png": b"x", "a/1.PNG": b"y"}, kind)
    assert_refused(path, folder, r"holds a/1\.PNG twice")


def test_a_member_that_is_file_and_folder_is_refused(kind, tmp_path, folder):
    path = make(tmp_path / "archive", {"a.png": b"x", "a.png/b.png": b"y"}, kind)
    assert_refused(path, folder, "both a file and a folder")


@pytest.mark.parametrize("name", ["set/zeros.png", "zeros.bin"])
def test_a_bomb_is_refused_before_it_fills_the_disk(name, kind, tmp_path, folder):
    path = make(tmp_path / "archive", {name: bytes(2**22)}, kind)
    bounds = Bounds(file_bytes=2**20, total_bytes=2**20)
    if kind == "zip" and not name.endswith(".png"):
        assert unpack(path, folder, bounds=bounds) == 0  # it need not be unpacked to be left out
    else:
        assert_refused(path, folder, "unpacks to more", bounds=bounds)
    assert sum(map(len, contents(folder).values())) <= 2**20


def test_many_small_bombs_are_one(kind, tmp_path, folder):
    path = make(tmp_path / "archive", {f"{i}.png": bytes(2**18) for i in range(8)}, kind)
    assert_refused(path, folder, "unpacks to more", bounds=Bounds(ratio=2, free_bytes=2**20))
    assert sum(map(len, contents(folder).values())) <= 2**20


def test_a_size_that_is_a_lie_does_not_help_a_bomb(tmp_path, folder):
    path = make(tmp_path / "archive", {"a.png": bytes(2**22)}, "zip")
    data = path.read_bytes()
    path.write_bytes(data.replace((2**22).to_bytes(4, "little"), (9).to_bytes(4, "little")))
    assert_refused(path, folder, "is refused|is damaged", bounds=Bounds(file_bytes=2**20))
    assert sum(map(len, contents(folder).values())) <= 2**20


def test_the_default_bounds_stop_a_bomb(tmp_path, folder):
    path = tmp_path / "archive"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("a.png", bytes(2**26 + 1))
    assert path.stat().st_size < 2**19
    assert_refused(path, folder, "unpacks to more than 67108864 bytes")


def test_too_many_members_are_refused(kind, tmp_path, folder):
    path = make(tmp_path / "archive", {f"{i}.txt": b"" for i in range(9)}, kind)
    assert_refused(path, folder, "more than 8 members", bounds=Bounds(members=8))


def test_a_header_that_wants_all_memory_is_refused(tmp_path, folder):
    path = make_tar(tmp_path / "archive", member("name", tarfile.GNUTYPE_LONGNAME, size=2**23))
    assert_refused(path, folder, "header of 8388608 bytes")


def test_a_tar_that_goes_round_in_circles_ends(tmp_path, folder):
    header = bytearray(member("a.png", size=0).tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 10 + (-1024 & 0xFFFF).to_bytes(2, "big")  # a negative size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    path = tmp_path / "archive"
    path.write_bytes(gzip.compress(bytes(header[:512]) * 4 + bytes(1024)))
    assert_refused(path, folder, "is refused|is damaged")


@pytest.mark.parametrize("change", ["encrypted", "packed"])
def test_a_zip_that_cannot_be_read_is_refused(change, tmp_path, folder):
    method = zipfile.ZIP_LZMA if change == "packed" else zipfile.ZIP_STORED
    path = tmp_path / "archive"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.png", b"x")
    if change == "encrypted":
        data = bytearray(path.read_bytes())
        data[data.index(b"PK\x01\x02") + 8] |= 1
        path.write_bytes(bytes(data))
    assert_refused(path, folder, "is encrypted|is packed in a way")


# What is damaged


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"PK", b"Rar!\x1a\x07", b"hello" * 100, b"\x1f\x8b"),
        tarfile.TarInfo("a.png").tobuf().replace(b"a.png", b"b.png"),  # with the other's checksum
    ],
)
def test_what_is_no_archive_is_refused(content, tmp_path, folder):
    (tmp_path / "archive").write_bytes(content)
    assert_refused(tmp_path / "archive", folder, r"not a zip, tar or tar\.gz|is damaged")


def test_a_wrong_checksum_is_noticed(tmp_path, folder):
    stored = zipfile.ZipFile(tmp_path / "a", "w", zipfile.ZIP_STORED)
    with stored:
        stored.writestr("a.png", b"content")
    data = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(data.replace(b"content", b"cOntent", 1))
    assert_refused(tmp_path / "a", folder, "is damaged: Bad CRC-32")
    path = make(tmp_path / "b", GOOD, "tar.gz")
    data = bytearray(path.read_bytes())
    data[-8] ^= 1  # of the checksum over all
    path.write_bytes(bytes(data))
    (folder / "b").mkdir()
    with pytest.raises(ArchiveError, match="is damaged: CRC check failed"):
        unpack(path, folder / "b")


@pytest.mark.parametrize("part", [0.01, 0.3, 0.6, 0.9, 0.99])
def test_a_cut_archive_is_damaged(part, tmp_path, folder, kind):
    path = make(tmp_path / "archive", GOOD, kind)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    assert_refused(path, folder, "is damaged|is refused: it is not a zip")


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    root = tmp_path_factory.mktemp("sound")
    return {kind: make(root / kind, GOOD, kind).read_bytes() for kind in KINDS}


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_damage_ends_in_one_sentence_or_in_images(data, sound, tmp_path_factory):
    content = bytearray(sound[data.draw(st.sampled_from(KINDS))])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    root = tmp_path_factory.mktemp("fuzz")
    (root / "archive").write_bytes(bytes(content))
    (root / "folder").mkdir()
    try:
        unpack(root / "archive", root / "folder")
    except ArchiveError as error:
        assert str(error).startswith("archive archive is")
    assert sorted(path.name for path in root.iterdir()) == ["archive", "folder"]


def test_removing_spares_what_a_link_leads_to(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    archives.remove(tmp_path / "link")
    assert (tmp_path / "real").is_dir() and not (tmp_path / "link").exists()
    archives.remove(tmp_path / "real")
    archives.remove(tmp_path / "real")
    assert not list(tmp_path.iterdir())
