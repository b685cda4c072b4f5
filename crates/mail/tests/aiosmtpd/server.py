"""A mail server on loopback. Prints one line of JSON when it listens, and one for each mail. Ends with its input.

Usage: server.py plain|starttls|smtps
"""

import asyncio
import json
import ssl
import sys

import trustme
from aiosmtpd.smtp import SMTP, AuthResult


def say(line):
    print(json.dumps(line), flush=True)


class Mails:
    async def handle_DATA(self, server, session, envelope):
        say(
            {
                "from": envelope.mail_from,
                "to": envelope.rcpt_tos,
                "data": envelope.content.decode("utf-8"),
                "encrypted": server.transport.get_extra_info("ssl_object") is not None,
                "user": session.auth_data,
            }
        )
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    right = (data.login, data.password) == (b"bank", b"p:ss w\xc3\xb6rd")
    return AuthResult(success=right, auth_data="bank" if right else None)


def make(mode, context):
    """One conversation with a client."""
    mails = Mails()
    if mode == "plain":
        return SMTP(mails, enable_SMTPUTF8=True)
    starttls = mode == "starttls"
    return SMTP(
        mails,
        tls_context=context if starttls else None,
        require_starttls=starttls,
        auth_required=True,
        auth_require_tls=starttls,
        authenticator=authenticate,
    )


async def main(mode):
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: make(mode, context), host="127.0.0.1", port=0, ssl=context if mode == "smtps" else None
    )
    port = server.sockets[0].getsockname()[1]
    say({"port": port, "authority": authority.cert_pem.bytes().decode()})
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


asyncio.run(main(sys.argv[1]))
