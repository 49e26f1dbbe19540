"""Connections selected by an expression: what it means, what is wrong with it, and what evaluating it costs."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from commands import RESUMED, TLS12, TLS13, run
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, to_builtins
from msgspec.structs import replace
from recorded import ROOT

import tlsdissect
from tlsdissect.corpus.expression import ExpressionError
from tlsdissect.corpus.selection import Selection
from tlsdissect.corpus.where import Where, _library
from tlsdissect.model.connection import Counts, Origin, Quic, QuicClose, Timing

if TYPE_CHECKING:
    from tlsdissect.model.connection import Connection


def recorded(name: str = TLS12, **changes: Any) -> Connection:
    one = next(iter(tlsdissect.read(ROOT / name)))
    return replace(one, **changes)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("true", True),
        ('version == "TLS 1.2" && sni.endsWith("host")', True),
        ("timing.handshake_ms > 3 && timing.handshake_ms < 3.5", True),
        ("round_trips == 2 && !hello_retry", True),
        ("server.port in [443, 8443]", True),
        ('"x25519" in client_hello.groups', True),
        ('client_hello.cipher_suites.exists(s, s.contains("3DES"))', False),
        ('messages.exists(m, m.from == "server" && m.type == "certificate" && m.bytes > 2000)', True),
        ("messages.size() > 3 && messages.all(m, m.frame > 0)", True),
        ('messages.map(m, m.type).exists(t, t == "alert")', True),
        ('messages.filter(m, m.from == "client")[0].type == "client_hello"', True),
        ('certificates[1].subject.matches("CN=smplca($|,)")', True),
        ('client_hello.extensions.exists(e, e.type == "server_name")', True),
        ("size(certificates) == 2", True),
        ('timestamp(start) > timestamp("2026-01-01T00:00:00Z") && timestamp(start).getHours() == 17', True),
        ('timestamp(end) - timestamp(start) < duration("1s")', True),
        ("quic == null && resumes == null", True),
        ("packets * 2 > 10 && -packets < 0 && packets % 2 == packets % 2", True),
        ("double(round_trips) + 0.5 == 2.5", True),
        ('(sni == "x" ? false : true) // a comment', True),
        ("client_hello.extensions.exists(e, has(e.server_name_list))", True),
        ("timestamp(start).getDayOfYear() > 300 && timestamp(start).getMilliseconds() < 1000", True),
        ("duration('90m').getHours() == 1 && duration('5m').getSeconds() == 300", True),
    ],
)
def test_expressions(source: str, *, expected: bool) -> None:
    assert Where(source).matches(recorded()) is expected


@pytest.mark.parametrize(
    "source",
    [
        "open('/etc/hostname') != ''",
        "read('/etc/hostname') != ''",
        "file('/etc/hostname').size() > 0",
        "sni.read() != ''",
        "include('/etc/hostname')",
        "import('os') != ''",
        "__import__('os').getcwd() != ''",
        "__builtins__.open('/etc/hostname') != ''",
        "eval('1') == 1",
        "exec('id') != ''",
        "system('id') == 0",
        "os.environ.size() > 0",
        "env.HOME != ''",
        "getenv('HOME') != ''",
        "sni.__class__ != null",
        "sni.encode().decode() != ''",
        "''.__class__.__mro__.size() > 0",
        "connection.source != ''",
        "self.source != ''",
        "http.get('http://127.0.0.1:9/').status == 200",
        "fetch('http://127.0.0.1:9/') != ''",
        "lookup('localhost') != ''",
        "net.resolve('localhost') != ''",
        "google.protobuf.Any{type_url: 'file:///etc/hostname'} != null",
    ],
)
def test_an_expression_reaches_nothing_outside(source: str) -> None:
    """Neither as an expression of ours, nor where the library alone evaluates it."""
    with pytest.raises(ExpressionError):
        Where(source)
    with pytest.raises((RuntimeError, TypeError, ValueError)):
        _library().evaluate(source, {"sni": "localhost"})


@pytest.mark.parametrize(
    "source",
    [
        'version == "TLS 1.2" && version != "0x7e01" && version != "TLS 1.3 (draft 23)"',
        'outcome in ["established", "alert"] && outcome != "est" + "x" && sni != "anything"',
        '"TLS 1.2" in [version] && resumption == "none" && transport != "quic"',
    ],
)
def test_constants_that_are_values(source: str) -> None:
    assert Where(source).matches(recorded())


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("timing.handshake_ms > 200.0", False),
        ("!(timing.handshake_ms > 200.0)", False),
        ("timing.handshake_ms <= 200.0", False),
        ('timing.handshake_ms > 200.0 || version == "TLS 1.2"', True),
        ('version == "TLS 1.2" || timing.handshake_ms > 200.0', True),
        ('!(timing.handshake_ms > 200.0 && version == "TLS 1.3")', True),
        ('sni.endsWith("x") || sni == null', True),
        ("sni.size() > 0", False),
        ('"x25519" in client_hello.groups', False),
        ('client_hello.cipher_suites.exists(s, s == "x")', False),
        ("certificates.exists(c, c.is_ca)", False),
        ("client_hello == null", True),
        ("ja4_r == null", True),
        ("quic.version == null", False),
        ("certificates[7].is_ca", False),
        ("1 / renegotiations == 0", False),
    ],
)
def test_what_is_null_makes_what_needs_it_false(source: str, *, expected: bool) -> None:
    blank = recorded(timing=Timing(), sni=None, client_hello=None, certificates=None, ja4_r=UNSET)
    assert Where(source).matches(blank) is expected


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ('snii == "x"', "at ^ in ^snii == \"x\": there is no key 'snii': did you mean 'sni'?"),
        ("handshake_ms > 3.0", "there is no key 'handshake_ms': did you mean 'timing.handshake_ms'?"),
        ("timing.handshke_ms > 3.0", "at ^ in timing.^handshke_ms > 3.0: there is no key 'handshke_ms': did you mean"),
        ('false && certificates.exists(c, c.key_bit < 2) && sni == "x"', "did you mean 'key_bits'?"),
        ('sni.endswith("x")', "there is no function 'endswith': did you mean 'endsWith'?"),
        ("len(certificates) > 1", "there is no function 'len'"),
        ("version == 1.3", "at ^ in version ^== 1.3: text and a number cannot be compared"),
        ("true || version > 3", "text and an integer cannot be compared"),
        ('sni == "a" || alpn', "this is text, but should be true or false"),
        ("sni", "the expression is text, but should be true or false"),
        ("certificates.key_bits > 1", "a list has no keys"),
        ("sni.length > 1", "text has no keys"),
        ("sni[0]", "text contains no items"),
        ("3 in client_hello.groups", "the list contains text, not an integer"),
        ("packets in sni", "text contains no items"),
        ("round_trips + 0.5 > 1.0", "double() makes an integer a number"),
        ("client > server", "an object cannot be compared with >"),
        ("-sni == 1", "text has no sign"),
        ('packets.contains("x")', "contains needs text, not an integer"),
        ("sni.exists(c, true)", "exists needs a list, not text"),
        ("certificates[sni].is_ca", "this is text, but should be an integer"),
        ("size(packets) > 1", "an integer has no size"),
        ("timestamp(packets) == null", "this is an integer, but should be text"),
        ("timestamp('2026') == null", "this is not a time such as"),
        ("duration('soon') == null", "this is not a duration such as 5m"),
        ("sni.matches('[')", "at ^ in sni.matches(^'['): this is not a regular expression"),
        (
            'version == "1.2"',
            "at ^ in version ^== \"1.2\": '1.2' is no possible value; a value is for example TLS 1.3, TLS 1.2",
        ),
        ('"failed" != outcome', "'failed' is no possible value; values are established, one_sided"),
        ('failed_by in ["client", "sever"]', "'sever' is no possible value; values are client, server"),
        ('"1.3" in client_hello.supported_versions', "'1.3' is no possible value; a value is for example"),
        ('findings.exists(f, f.severity == "grave")', "'grave' is no possible value; values are info, low"),
        ('client_hello.extensions.exists(e, e.tpye == "x")', "no extension has a key 'tpye': did you mean 'type'?"),
        ("client_hello.extensions.exists(e, e.nope == 1)", "no extension has a key 'nope'"),
        ("client_hello.extensions.exists(e, e.type == 1)", "text and an integer cannot be compared"),
        ('matches(sni, "x")', "'matches' follows a value and a dot, as in sni.matches("),
        ("has(timing.tcp_ms)", "compare it with null, as in sni != null"),
        ("has(sni)", "at ^ in ^has(sni): a key always exists, even if it is null"),
        ("99999999999999999999 > 1", "at ^ in ^99999999999999999999 > 1: the largest integer is 9223372036854775807"),
        ('"\\ud800" == sni', 'at ^ in ^"\\ud800" == sni: invalid string literal'),
        ("packets > 1 &&\n '\\q' == sni", "'\\q' == sni: Syntax error"),
        ("duration('5m').getDate() == 1", "getDate needs a time, not a duration"),
        ('version = "x"', "'=' is not allowed here: did you mean '=='?"),
        ('sni == "a" and alpn == "b"', "did you mean '&&'?"),
        ("not complete", "did you mean '!'?"),
        ("complete == True", "did you mean 'true'?"),
        ("complete & hello_retry", "did you mean '&&'?"),
        ("(complete", "at ^ in (complete^: ')' is missing"),
        ("complete)", "')' is not allowed here"),
        ("complete &&", "a value is missing"),
        ("", "at ^ in ^: a value is missing"),
        ('sni == "x', "is not allowed here"),
        ("certificates.exists(1, true)", "'1' is not allowed here"),
        ("certificates.exists(c)", "')' is not allowed here"),
        ("!" * 1500 + "complete", "too deep"),
        ("+".join("1" * 30_000) + " == 1", "…: the expression has more than 2,000 words"),
        ("['a'].map(x, x + x + x + x + x + x)[0] == 'b'", "more than 4 texts or lists are joined"),
        ("['a']" + ".map(x, x)" * 3 + "[0] == 'b'", "filter and map are used more than 2 times"),
        (" || ".join(["[1].filter(x, x > 1) == [1]"] * 3), "filter and map are used more than 2 times"),
        ("+".join(["sni"] * 6) + " == 'b'", "more than 4 texts or lists are joined"),
        (
            "[1].all(a, [2].all(b, [3].map(c, c) == [b]))",
            "more than 2 of all, exists, exists_one, filter, map are nested",
        ),
        ("sni" + ".a" * 30_000, "more than 2,000 words"),
        ("true || " * 20 + "x" + " || true" * 20, "…"),
    ],
)
def test_mistakes_are_found_before_anything_is_read(source: str, complaint: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        Where(source)
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "source", ["+".join("1" * 999) + " == 999", "false || " * 998 + "true", "true" + " && true" * 999]
)
def test_expressions_may_be_long(source: str) -> None:
    assert Where(source).matches(recorded())


def test_expressions_load_the_library_without_its_command_line() -> None:
    script = "import sys, tlsdissect.corpus.where as w; w.Where('true'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert {"typer", "rich", "prompt_toolkit", "pydantic"}.isdisjoint(done.stdout.split())


def test_every_key_of_every_extension_can_be_named() -> None:
    found = [one for path in (ROOT / "samples").rglob("*.pcap") for one in tlsdissect.read(path)]
    hellos = [hello for c in found for hello in (c.client_hello, c.server_hello) if hello is not None]
    names = {name for hello in hellos for one in hello.extensions or () for name in one.__struct_fields__}
    assert len(names) > 30
    for name in names:
        Where(f"client_hello.extensions.exists(e, e.{name} != null)")


def test_a_mistake_is_one_line_and_nothing_is_read() -> None:
    done = run("read", "--where", "versoin == 'x'", TLS12, "missing.pcap")
    assert (done.returncode, done.stdout) == (2, b"")
    (line,) = done.stderr.decode().splitlines()
    assert "at ^ in ^versoin == 'x': there is no key 'versoin': did you mean 'version'?" in line
    with pytest.raises(ValueError, match=r"where: at \^ in \^versoin"):
        tlsdissect.read(ROOT / TLS12, where="versoin == 'x'")


@given(st.text(alphabet="snitimg.[]()&|!=<>\"' 1,x?:", max_size=30))
def test_any_text_is_an_expression_or_an_error(source: str) -> None:
    try:
        where = Where(source)
    except ExpressionError:
        return
    assert where.matches(recorded()) in (True, False)


def test_every_key_of_the_output_can_be_named() -> None:
    quic = Quic(
        version="1",
        version_negotiation=False,
        retry=False,
        original_destination_connection_id=None,
        client_connection_id=None,
        server_connection_id=None,
        initial_packets=Counts(1, 1),
        transport_parameters={"a": 1},
        close=QuicClose("client", 3, "bye", 9),
    )
    one = recorded(resumes=Origin("a.pcap", 1), quic=quic)
    assert Where('resumes.source == "a.pcap" && resumes.stream == 1').matches(one)
    assert Where('quic.close.from == "client" && quic.transport_parameters.a == 1').matches(one)
    for key, value in to_builtins(one).items():
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            quoted = f"r'''{value}'''" if isinstance(value, str) else repr(value)
            assert Where(f"{key} == {quoted}").matches(one), key


def test_only_the_keys_that_are_named_are_handed_over() -> None:
    def given(source: str) -> dict[str, Any]:
        return {name: value(recorded()) for name, value in Where(source)._values}

    assert given("timing.handshake_ms > 1 || timing.tcp_ms > 1").keys() == {"timing"}
    assert given("timing.handshake_ms > 1")["timing"] == {"handshake_ms": 3.348}
    assert given("client_hello.version == 'x'") == {"client_hello": {"version": "TLS 1.2"}}
    assert given("certificates.exists(c, c.is_ca || c.version == 3)")["certificates"][0] == {
        "is_ca": False,
        "version": 3,
    }
    assert given("certificates.filter(c, c.is_ca)[0].serial == ''")["certificates"][0].keys() == {"is_ca", "serial"}
    assert given("certificates.size() > 1")["certificates"] == [{}, {}]
    assert given("client.ip == 'x' && client == null")["client"] == {"ip": "::1"}
    assert given("client.ip == 'x' && null == client")["client"] == {"ip": "::1", "port": 39_898}
    assert given("client_hello != null && certificates != null") == {"client_hello": {}, "certificates": [{}, {}]}
    extensions = given("client_hello.extensions.exists(e, e.type == 'x' || has(e.server_name_list))")["client_hello"]
    keys = [tuple(sorted(one)) for one in extensions["extensions"]]
    assert sorted(set(keys)) == [("server_name_list", "type"), ("type",)]


@pytest.mark.parametrize(
    ("source", "given"),
    [
        ("certificates.exists(c, c.is_ca)", [False, True]),
        ("certificates.exists(is_ca, is_ca . is_ca)", [False, True]),
        ("certificates.size() == 2 && certificates[1].is_ca && !certificates[0] // two\n.is_ca", [False, True]),
        ("certificates.filter(c, c.bytes > 1000)[0].bytes == 1135", [1135, 944]),
        ("certificates.map(c, c.dns_names).exists(n, 'localhost' in n)", [("localhost",), ()]),
        ("certificates.all(c, certificates.exists(d, c.serial == d.serial))", ["1001", "1000"]),
        ("certificates.exists(c, c == null || c.is_ca)", [{"is_ca": False}, {"is_ca": True}]),
        (
            "certificates.exists(c, c.is_ca && c.version == 3)",
            [{"is_ca": False, "version": 3}, {"is_ca": True, "version": 3}],
        ),
    ],
)
def test_of_items_with_one_key_only_its_values_are_handed_over(source: str, given: list[Any]) -> None:
    where, one = Where(source), recorded()
    (values,) = [value(one) for name, value in where._values if name == "certificates"]
    assert values == given
    assert where.matches(one) is _library().evaluate(source, one.to_dict()) is True


@pytest.mark.parametrize(
    "source",
    [
        "client_hello.extensions.exists(e, e.type == 'server_name')",
        "client_hello.extensions.exists(e, e.type == 'x')",
        "client_hello.extensions.exists(e, e.selected_version == 'x')",
        "client_hello.extensions[0].bytes > 0 && server_hello.extensions.all(e, e.code >= 0)",
        "messages.exists(m, m.from == 'server') && messages[0].from == 'client'",
        "alerts.exists(a, a.level == 'fatal')",
        "alerts.map(a, a.frame)[1] == 14",
    ],
)
def test_an_expression_means_what_the_library_says_of_the_whole_output(source: str) -> None:
    one = recorded()
    try:
        expected = _library().evaluate(source, one.to_dict())
    except (LookupError, TypeError, ValueError, RuntimeError):
        expected = False
    assert Where(source).matches(one) is expected


def test_a_where_is_combined_with_the_other_criteria() -> None:
    done = run("read", "-q", "--format", "csv", "--tls", "1.3", "--where", "round_trips == 1", TLS12, TLS13, RESUMED)
    assert len(done.stdout.splitlines()) == 1 + 3


@pytest.mark.parametrize("source", ["resumes != null", "problems.size() > 0 || same_ticket_as != null"])
def test_links_can_be_asked_for_in_several_processes(source: str) -> None:
    command = ["read", "--format", "json", "--where", source, "samples"]
    one, several = (run(*command, "--jobs", jobs) for jobs in ("1", "2"))
    assert one.stdout == several.stdout != b""
    assert one.stderr == several.stderr


def test_findings_are_looked_for_where_an_expression_names_them() -> None:
    done = run("read", "-q", "--format", "json", "--where", "findings.exists(f, f.code == 'static_rsa')", "samples")
    assert done.stdout.count(b"\n") == done.stdout.count(b'"code":"static_rsa"') > 0


def test_unhashed_fingerprints_are_computed_where_something_names_them() -> None:
    command = ("read", "-q", "--format", "json", TLS12, TLS13)
    (line,) = run(*command, "--where", "ja4_r.startsWith('t13')").stdout.splitlines()
    assert json.loads(line)["source"] == TLS13
    assert len(list(tlsdissect.read(ROOT / TLS13, where="ja3_string != null"))) == 1
    keys = "ja3_string,ja3n,ja4_r,findings.code"
    head, row = run("read", "-q", "--format", "csv", "--columns", keys, TLS12).stdout.splitlines()
    assert head.decode() == keys
    assert row.count(b"t12") == 1
    assert b"root_in_chain" in row
    assert b"t13" in run("read", "-q", "--columns", "ja4_r", TLS13).stdout
    order = ("--sort", "ja4_r:desc", "--columns", "stream,version", "--format", "csv")
    assert run("read", "-q", *order, TLS12, TLS13).stdout.split(b"\r\n")[1:3] == [b"0,TLS 1.3", b"0,TLS 1.2"]


@pytest.mark.parametrize(
    ("source", "number"),
    [
        ("findings.exists(f, f.code == 'static_rsa')", 2),
        ("findings.size() == 0", 0),
        ("resumes == null && problems.size() == 0", 2),
        ("problems.size() > 0", 0),
        ("round_trips == 2", 2),
    ],
)
def test_certificates_of_connections_with_findings_and_links(source: str, number: int) -> None:
    captures = ("samples/tls12-static-rsa.pcap", "samples/tls12-resumed-id.pcap")
    done = run("certs", "-q", "--format", "json", "--where", source, *captures)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, number), done.stderr
    assert len(tlsdissect.certs(*(ROOT / path for path in captures), where=source)) == number
    assert run("certs", "-q", "--format", "json", "--where", source, "--jobs", "2", *captures).stdout == done.stdout


def test_nothing_selected_is_not_nothing_seen() -> None:
    nothing = ("--sni", "nothing.example", TLS12)
    assert run("certs", *nothing).stderr == b"none of 1 connection selected\n"
    assert run("compare", *nothing).stdout == b"nothing to compare\n"


def test_a_selection_with_an_expression_can_be_sent_to_another_process() -> None:
    chosen = Selection.of(where="round_trips == 2", since="0s")
    assert pickle.loads(pickle.dumps(chosen)) == chosen  # noqa: S301
    assert chosen != Selection.of(where="round_trips == 1", since="0s")
