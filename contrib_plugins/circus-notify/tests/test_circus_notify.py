"""The plugin beside a real circusd, with a real HTTP server and a real mail server to tell."""

from __future__ import annotations

import contextlib
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from circus_notify import Notifier

from circus.plugins.loading import PluginError
from circus.testing import Circusd, RunPlugin, wait_until

from .sinks import MailServer, Webhook

# Whom a test tells comes first among its arguments, and goes last: the plugin still tells when it ends.


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    sink = Webhook()
    yield sink
    sink.close()


@pytest.fixture
def mail_server() -> Iterator[Callable[..., MailServer]]:
    with contextlib.ExitStack() as stack:

        def make(tls: ssl.SSLContext | None = None) -> MailServer:
            made = MailServer(tls)
            stack.callback(made.close)
            return made

        yield make


def crash(circusd: Circusd, name: str) -> int:
    """Kill the only process of a watcher; return its PID when another one is there."""
    [pid] = circusd.pids(name)
    circusd.kill(pid)
    circusd.wait_for("reap", watcher=name, process_pid=pid)
    circusd.wait_for_pids(name, 1)
    return pid


def test_a_crash_is_told_and_nothing_else(webhook: Webhook, circusd: Circusd, run_plugin: RunPlugin) -> None:
    circusd.start("[watcher:web]\ncmd = sleep 300\n[watcher:quick]\ncmd = true\nautostart = False\nrespawn = False")
    plugin = run_plugin(Notifier, url=webhook.url, delay=0, interval=0)
    circusd.ok("restart", name="web")
    circusd.ok("start", name="quick")
    circusd.wait_for("reap", watcher="quick")
    circusd.wait_for("stop", watcher="quick")
    pid = crash(circusd, "web")
    run_plugin.catch_up(plugin)
    message = webhook.wait_for("web", "crash")
    [notice] = message["notices"]
    assert notice["detail"] == f"process {pid}: killed by SIGKILL"
    assert notice["first"] == circusd.wait_for("reap", watcher="web", process_pid=pid).time
    assert message["text"].startswith(f"circus on {message['host']}: crash: web\n")
    run_plugin.stop(plugin)
    assert webhook.notices() == {("web", "crash"): 1}


def test_a_slow_receiver_keeps_nobody_waiting_and_gets_a_digest(
    webhook: Webhook, circusd: Circusd, run_plugin: RunPlugin
) -> None:
    circusd.start("".join(f"[watcher:w{number}]\ncmd = sleep 300\n" for number in range(10)))
    webhook.open.clear()
    plugin = run_plugin(Notifier, url=webhook.url, delay=0, interval=0, timeout=60)
    crash(circusd, "w0")
    wait_until(lambda: webhook.asked == 1, "the first message is under way")
    for number in range(10):
        crash(circusd, f"w{number}")
    run_plugin.catch_up(plugin)
    assert webhook.messages == []
    webhook.open.set()
    webhook.wait_for("w9", "crash")
    assert webhook.notices() == {**{(f"w{number}", "crash"): 1 for number in range(1, 10)}, ("w0", "crash"): 2}
    assert [len(message["notices"]) for message in webhook.messages] == [1, 10]


def test_one_watcher_is_told_of_once_in_an_interval(webhook: Webhook, circusd: Circusd, run_plugin: RunPlugin) -> None:
    circusd.start("[watcher:web]\ncmd = sleep 300\n[watcher:db]\ncmd = sleep 300")
    plugin = run_plugin(Notifier, url=webhook.url, delay=0, interval=3600)
    crash(circusd, "web")
    webhook.wait_for("web", "crash")
    crash(circusd, "web")
    crash(circusd, "web")
    crash(circusd, "db")
    webhook.wait_for("db", "crash")
    assert webhook.notices() == {("web", "crash"): 1, ("db", "crash"): 1}
    run_plugin.catch_up(plugin)
    run_plugin.stop(plugin)
    assert webhook.notices() == {("web", "crash"): 3, ("db", "crash"): 1}, "what waited was told at the end"
    assert webhook.messages[-1]["notices"][0]["count"] == 2


def test_a_receiver_that_fails_gets_it_later(
    webhook: Webhook, circusd: Circusd, run_plugin: RunPlugin, caplog: pytest.LogCaptureFixture
) -> None:
    circusd.start("[watcher:web]\ncmd = sleep 300")
    webhook.status = 503
    run_plugin(Notifier, url=webhook.url, delay=0, interval=0)
    crash(circusd, "web")
    wait_until(lambda: "503" in caplog.text, "it is logged")
    assert "the webhook at 127.0.0.1 does not take a message" in caplog.text
    assert "/secret" not in caplog.text
    webhook.status = 200
    webhook.wait_for("web", "crash")


