"""Fetching from a server that stalls, cuts off, lies, and comes back."""

import hashlib
import io
import shutil
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

pytest.importorskip("pooch")

from labeltransfer.archive import fetching, open_survey, sources
from labeltransfer.archive.fetching import fetch, is_fetched
from labeltransfer.archive.sources import SOURCES, DataSource, SourceFile
from labeltransfer.archive.unpack import unpack
from labeltransfer.command import main
from lamost_files import real_spectra, write_folder

CONTENT = np.random.default_rng(1).bytes(300_000)
SIZE = len(CONTENT)
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


class Server:
    """Serves `content`; does to each request what the next word of `moods` says, and serves honestly after the last."""

    def __init__(self):
        self.content, self.moods, self.requests, self.etag = CONTENT, [], [], '"one"'
        self.awake = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append(self.headers.get("Range", ""))
                outer.answer(self, outer.moods.pop(0) if outer.moods else "honest")

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.http.server_port}/file.bin"

    def answer(self, request, mood):
        content, first = self.content, 0
        if mood.isdigit():
            request.send_error(int(mood))
            return
        wanted = request.headers.get("Range", "")
        same = request.headers.get("If-Range", self.etag) == self.etag
        if wanted and same and mood != "no parts":
            first = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if mood == "lie":
            content = b"<html>please log in</html>"
            first = 0
        if mood == "other":
            content = content[::-1]
        if mood == "wrong part":
            first = max(first - 1000, 0)
        if mood == "longer":
            content = content + b"more"
        body = content[first:]
        request.send_response(206 if first else 200)
        request.send_header("Content-Length", str(len(body)))
        request.send_header("ETag", self.etag)
        if first:
            request.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        request.end_headers()
        if mood in ("cut", "stall"):
            request.wfile.write(body[: len(body) // 2])
            request.wfile.flush()
            if mood == "stall":
                self.awake.wait(20)
            request.close_connection = True
        elif mood == "silent":
            request.close_connection = True
        else:
            request.wfile.write(body)

    def close(self):
        self.awake.set()
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(fetching, "PAUSE", 0.001)
    monkeypatch.setattr(fetching, "TIMEOUT", (2.0, 0.5))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    yield server
    server.close()


def offered(monkeypatch, server, wanted=SHA256, size=SIZE, **options):
    file = SourceFile("file.bin", (server.address,), wanted, size, **options)
    monkeypatch.setitem(SOURCES, "tutorial", DataSource("tutorial", "a file", "a test", (file,)))


@pytest.mark.parametrize(
    ("moods", "n_requests"),
    [
        ([], 1),
        (["cut"], 2),
        (["stall"], 2),
        (["cut", "stall", "cut", "silent", "503"], 6),
        (["cut", "no parts"], 2),
        (["cut", "wrong part"], 3),
        (["503", "429", "500"], 4),
        (["lie"], None),
        (["cut", "other"], None),
        (["longer"], 2),
    ],
    ids=lambda moods: " ".join(moods) if isinstance(moods, list) else "",
)
def test_whatever_the_server_does_the_right_file_arrives(server, monkeypatch, tmp_path, moods, n_requests):
    offered(monkeypatch, server)
    server.moods = list(moods)
    folder = fetch("tutorial", tmp_path / "new", progress=False)
    assert (folder / "file.bin").read_bytes() == CONTENT
    assert n_requests in (None, len(server.requests))
    assert {path.name for path in folder.iterdir()} == {"file.bin", ".lock"}


def test_what_came_is_kept_and_only_the_rest_is_asked_for(server, monkeypatch, tmp_path):
    offered(monkeypatch, server)
    server.moods = ["cut"] + ["503"] * 20
    with pytest.raises(
        OSError, match=r"file.bin: could not be fetched.*answers 503 .*Call again when there is a network"
    ):
        fetch("tutorial", tmp_path, progress=False)
    assert not (tmp_path / "file.bin").exists()
    assert not is_fetched("tutorial", tmp_path)
    server.moods, server.requests = [], []
    fetch("tutorial", tmp_path, progress=False)
    assert server.requests == ["bytes=131072-"]
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_file_that_is_there_is_not_fetched_again_unless_it_is_damaged(server, monkeypatch, tmp_path):
    offered(monkeypatch, server)
    for _ in range(2):
        fetch("tutorial", tmp_path, progress=False)
    assert len(server.requests) == 1
    (tmp_path / "file.bin").write_bytes(CONTENT[:-1] + b"x")
    fetch("tutorial", tmp_path, progress=False)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_folder_that_is_whole_need_not_be_writable(server, monkeypatch, tmp_path):
    offered(monkeypatch, server)
    fetch("tutorial", tmp_path, progress=False)

    def denied(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(fetching, "only_writer", denied)
    assert fetch("tutorial", tmp_path, progress=False) == tmp_path
    with pytest.raises(ValueError, match=r"file.bin: nothing can be written there .*is a file, wanted a folder"):
        fetch("tutorial", tmp_path / "file.bin", progress=False)


def test_a_server_that_keeps_lying_is_named(server, monkeypatch, tmp_path):
    offered(monkeypatch, server, size=None)
    server.moods = ["lie"] * 20
    with pytest.raises(OSError, match=rf"what came is not the file: found sha256:.* \(26 bytes\), wanted {SHA256}"):
        fetch("tutorial", tmp_path, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_missing_file_is_not_asked_for_again_and_again(server, monkeypatch, tmp_path):
    offered(monkeypatch, server)
    server.moods = ["404"] * 20
    with pytest.raises(OSError, match=rf"{server.address}: the server answers 404 Not Found"):
        fetch("tutorial", tmp_path, progress=False)
    assert len(server.requests) == 1


def test_offline_the_message_names_the_address_and_what_to_do(server, monkeypatch, tmp_path):
    offered(monkeypatch, server)
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(
        OSError, match=rf"{server.address}: connection refused .*or get {server.address} in another way"
    ):
        fetch("tutorial", tmp_path, progress=False)


def test_a_second_host_is_asked_when_the_first_has_lost_the_file(server, monkeypatch, tmp_path):
    file = SourceFile("file.bin", (f"{server.address}.gone", server.address), SHA256, SIZE)
    monkeypatch.setitem(SOURCES, "tutorial", DataSource("tutorial", "a file", "a test", (file,)))
    server.moods = ["404"]
    fetch("tutorial", tmp_path, progress=False)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_what_an_older_version_left_is_not_mixed_with_the_new(server, monkeypatch, tmp_path):
    """The beginning of another file is kept from an earlier call: what comes of it is wrong, and fetched once more."""
    offered(monkeypatch, server, size=None)
    (tmp_path / ".file.bin.partial").write_bytes(CONTENT[::-1][:1000])
    fetch("tutorial", tmp_path, progress=False)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_pip_brings_what_the_addresses_do_not(server, monkeypatch, tmp_path):
    offered(monkeypatch, server, requirement="TheCannon==0.3.0")
    server.moods = ["404"] * 9
    commands = []

    class Done:
        stderr = "ERROR: no network"

    def pip(command, **_options):
        commands.append(command)
        folder = command[command.index("-d") + 1]
        if len(commands) > 1:
            (type(tmp_path)(folder) / "file.bin").write_bytes(CONTENT)
        return Done()

    monkeypatch.setattr(fetching.subprocess, "run", pip)
    with pytest.raises(OSError, match=r"404 Not Found; pip download TheCannon==0.3.0: ERROR: no network"):
        fetch("tutorial", tmp_path, progress=False)
    fetch("tutorial", tmp_path, progress=False)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert {"--no-deps", "--require-hashes", "download"} <= set(commands[0])


# --- archives


def packed(*members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                info.type, info.linkname = content
                archive.addfile(info)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("../outside", b"x"),
        ("/outside", b"x"),
        ("a/../../outside", b"x"),
        ("a\\..\\outside", b"x"),
        ("link", (tarfile.SYMTYPE, "/etc/passwd")),
        ("link", (tarfile.SYMTYPE, "good")),
        ("link", (tarfile.LNKTYPE, "../outside")),
        ("pipe", (tarfile.FIFOTYPE, "")),
        ("device", (tarfile.CHRTYPE, "")),
    ],
)
def test_an_archive_that_reaches_outside_is_refused_whole(tmp_path, name, content):
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(packed(("good", b"good"), (name, content)))
    with pytest.raises(ValueError, match=r"a.tar.gz: member .*; the archive is not trusted"):
        unpack(archive, tmp_path / "new" / "folder")
    assert list((tmp_path / "new").iterdir()) == []
    assert not (tmp_path / "outside").exists()


def test_archives_that_are_damaged_or_hold_nothing(tmp_path):
    archive = tmp_path / "a.tar.gz"
    whole = packed(("a", CONTENT), ("b", CONTENT))
    for content in (whole[:200_000], b"no archive", whole[:100] + b"xxxx" + whole[104:]):
        archive.write_bytes(content)
        with pytest.raises(ValueError, match=r"a.tar.gz: damaged archive .*; remove it and fetch it again"):
            unpack(archive, tmp_path / "folder")
    archive.write_bytes(whole)
    with pytest.raises(ValueError, match=r"holds no file below 'data/'"):
        unpack(archive, tmp_path / "folder", "data/")
    assert not (tmp_path / "folder").exists()


def test_a_part_of_an_archive_keeps_its_places(tmp_path):
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(packed(("x-1.0/code.py", b"1"), ("x-1.0/x/data/a", b"2"), ("x-1.0/x/data/b/c", b"3")))
    assert unpack(archive, tmp_path / "folder", "x/data/") == 2
    assert (tmp_path / "folder" / "b" / "c").read_bytes() == b"3"
    assert unpack(archive, tmp_path / "folder") == 3
    assert (tmp_path / "folder" / "x-1.0" / "code.py").exists()


# --- sources


def test_every_source_is_complete():
    assert set(SOURCES) == {"tutorial", "apogee-dr10", "survey", "overlap-labels"}
    for source in SOURCES.values():
        assert source.description
        assert source.credit
        for file in source.files:
            assert file.addresses or file.requirement
            assert all(address.startswith("https://") for address in file.addresses)
            kind, _, value = file.fingerprint.partition(":")
            assert (kind, len(value)) == ("sha256", 64)
    archive = SOURCES["tutorial"].files[0]
    assert "7b4b02e493519fe582b83dcef4b2fbb3dffaf033" in archive.addresses[0]
    assert len({address.split("/")[2] for address in archive.addresses}) == 2
    with pytest.raises(ValueError, match="data source: found 'dr2', wanted one of tutorial, apogee-dr10, survey"):
        fetch("dr2")


def test_where_things_are_kept(monkeypatch, tmp_path):
    monkeypatch.setenv(sources.CACHE, str(tmp_path))
    assert sources.cache_folder("survey") == tmp_path / "survey"
    monkeypatch.delenv(sources.CACHE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert sources.cache_folder("survey") == tmp_path / "x" / "labeltransfer" / "survey"


def test_the_tutorial_is_a_survey_from_the_shell_on(server, monkeypatch, tmp_path, capsys):
    folder = write_folder(tmp_path / "made", 4)
    names = sorted(folder.rglob("*.fits.gz"))
    server.content = packed(*((f"lamost_spectra/{path.name}", path.read_bytes()) for path in names))
    wanted = f"sha256:{hashlib.sha256(server.content).hexdigest()}"
    offered(monkeypatch, server, wanted=wanted, size=None, unpack="spectra")
    monkeypatch.setenv(sources.CACHE, str(tmp_path / "cache"))
    assert not is_fetched("tutorial")
    assert main(["fetch", "tutorial"]) == 0
    assert is_fetched("tutorial")
    printed = capsys.readouterr()
    assert printed.out.strip() == str(tmp_path / "cache" / "tutorial")
    assert "a file; from a test" in printed.err
    (tmp_path / "cache" / "tutorial" / "labels.csv").write_text((folder / "labels.csv").read_text())
    overlap = open_survey("tutorial", label_names=("teff", "logg"), progress=False).overlap()
    assert len(overlap) == 4
    assert len(server.requests) == 1


def test_the_overlap_labels_are_the_files_that_are_known():
    folder = real_spectra() / "overlap"
    if not (folder / "apogee_dr12_labels.csv").exists():
        pytest.skip("no table of the real overlap at hand (LABELTRANSFER_REAL_SPECTRA)")
    file = SOURCES["overlap-labels"].files[0]
    assert sources.fingerprint(folder / file.name) == file.fingerprint
    assert (folder / file.name).stat().st_size == file.size


def test_what_a_killed_unpacking_left_is_removed(tmp_path, monkeypatch):
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(packed(("a", CONTENT)))
    with monkeypatch.context() as killed:
        killed.setattr(shutil, "rmtree", lambda *arguments, **options: None)
        killed.setattr(shutil, "copyfileobj", lambda *streams: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            unpack(archive, tmp_path / "folder")
    assert len(list(tmp_path.iterdir())) == 2
    assert unpack(archive, tmp_path / "folder") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "folder"]
