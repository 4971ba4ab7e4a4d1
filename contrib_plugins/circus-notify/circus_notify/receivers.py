"""Who is told: a webhook, or people by e-mail."""

from __future__ import annotations

import contextlib
import json
import socket
from email.message import EmailMessage
from email.utils import format_datetime, localtime, make_msgid
from typing import Any, Final
from urllib.parse import urlsplit

import aiosmtplib
from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from circus_notify.digest import Notice, as_json, line, subject

_FAREWELL: Final = 1.0
"""Seconds that a mail server has to say goodbye."""


class Webhook:
    """Takes messages as JSON, by POST."""

    def __init__(self, url: str, timeout: float) -> None:
        self._url = url
        self._timeout = timeout
        self._client = AsyncHTTPClient(force_instance=True)
        # The path of a webhook is often its password.
        self.name = f"the webhook at {urlsplit(url).hostname}"

    async def send(self, notices: list[Notice]) -> None:
        """Send a message. Raise an error unless the answer is that it was taken."""
        request = HTTPRequest(
            self._url,
            method="POST",
            headers={"Content-Type": "application/json"},
            body=json.dumps(as_json(notices, socket.gethostname())),
            connect_timeout=self._timeout,
            request_timeout=self._timeout,
        )
        await self._client.fetch(request)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()


class Mail:
    """Takes messages as mails to all recipients, through one mail server.

    A password is sent only through TLS, unless ``smtp_security = none`` says that it may be read on the way.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self._sender: str = options["sender"] or f"circus@{socket.getfqdn()}"
        self._recipients = [address.strip() for address in options["recipients"].split(",") if address.strip()]
        security = options["smtp_security"]
        self._server = {
            "hostname": options["smtp_host"],
            "port": options["smtp_port"] or (465 if security == "tls" else 25),
            "username": options["smtp_user"],
            "password": options["smtp_password"],
            "timeout": options["timeout"],
            "use_tls": security == "tls",
            "start_tls": {"auto": True if options["smtp_user"] else None}.get(security, False),
            # Where encryption is not insisted on, whoever could forge the certificate can do without.
            "validate_certs": security == "tls" or bool(options["smtp_user"]),
        }
        self.name = f"the mail server {options['smtp_host']}"

    async def send(self, notices: list[Notice]) -> None:
        """Send a message. Raise an error if nobody gets it."""
        mail = EmailMessage()
        mail["From"] = self._sender
        mail["To"] = ", ".join(self._recipients)
        mail["Subject"] = subject(notices, socket.gethostname())
        mail["Date"] = format_datetime(localtime())
        mail["Message-ID"] = make_msgid("circus")
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content("\n".join(map(line, notices)) + "\n")
        client = aiosmtplib.SMTP(**self._server)
        try:
            await client.connect()
            await client.send_message(mail, sender=self._sender, recipients=self._recipients)
            with contextlib.suppress(aiosmtplib.SMTPException):  # it was taken, whatever comes now
                await client.quit(timeout=_FAREWELL)
        finally:
            client.close()

    def close(self) -> None:
        """Nothing is open between two mails."""
