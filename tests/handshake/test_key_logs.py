"""Key logs: lines, damage, limits, files that grow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tlsdissect.capture.blocks import SecretsBlock
from tlsdissect.handshake import key_logs as module
from tlsdissect.handshake.key_logs import CaptureKeys, KeyLog

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


MALFORMED = "is not a label followed by two hexadecimal strings"
TRAFFIC = "SERVER_HANDSHAKE_TRAFFIC_SECRET"


@pytest.mark.parametrize(
    ("damaged", "why"),
    [
        (f"CLIENT_RANDOM {RANDOM}", MALFORMED),
        (f"CLIENT_RANDOM {RANDOM} {'cd' * 47}c", MALFORMED),
        (f"CLIENT_RANDOM {RANDOM} {'cd' * 47}xy", MALFORMED),
        (f"client_random {RANDOM} {'cd' * 48}", MALFORMED),
        ("\0\xff", MALFORMED),
        ("x" * 10_000, MALFORMED),
        (
            "CLIENT_RANDOM 00 11",
            "has a client random of 1 byte; the label CLIENT_RANDOM requires 32",
        ),
        (
            f"RSA {RANDOM} {'cd' * 48}",
            "has the beginning of an encrypted premaster secret of 32 bytes; the label RSA requires 8",
        ),
        (
            f"CLIENT_RANDOM {RANDOM} {'cd' * 32}",
            "has a secret of 32 bytes; the label CLIENT_RANDOM requires 48",
        ),
        (f"RSA {'ab' * 8} {'cd' * 47}", "has a secret of 47 bytes; the label RSA requires 48"),
        (
            f"{TRAFFIC} {RANDOM} {'cd' * 22}",
            f"has a secret of 22 bytes; the label {TRAFFIC} requires 32 or 48",
        ),
        (
            f"CLIENT_TRAFFIC_SECRET_0 {RANDOM} {'cd' * 64}",
            "has a secret of 64 bytes; the label CLIENT_TRAFFIC_SECRET_0 requires 32 or 48",
        ),
    ],
)
def test_a_damaged_line_is_named_once(path: Path, damaged: str, why: str) -> None:
    log = keylog(path, LINE + damaged + "\n" + LINE)
    assert log.warnings == [f"{path}: line 2 {why}"]
    assert log.find(bytes.fromhex(RANDOM)) == {("CLIENT_RANDOM", 48): bytes([0xCD] * 48)}
    (two,) = keylog(path, LINE + f"{damaged}\n" * 2).warnings
    assert two == f"{path}: line 2 {why}, and 1 further line is damaged"
    (several,) = keylog(path, LINE + f"{damaged}\nwhat\n{damaged}\n").warnings
    assert several == f"{path}: line 2 {why}, and 2 further lines are damaged"


def test_secrets_of_other_labels_have_any_length(path: Path) -> None:
    lines = [f"{label} {RANDOM} {'cd' * 22}\n" for label in ("ECH_SECRET", "ECH_CONFIG", "EXPORTER_SECRET", "NEW")]
    assert keylog(path, "".join(lines)).warnings == []


def test_a_byte_order_mark_in_front_is_skipped(path: Path) -> None:
    log = keylog(path, b"\xef\xbb\xbf" + LINE.encode())
    assert log.warnings == []
    assert log.find(bytes.fromhex(RANDOM)) is not None
    (warning,) = keylog(path, LINE.encode() + b"\xef\xbb\xbf" + LINE.encode()).warnings
    assert warning == f"{path}: line 2 {MALFORMED}"


def test_secrets_of_two_sizes_and_several_of_one(path: Path) -> None:
    label, secrets = "CLIENT_TRAFFIC_SECRET_0", ("11" * 32, "22" * 48, "33" * 32, "11" * 32, "44" * 32)
    log = keylog(path, "".join(f"{label} {RANDOM} {secret}\n" for secret in secrets))
    random = bytes.fromhex(RANDOM)
    assert log.find(random) == {(label, 32): bytes([0x11] * 32), (label, 48): bytes([0x22] * 48)}
    assert log.others(random, label, 32) == [bytes([0x33] * 32), bytes([0x44] * 32)]
    what = "line 3 repeats the label and random of an earlier line with another secret"
    assert log.warnings == [f"{path}: {what}, as does 1 more: up to 4 secrets are tried"]
    assert len(list(log.lines([random]))) == 4


def test_as_many_secrets_of_one_label_are_tried_as_the_limit_says(path: Path) -> None:
    lines = [f"CLIENT_RANDOM {RANDOM} {number:02x}{'cd' * 47}\n" for number in range(10)]
    log, random = keylog(path, "".join(lines)), bytes.fromhex(RANDOM)
    assert len(log.others(random, "CLIENT_RANDOM", 48)) == module.MAX_CANDIDATES - 1
    keys, tried = CaptureKeys(log, []), []
    keys.begin()
    while True:
        found = keys.find(random)
        assert found is not None
        secret = found.get("CLIENT_RANDOM", 48)
        assert secret is not None
        tried.append(secret.value[0])
        if not keys.try_next([("CLIENT_RANDOM", random)] if len(tried) == 2 else []):
            break
    # The second opens something: no other one is tried.
    assert tried == [0, 1]
    keys.begin()
    assert keys.find(random) is not None


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
    assert log.warnings == whole.warnings == [f"{path}: line 6 is not a label followed by two hexadecimal strings"]


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
    assert damaged.startswith("/dev/zero: line 1 is not a label")
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
