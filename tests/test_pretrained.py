"""Files of weights: where they lie, what is known of them, and that a wrong one is told."""

import dataclasses
import hashlib
import shutil

import pytest
import torch

from i2i_bench import pretrained
from i2i_bench.pretrained import ALEXNET_NAME, FILES, INCEPTION_NAME, weights_folder
from i2i_bench.system import first_seen
from i2i_bench.system.download import DownloadError, Seen

WITHOUT_DIGITS = (INCEPTION_NAME, pretrained.VGG_FACE_NAME)  # no hash of theirs is published


@pytest.fixture
def folder(places):
    """The folder of weights of the test, which is not there yet."""
    return places / "weights"


@pytest.fixture
def mirror(server, stand_in, monkeypatch):
    """A server with the stand-ins, as a mirror has them."""
    for name in (INCEPTION_NAME, ALEXNET_NAME):
        server.serve(f"/weights/{name}", (stand_in / name).read_bytes())
    monkeypatch.setenv("I2I_BENCH_MIRROR", server.url)
    return server


@pytest.fixture
def published(stand_in, monkeypatch):
    """AlexNet's entry, as if the stand-in were what torchvision publishes."""
    digits = pretrained.weights_hash(stand_in / ALEXNET_NAME)[:8]
    file = dataclasses.replace(FILES[ALEXNET_NAME], digits=digits)
    monkeypatch.setitem(FILES, ALEXNET_NAME, file)
    return file


def rows(output):
    """Give the state of each file of ``weights verify``."""
    return {line.split()[0]: line.split()[1] for line in output.splitlines()[1:]}


# Where they are


