"""Key logs: lines, damage, limits, files that grow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tlsdissect.capture.blocks import SecretsBlock
from tlsdissect.handshake import keys as module
from tlsdissect.handshake.keys import CaptureKeys, KeyLog

if TYPE_CHECKING:
    from pathlib import Path

RANDOM = "ab" * 32
LINE = f"CLIENT_RANDOM {RANDOM} {'cd' * 48}\n"


def keylog(path: Path, text: str | bytes) -> KeyLog:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return KeyLog([path])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.keys"


@pytest.mark.parametrize(
    "text", [LINE, LINE.rstrip(), LINE.replace("\n", "\r\n"), f"# by hand\n\n  {LINE}", LINE.upper()]
)
def test_lines(path: Path, text: str) -> None:
    log = keylog(path, text)
    assert log.find(bytes.fromhex(RANDOM)) == {("CLIENT_RANDOM", 48): bytes.fromhex("cd" * 48)}
    assert log.find(bytes(32)) is None
    assert log.warnings == []


def test_premaster_secrets_are_found_by_eight_bytes(path: Path) -> None:
    log = keylog(path, f"RSA {'12' * 8} {'34' * 48}\n")
    assert log.has_rsa
    assert log.find(bytes.fromhex("12" * 8)) == {("RSA", 48): bytes.fromhex("34" * 48)}


@pytest.mark.parametrize(
    "damaged",
    [
        "CLIENT_RANDOM 00 11",
        f"CLIENT_RANDOM {RANDOM}",
        f"CLIENT_RANDOM {RANDOM} {'cd' * 47}c",
        f"CLIENT_RANDOM {RANDOM} {'cd' * 47}xy",
        f"client_random {RANDOM} {'cd' * 48}",
        f"RSA {RANDOM} {'cd' * 48}",
        "\0\xff",
        "x" * 10_000,
    ],
)
def test_a_damaged_line_is_named_once(path: Path, damaged: str) -> None:
    log = keylog(path, LINE + damaged + "\n" + LINE)
    assert log.warnings == [f"{path}: line 2 is no label with two hexadecimal numbers"]
    assert log.find(bytes.fromhex(RANDOM)) is not None
    (several,) = keylog(path, LINE + f"{damaged}\n" * 3).warnings
    assert several == f"{path}: line 2 is no label with two hexadecimal numbers, nor are 2 further"


def test_secrets_of_two_sizes_and_the_last_of_one(path: Path) -> None:
    label = "CLIENT_TRAFFIC_SECRET_0"
    log = keylog(path, "".join(f"{label} {RANDOM} {secret}\n" for secret in ("11" * 32, "22" * 48, "33" * 32)))
    assert log.find(bytes.fromhex(RANDOM)) == {(label, 32): bytes([0x33] * 32), (label, 48): bytes([0x22] * 48)}


def test_several_files(tmp_path: Path) -> None:
    files = []
    for number in range(3):
        files.append(tmp_path / f"{number}.keys")
        files[-1].write_text(LINE.replace("ab", f"{number:02x}") + "damaged\n" * number)
    log = KeyLog(files)
    assert len(log.keys) == 3
    assert [warning.partition(": ")[0] for warning in log.warnings] == [str(files[1]), str(files[2])]


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 20])
def test_lines_do_not_depend_on_how_much_is_read_at_a_time(
    path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "".join(LINE.replace("ab", f"{number:02x}") for number in range(5)) + "damaged\n" + LINE
    whole = keylog(path, text)
    monkeypatch.setattr(module, "AT_A_TIME", size)
    log = KeyLog([path])
    assert log.keys == whole.keys
    assert log.warnings == whole.warnings == [f"{path}: line 6 is no label with two hexadecimal numbers"]


def test_a_file_that_grows_or_is_replaced(path: Path) -> None:
    path.write_text(LINE[:50])
    log = KeyLog([path], follows=True)
    keys, random = CaptureKeys(log, []), bytes.fromhex(RANDOM)
    assert keys.may_open(random)
    assert keys.find(random) is None
    with path.open("a") as file:
        file.write(LINE[50:-1])
    # The line may still grow.
    assert keys.find(random) is None
    with path.open("a") as file:
        file.write("\n")
    found = keys.find(random)
    assert found is not None
    assert found.get("CLIENT_RANDOM", 48) == (bytes([0xCD] * 48), "keylog")
    path.unlink()
    assert keys.find(random) == found
    path.write_text("# new\n" + LINE.replace("ab", "ef"))
    assert keys.find(bytes([0xEF] * 32)) is not None
    assert log.warnings == []


def test_secrets_beyond_the_limit_are_counted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECRETS_BYTES", 3 * (48 + module.SECRET_BYTES))
    log = keylog(path, "".join(LINE.replace("ab", f"{number:02x}") for number in range(5)))
    assert len(log.keys) == 3
    assert log.warnings == ["2 secrets are not kept, for lack of room"]


def test_of_a_file_without_end_the_beginning_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOG_BYTES", 3 << 20)
    damaged, cut = KeyLog(["/dev/zero"]).warnings
    assert damaged.startswith("/dev/zero: line 1 is no label")
    assert cut == "/dev/zero: only the first 3 MiB were read"


@pytest.mark.parametrize("more", [0, 1])
def test_a_file_of_as_many_bytes_as_are_read_is_whole(path: Path, more: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOG_BYTES", 2 * len(LINE))
    log = keylog(path, LINE * 2 + "#" * more)
    assert len(log.warnings) == more
    assert log.find(bytes.fromhex(RANDOM)) is not None


def test_a_file_that_grows_is_read_on_after_as_many_bytes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOG_BYTES", len(LINE))
    path.write_text("".join(LINE.replace("ab", f"{number:02x}") for number in range(3)))
    log = KeyLog([path], follows=True)
    for number in range(1, 4):
        assert len(log.keys) == number
        log.refresh()


def test_secrets_of_a_capture_come_after_those_of_files(path: Path) -> None:
    inside, random = [SecretsBlock(LINE.replace("cd", "ee").encode(), False)], bytes.fromhex(RANDOM)
    alone = CaptureKeys(None, inside)
    assert alone.exist
    found = alone.find(random)
    assert found is not None
    assert found.get("CLIENT_RANDOM", 48) == (bytes([0xEE] * 48), "capture")
    both = CaptureKeys(keylog(path, LINE), inside).find(random)
    assert both is not None
    assert both.get("CLIENT_RANDOM", 48) == (bytes([0xCD] * 48), "keylog")
    other = CaptureKeys(keylog(path, LINE.replace("CLIENT_RANDOM", "SERVER_RANDOM")), inside).find(random)
    assert other is not None
    assert other.get("CLIENT_RANDOM", 48) == (bytes([0xEE] * 48), "capture")
    assert other.get("SERVER_RANDOM", 48) == (bytes([0xCD] * 48), "keylog")
    assert not CaptureKeys(None, []).exist
