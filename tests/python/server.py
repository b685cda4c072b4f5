"""The bank under test, and the authenticator apps of its users."""

import base64
import hashlib
import hmac
import os
import re
import socket
import struct
import subprocess
import tempfile
import time

SECRETS = {"alice": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", "carol": "KRSXG5CTMVRXEZLUKN2HE2LOM4QHG33N"}
STEP = 30


def code_at(secret, step):
    digest = hmac.new(base64.b32decode(secret), struct.pack(">Q", step), hashlib.sha1).digest()
    offset = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[offset:offset + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


class Authenticator:
    """Every code works once and only upwards. Of the three that are good at a time, each can be had; then the app waits."""

    def __init__(self, secret):
        self.secret = secret
        self.last = 0

    def code(self):
        while True:
            # The lowest step that still is good two seconds from now, and not used.
            step = max(self.last + 1, int(time.time() + 2) // STEP - 1)
            if step <= int(time.time()) // STEP + 1:
                self.last = step
                return code_at(self.secret, step)
            time.sleep(0.5)

    def wrong_code(self):
        """Six digits that are wrong now and soon."""
        now = int(time.time()) // STEP
        near = {code_at(self.secret, now + offset) for offset in range(-30, 5)}
        return next(code for number in range(100) if (code := f"{number:06}") not in near)


class Bank:
    """A bank of its own, with its own database."""

    def __init__(self, **env):
        self.folder = tempfile.TemporaryDirectory(prefix="step-up-python-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        env = {name: value.replace("PORT", port) for name, value in env.items()}
        store = f"sqlite://{self.folder.name}/bank.db"
        self.log = open(f"{self.folder.name}/log", "w+")
        self.process = subprocess.Popen(
            [os.path.join(os.environ["STEP_UP_PROGRAMS"], "bank")],
            env={"BANK_ADDR": f"127.0.0.1:{port}", "BANK_STORE": store, **env},
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        line = self.process.stdout.readline()
        started = re.search(r"listening on (http:\S+)", line)
        if not started:
            self.log.seek(0)
            raise RuntimeError(f"the bank did not start: {line}\n{self.log.read()}")
        self.url = env.get("BANK_PUBLIC_URL", started[1])
        # One app a user for each bank, since a code is used up on one bank only.
        self.apps = {name: Authenticator(secret) for name, secret in SECRETS.items()}

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()
        self.log.close()
        self.folder.cleanup()