def test_weights_are_in_the_users_cache_by_default(places, monkeypatch):
    monkeypatch.delenv("I2I_BENCH_WEIGHTS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(places / "user"))
    assert weights_folder() == places / "user" / "i2i-bench" / "weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(places / "home"))
    assert weights_folder() == places / "home" / ".cache" / "i2i-bench" / "weights"


def test_weights_folder_may_be_chosen(stand_in, monkeypatch):
    monkeypatch.setenv("I2I_BENCH_WEIGHTS", str(stand_in))
    assert weights_folder() == stand_in
    assert pretrained.required_weights(INCEPTION_NAME) == stand_in / INCEPTION_NAME


def test_the_folder_of_a_chosen_file_has_the_other_weights(stand_in, folder, monkeypatch):
    folder.mkdir()
    own = folder / "mine.pt"
    shutil.copy(stand_in / INCEPTION_NAME, own)
    monkeypatch.setenv("I2I_BENCH_WEIGHTS", str(own))
    assert pretrained.required_weights(INCEPTION_NAME) == own
    assert pretrained.weights_path(ALEXNET_NAME) == folder / ALEXNET_NAME
    found = pretrained.inspect_weights(FILES[INCEPTION_NAME])
    assert (found.state, found.path) == ("unverified", own)


def test_weights_hash_follows_the_file(tmp_path):
    path = tmp_path / "weights"
    for content in (b"one", b"another"):
        path.write_bytes(content)
        assert pretrained.weights_hash(path) == hashlib.sha256(content).hexdigest()


def test_weights_are_read_once_for_their_hash(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    pretrained.weights_hash(path)
    before = pretrained._file_hash.cache_info().hits
    pretrained.weights_hash(path)
    assert pretrained._file_hash.cache_info().hits == before + 1


# What is known


def test_names_of_torch_end_in_the_digits_of_their_hash():
    from torchvision.models import AlexNet_Weights, SqueezeNet1_1_Weights, VGG16_Weights

    urls = {enum.IMAGENET1K_V1.url for enum in (AlexNet_Weights, SqueezeNet1_1_Weights)}
    urls |= {VGG16_Weights.IMAGENET1K_V1.url}
    assert urls <= {url for file in FILES.values() for url in file.urls}
    for name, file in FILES.items():
        is_known = name.endswith(f"-{file.digits}.pth") if file.digits else name in WITHOUT_DIGITS
        assert is_known


def test_addresses_are_those_of_the_packages_that_use_them():
    from cleanfid import downloads_helper, inception_pytorch

    urls = {url for file in FILES.values() for url in file.urls}
    assert {downloads_helper.inception_url, inception_pytorch.FID_WEIGHTS_URL} <= urls
    fidelity = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    assert fidelity.URL_INCEPTION_V3 in urls


def test_a_file_is_verified_by_the_digits_of_its_publisher(stand_in, published):
    assert pretrained.weights_status(stand_in / published.name) == "verified"
    assert pretrained.weights_status(stand_in / INCEPTION_NAME) == "unverified"


def test_a_stranger_under_a_published_name_is_told_once(stand_in, monkeypatch, caplog):
    monkeypatch.setenv("I2I_BENCH_WEIGHTS", str(stand_in))
    pretrained._warn_of_stranger.cache_clear()
    for _ in range(2):
        pretrained.required_weights(ALEXNET_NAME)
    assert caplog.text.count("is not the one that is published under this name") == 1
    assert pretrained.weights_status(stand_in / ALEXNET_NAME) == "unverified"


def test_a_stranger_in_the_users_cache_is_not_used(stand_in, places, monkeypatch):
    monkeypatch.delenv("I2I_BENCH_WEIGHTS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(places))
    shutil.copytree(stand_in, weights_folder())
    with pytest.raises(ValueError, match=r"^weights file alexnet.* is not the one .* --force gets"):
        pretrained.required_weights(ALEXNET_NAME)
    assert (
        pretrained.required_weights(INCEPTION_NAME).parent == weights_folder()
    )  # of which no hash is published


# Fetching


def test_fetch_takes_what_the_protocol_needs(cli, folder, mirror, published):
    output = cli("weights", "fetch")
    assert {path.name for path in folder.iterdir()} == {
        INCEPTION_NAME,
        ALEXNET_NAME,
        first_seen.NAME,
    }
    lines = [line for line in output.splitlines() if "sha256" in line]
    assert [line.split()[0] for line in lines] == ["unverified", "verified"]
    assert pretrained.weights_hash(folder / ALEXNET_NAME) in lines[1] and mirror.url in lines[1]
    states = rows(cli("weights", "verify"))
    assert states[INCEPTION_NAME] == "unverified" and states[ALEXNET_NAME] == "verified"
    assert set(states.values()) == {"unverified", "verified", "missing"}


def test_one_file_that_fails_does_not_keep_the_others(cli, folder, mirror, published, stand_in):
    mirror.serve(f"/weights/{INCEPTION_NAME}", b"no network")
    file = FILES[INCEPTION_NAME]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FILES, INCEPTION_NAME, dataclasses.replace(file, urls=()))
        assert f"weights file {INCEPTION_NAME} cannot" in cli("weights", "fetch", code=1)
    assert (folder / ALEXNET_NAME).is_file()


def test_what_is_there_works_without_a_network(cli, folder, mirror, published):
    cli("weights", "fetch")
    num_asked = len(mirror.asked)
    mirror.files.clear()
    cli("weights", "fetch")
    cli("weights", "verify", INCEPTION_NAME, ALEXNET_NAME)
    assert len(mirror.asked) == num_asked


def test_a_file_of_the_wrong_hash_is_never_put_in_place(cli, folder, server, stand_in):
    url = server.serve("/alexnet", (stand_in / ALEXNET_NAME).read_bytes())
    error = cli("weights", "fetch", ALEXNET_NAME, "--url", url, code=1)
    assert "is wrong: the publisher's begins 7be5be79" in error and url in error
    assert not list(folder.iterdir())


@pytest.mark.parametrize("content", [b"no network" * 99, b"PK\x03\x04" + b"x" * 999])
def test_a_file_that_torch_cannot_load_is_never_put_in_place(cli, content, folder, server):
    url = server.serve("/inception", content)
    error = cli("weights", "fetch", INCEPTION_NAME, "--url", url, code=1)
    assert f"{url}: it is damaged or not a torch file" in error
    assert not list(folder.iterdir())


def test_a_dictionary_of_something_else_is_no_weights(folder, server, published, monkeypatch):
    torch.save({"a": 1}, folder.parent / "x")
    url = server.serve("/x", (folder.parent / "x").read_bytes())
    with pytest.raises(DownloadError, match="something other than named tensors"):
        pretrained.obtain_weights(dataclasses.replace(published, digits=""), urls=[url])


def test_another_file_than_the_first_needs_force(cli, folder, server, stand_in, save_traced):
    save_traced(torch.nn.Flatten(), folder.parent / "other.pt")
    first = server.serve("/first", (stand_in / INCEPTION_NAME).read_bytes())
    other = server.serve("/other", (folder.parent / "other.pt").read_bytes())
    cli("weights", "fetch", INCEPTION_NAME, "--url", first)
    (folder / INCEPTION_NAME).unlink()
    error = cli("weights", "fetch", INCEPTION_NAME, "--url", other, code=1)
    assert "differs from" in error and "seen first; --force" in error
    assert not (folder / INCEPTION_NAME).exists()
    cli("weights", "fetch", INCEPTION_NAME, "--url", other, "--force")
    assert rows(cli("weights", "verify", INCEPTION_NAME))[INCEPTION_NAME] == "unverified"
    known = first_seen.read_first_seen(folder / first_seen.NAME)[INCEPTION_NAME]
    assert known == Seen(pretrained.weights_hash(folder / INCEPTION_NAME), known.size, other)


def test_a_local_file_is_copied(cli, folder, stand_in):
    cli("weights", "fetch", INCEPTION_NAME, "--file", stand_in / INCEPTION_NAME)
    assert (folder / INCEPTION_NAME).read_bytes() == (stand_in / INCEPTION_NAME).read_bytes()
    error = cli("weights", "fetch", ALEXNET_NAME, "--file", stand_in / ALEXNET_NAME, code=1)
    assert "publisher's begins 7be5be79" in error
    assert not (folder / ALEXNET_NAME).exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fetch", "inception.pt"], "did you mean 'inception-2015-12-05.pt'"),
        (["verify", "zzz"], "unknown weights file 'zzz'"),
        (["fetch", INCEPTION_NAME, "--file", "gone.pt"], "there is no file gone.pt"),
        (["fetch", INCEPTION_NAME, "--url", "gone.pt"], "is not an address"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(cli, arguments, words, places):
    assert words in cli("weights", *arguments, code=1)


def test_one_source_is_for_one_file(cli, places):
    assert "name of one file" in cli("weights", "fetch", "--file", "x", code=2)


# Using


@pytest.mark.parametrize("harm", ["truncated Inception", "no AlexNet", "limit", "swapped"])
def test_what_is_unfit_stops_a_run_before_its_training(
    cli, folder, stand_in, tiny, monkeypatch, harm
):
    shutil.copytree(stand_in, folder)
    cli("weights", "verify", INCEPTION_NAME)
    content = (folder / INCEPTION_NAME).read_bytes()
    if harm == "truncated Inception":
        (folder / first_seen.NAME).unlink()
        (folder / INCEPTION_NAME).write_bytes(content[:1000])
    elif harm == "no AlexNet":
        torch.save([1, 2], folder / ALEXNET_NAME)
    elif harm == "limit":
        monkeypatch.setenv("I2I_BENCH_CACHE_BYTES", "2GB")
    else:
        (folder / INCEPTION_NAME).write_bytes(content + b"x")
    said = cli("run", "--model", "cyclegan", "--preset", "tiny", "--task", tiny, code=1)
    expected = {
        "truncated Inception": f"weights file {INCEPTION_NAME} is unfit: it is damaged or not",
        "no AlexNet": f"weights file {ALEXNET_NAME} is unfit: it holds something other",
        "limit": "I2I_BENCH_CACHE_BYTES is '2GB'; set it to a number of bytes",
        "swapped": f"weights file {INCEPTION_NAME} is not the one that was seen first",
    }
    assert expected[harm] in said
    assert not list(folder.parent.rglob("*.pt*.part"))
    assert not list((folder.parent / "runs").rglob("*.pt"))
    assert not (folder.parent / "results").exists()


def test_another_inception_is_used_once_it_is_verified_anew(cli, folder, stand_in):
    shutil.copytree(stand_in, folder)
    cli("weights", "verify", INCEPTION_NAME)
    with (folder / INCEPTION_NAME).open("ab") as file:
        file.write(b"x")
    with pytest.raises(pretrained.UnfitWeights, match="weights verify --force takes this one"):
        pretrained.required_weights(INCEPTION_NAME)
    cli("weights", "verify", INCEPTION_NAME, "--force")
    assert pretrained.required_weights(INCEPTION_NAME) == folder / INCEPTION_NAME


# Verifying


def test_missing_and_partial_files_say_what_to_do(cli, folder):
    folder.mkdir()
    (folder / f"{ALEXNET_NAME}.part").write_bytes(b"x")
    found = {
        name: pretrained.inspect_weights(FILES[name]).state
        for name in (INCEPTION_NAME, ALEXNET_NAME)
    }
    assert found == {INCEPTION_NAME: "missing", ALEXNET_NAME: "partial"}
    error = cli("weights", "verify", INCEPTION_NAME, ALEXNET_NAME, code=1)
    assert error == cli("weights", "verify", code=1)  # the optional ones may be missing
    assert f"{INCEPTION_NAME} is missing: i2i-bench weights fetch {INCEPTION_NAME}" in error
    assert f"{ALEXNET_NAME} is partial: i2i-bench weights fetch {ALEXNET_NAME} resumes" in error


@pytest.mark.parametrize("harm", ["cut", "flipped", "replaced", "empty"])
def test_a_damaged_file_fails_the_check_and_says_what_to_do(cli, harm, folder, stand_in):
    shutil.copytree(stand_in, folder)
    path = folder / INCEPTION_NAME
    cli("weights", "verify", INCEPTION_NAME)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    cut = bytes(content[: len(content) // 2])
    harmed = {"cut": cut, "flipped": bytes(content), "replaced": b"hello", "empty": b""}
    path.write_bytes(harmed[harm])
    error = cli("weights", "verify", INCEPTION_NAME, code=1)
    assert f"{INCEPTION_NAME} is {'wrong' if harm == 'flipped' else 'damaged'}: " in error
    assert "--force" in error


def test_a_stranger_under_a_published_name_fails_the_check(cli, folder, stand_in):
    shutil.copytree(stand_in, folder)
    error = cli("weights", "verify", ALEXNET_NAME, code=1)
    assert f"{ALEXNET_NAME} is wrong: its sha256 does not begin 7be5be79" in error


def test_a_folder_that_cannot_be_written_is_no_fault_of_a_file(cli, folder, stand_in):
    shutil.copytree(stand_in, folder)
    folder.chmod(0o555)
    try:
        assert rows(cli("weights", "verify", INCEPTION_NAME))[INCEPTION_NAME] == "unverified"
    finally:
        folder.chmod(0o755)
