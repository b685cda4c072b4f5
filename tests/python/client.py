"""Ory's SDK for Python as it is published, and the two kinds of client that use it: in a browser, with cookies, and a program, with a token.

The SDK reads every answer into its models, which refuse what Ory's OpenAPI does not have. It hides that where the answer is an error, so
that is looked at here.
"""

import inspect
import json

import ory_kratos_client as ory

# Which model checks a refusal that the SDK itself leaves unread.
REFUSALS = {403: ory.NeedsPrivilegedSessionError, 410: ory.SelfServiceFlowExpiredError, 422: ory.NeedsPrivilegedSessionError}


class Refused(Exception):
    """What the server refused, as the SDK's own models have it."""

    def __init__(self, error):
        super().__init__(f"{error.status} {error.body or error.data}")
        self.status, self.headers, self.data = error.status, error.headers, error.data
        self.body = json.loads(error.body)
        self.id = self.body.get("error", {}).get("id")
        if "error" in self.body:
            # The model of 422 wants one `error` inside of another, which no server of Ory sends.
            ory.ErrorGeneric.from_json(error.body)
            if "redirect_browser_to" in self.body or "use_flow_id" in self.body:
                REFUSALS[self.status].from_json(error.body)
        elif self.data is None:
            raise AssertionError(f"the SDK cannot read {error.body}")


class ApiClient(ory.ApiClient):
    """The SDK's own, and what it does not hand out: of several `Set-Cookie` its answers keep one."""

    keep = None

    def response_deserialize(self, response_data, response_types_map=None):
        self.keep(response_data.getheaders().getlist("set-cookie"))
        return super().response_deserialize(response_data, response_types_map)


class Client:
    """Somebody who uses the SDK against this bank."""

    def __init__(self, bank, browser):
        configuration = ory.Configuration(host=bank.url)
        self.bank, self.browser = bank, browser
        self.sdk = ApiClient(configuration)
        self.sdk.keep = self.keep
        self.api = ory.FrontendApi(self.sdk)
        self.cookies, self.token = {}, None

    def close(self):
        self.sdk.rest_client.pool_manager.clear()

    def call(self, method, **parameters):
        """Calls a method of `FrontendApi` and gives its model."""
        accepted = inspect.signature(getattr(self.api, method)).parameters
        if self.browser:
            credential = {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        else:
            credential = {"x_session_token": self.token}
        parameters |= {name: value for name, value in credential.items() if name in accepted and value}
        try:
            answer = getattr(self.api, f"{method}_with_http_info")(**parameters)
        except ory.ApiException as error:
            raise Refused(error) from error
        if answer.status_code == 200 and answer.data is None:
            raise AssertionError(f"{method} has no model for {answer.raw_data}")
        self.take_token(answer.data)
        return answer.data

    def keep(self, lines):
        for line in lines:
            pair, *attributes = line.split("; ")
            name, value = pair.split("=", 1)
            assert self.browser and {"HttpOnly", "Path=/"} <= set(attributes), line
            if "Max-Age=0" in attributes:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value

    def take_token(self, data):
        """Programs take over every new token themselves."""
        token = getattr(data, "session_token", None)
        for one in getattr(data, "continue_with", None) or []:
            if isinstance(one.actual_instance, ory.ContinueWithSetOrySessionToken):
                token = one.actual_instance.ory_session_token
        if token:
            assert not self.browser, "a browser gets no token"
            self.token = token

    def begin(self, kind, **parameters):
        return self.call(f"create_{'browser' if self.browser else 'native'}_{kind}_flow", **parameters)

    def read(self, kind, flow):
        return self.call(f"get_{kind}_flow", id=flow.id)

    def submit(self, kind, flow, fields):
        """Sends one of the SDK's models of a method's fields."""
        if self.browser:
            fields.csrf_token = node(flow, "csrf_token").value
        body = {"login": ory.UpdateLoginFlowBody, "settings": ory.UpdateSettingsFlowBody}[kind](fields)
        return self.call(f"update_{kind}_flow", flow=flow.id, **{f"update_{kind}_flow_body": body})

    def log_in(self, flow, **fields):
        return self.submit("login", flow, LOGIN_FIELDS[fields["method"]](**fields))

    def set(self, flow, **fields):
        return self.submit("settings", flow, SETTINGS_FIELDS[fields["method"]](**fields))

    def sign_in(self, name):
        """With the first factor. Who has a second one has only half a session then."""
        flow = self.begin("login")
        try:
            self.log_in(flow, method="password", identifier=name, password=f"{name}-password")
        except Refused as refused:
            assert self.browser and refused.status == 422, refused
        return self

    def step_up(self, code):
        return self.log_in(self.begin("login", aal="aal2"), method="totp", totp_code=code)


LOGIN_FIELDS = {
    "password": ory.UpdateLoginFlowWithPasswordMethod,
    "totp": ory.UpdateLoginFlowWithTotpMethod,
    "lookup_secret": ory.UpdateLoginFlowWithLookupSecretMethod,
}
SETTINGS_FIELDS = {
    "totp": ory.UpdateSettingsFlowWithTotpMethod,
    "lookup_secret": ory.UpdateSettingsFlowWithLookupMethod,
    "webauthn": ory.UpdateSettingsFlowWithWebAuthnMethod,
}


def find(flow, name):
    """The node of this name or id, and its attributes."""
    for one in flow.ui.nodes:
        attributes = one.attributes.actual_instance
        if name in (getattr(attributes, "name", None), getattr(attributes, "id", None)):
            return one, attributes
    raise AssertionError(f"no node {name}")


def node(flow, name):
    return find(flow, name)[1]


def names(flow):
    return [getattr(a, "name", None) or a.id for a in (one.attributes.actual_instance for one in flow.ui.nodes)]


def messages(flow):
    return [one.id for one in flow.ui.messages or []]