def test_a_receiver_that_never_answers_is_given_up_for_now(
    webhook: Webhook, circusd: Circusd, run_plugin: RunPlugin, caplog: pytest.LogCaptureFixture
) -> None:
    circusd.start("[watcher:web]\ncmd = sleep 300")
    webhook.open.clear()
    run_plugin(Notifier, url=webhook.url, delay=0, interval=0, timeout=0.3)
    crash(circusd, "web")
    wait_until(lambda: webhook.asked > 1, "it is tried again")
    assert "127.0.0.1" in caplog.text
    webhook.open.set()
    webhook.wait_for("web", "crash")


def test_flapping_and_giving_up_are_told_by_what_circusd_runs(webhook: Webhook, circusd: Circusd) -> None:
    circusd.start(
        f"""
        [plugin:notify]
        url = {webhook.url}
        events = flapping, gave_up
        delay = 0
        interval = 0

        [plugin:flapping]
        attempts = 1
        window = 60
        retry_in = 0.1
        max_retry = 1

        [watcher:web]
        cmd = sh -c "exit 3"
        """
    )
    webhook.wait_for("web", "flapping")
    message = webhook.wait_for("web", "gave_up")
    details = {notice["event"]: notice["detail"] for notice in message["notices"]}
    assert details["gave_up"] == circusd.wait_for("gave_up", watcher="web").data["reason"]
    assert ("web", "crash") not in webhook.notices()


def test_a_mail(mail_server: Callable[..., MailServer], circusd: Circusd, run_plugin: RunPlugin) -> None:
    circusd.start("[watcher:web]\ncmd = sleep 300")
    server = mail_server()
    run_plugin(
        Notifier,
        smtp_host="127.0.0.1",
        smtp_port=server.port,
        recipients="ops@example.com, night@example.com",
        sender="circus@example.com",
        events="deployed",
        delay=0,
    )
    circusd.ok("notify", name="web", action="deployed", data={"version": "1.2", "note": "two\nlines: ä"})
    wait_until(lambda: server.mails, "a mail comes")
    [mail] = server.mails
    assert server.recipients == ["ops@example.com", "night@example.com"]
    assert (mail["From"], mail["To"]) == ("circus@example.com", "ops@example.com, night@example.com")
    assert mail["Subject"].endswith(": deployed: web")
    body = mail.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert body.decode().splitlines() == ["web: deployed: version 1.2, note two lines: ä"]


@pytest.mark.parametrize("security", ["auto", "none"])
def test_a_password_goes_unencrypted_only_where_that_is_asked_for(
    mail_server: Callable[..., MailServer],
    circusd: Circusd,
    run_plugin: RunPlugin,
    caplog: pytest.LogCaptureFixture,
    security: str,
) -> None:
    circusd.start("[watcher:web]\ncmd = sleep 300")
    server = mail_server()
    options = {"smtp_user": "circus", "smtp_password": "secret", "smtp_security": security}
    run_plugin(Notifier, smtp_host="127.0.0.1", smtp_port=server.port, recipients="ops@example.com", delay=0, **options)
    crash(circusd, "web")
    if security == "none":
        wait_until(lambda: server.mails, "a mail comes")
        assert server.users == ["circus"]
    else:
        wait_until(lambda: "the mail server 127.0.0.1 does not take a message" in caplog.text, "it is logged")
        assert (server.users, server.mails) == ([], [])


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of this machine, with its key in the same file."""
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
    paths = ["-keyout", tmp_path / "key", "-out", tmp_path / "certificate"]
    subprocess.run([*command.split(), *map(str, paths)], check=True, capture_output=True)
    path = tmp_path / "both"
    path.write_bytes((tmp_path / "key").read_bytes() + (tmp_path / "certificate").read_bytes())
    return path


def test_a_password_goes_encrypted_to_a_server_that_is_known(
    mail_server: Callable[..., MailServer],
    circusd: Circusd,
    run_plugin: RunPlugin,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    circusd.start("[watcher:web]\ncmd = sleep 300")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server = mail_server(context)
    options = {"smtp_user": "circus", "smtp_password": "secret", "recipients": "ops@example.com"}
    run_plugin(Notifier, smtp_host="127.0.0.1", smtp_port=server.port, delay=0, **options)
    crash(circusd, "web")
    wait_until(lambda: "CERTIFICATE_VERIFY_FAILED" in caplog.text, "a certificate that nobody knows is refused")
    assert server.users == []
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    wait_until(lambda: server.mails, "a mail comes")
    assert server.users == ["circus"]


def test_somebody_must_be_told(circusd: Circusd, run_plugin: RunPlugin) -> None:
    circusd.start()
    with pytest.raises(PluginError, match="nobody to tell: set url to a webhook"):
        run_plugin(Notifier)
    with pytest.raises(PluginError, match="recipients is missing"):
        run_plugin(Notifier, smtp_host="127.0.0.1")
