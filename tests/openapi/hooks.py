"""What the runs of schemathesis against the bank have in common: who asks, what they accept, and that redirects are answers.

STEP_UP_AS is nobody, bob (one factor) or carol (two factors). A session that a request ended is replaced by a new one.
"""

import base64
import hashlib
import hmac
import itertools
import os
import struct
import time

import requests
import schemathesis

BASE = os.environ["STEP_UP_URL"]
WHO = os.environ["STEP_UP_AS"]
CAROL = "KRSXG5CTMVRXEZLUKN2HE2LOM4QHG33N"

# A browser, a program, one that wants problem details, one that says nothing.
ACCEPTS = itertools.cycle(
    ["application/json", "text/html,*/*;q=0.8", "application/json", "application/problem+json", "*/*"]
)


def code_at(step):
    digest = hmac.new(base64.b32decode(CAROL), struct.pack(">Q", step), hashlib.sha1).digest()
    offset = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[offset:offset + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


def sign_in(name):
    answer = requests.post(f"{BASE}/api/login", json={"username": name, "password": f"{name}-password"}, timeout=10)
    return answer.json()["session_token"]


def step_up(token):
    """With the second factor, if there is a code that was not used yet. One of the three that are good now may be."""
    headers = {"X-Session-Token": token, "Accept": "application/json"}
    flow = requests.get(f"{BASE}/self-service/login/api?aal=aal2", headers=headers, timeout=10).json()
    for step in (-1, 0, 1):
        form = {"method": "totp", "totp_code": code_at(int(time.time()) // 30 + step)}
        answer = requests.post(flow["ui"]["action"], headers=headers, json=form, timeout=10)
        if answer.status_code == 200:
            return answer.json()["session_token"]
    return token


class Session:
    """The session in use, which is looked at from time to time."""

    def get(self, case, context):
        token = getattr(self, "token", None)
        alive = token and requests.get(f"{BASE}/sessions/whoami", headers={"X-Session-Token": token}, timeout=10).ok
        if not alive:
            self.token = sign_in(WHO)
            if WHO == "carol":
                self.token = step_up(self.token)
        return self.token

    def set(self, case, data, context):
        case.headers = case.headers or {}
        case.headers["X-Session-Token"] = data


if WHO != "nobody":
    schemathesis.auth(refresh_interval=2)(Session)


# Made-up ids are unknown. So every other submit goes to a flow of the client's own; but carol keeps her second factor, and with it
# a session that every endpoint lets in.
QUERIES = {
    "/self-service/login": itertools.cycle([None, "?refresh=true", None, "?aal=aal2", None, ""]),
    "/self-service/settings": itertools.cycle([None, ""]),
}
if WHO == "carol":
    del QUERIES["/self-service/settings"]


def own_flow(path, query, headers):
    token = {name: value for name, value in headers.items() if name.lower() == "x-session-token"}
    answer = requests.get(f"{BASE}{path}/api{query}", headers={"Accept": "application/json", **token}, timeout=10)
    return answer.json()["id"] if answer.ok else None


@schemathesis.hook
def before_call(context, case, kwargs):
    kwargs["allow_redirects"] = False
    case.headers["Accept"] = next(ACCEPTS)
    if case.method.upper() == "POST" and case.path in QUERIES:
        query = next(QUERIES[case.path])
        flow = own_flow(case.path, query, case.headers) if query is not None else None
        if flow and "flow" in (case.query or {}):
            case.query["flow"] = flow
