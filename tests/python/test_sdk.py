"""Row 18 of tests/README.md: every endpoint that Ory's SDK for Python has and the router serves, as browser and as program."""

import base64
import hashlib
import http.client
import json
import unittest
from urllib.parse import parse_qs, urlsplit

import ory_kratos_client as ory
from client import Client, Refused, find, messages, names, node
from server import Authenticator, Bank

NOBODY = "3c1de7a4-9a0e-4a55-8c33-1b7f0f6f5d20"


class Base:
    """A bank of its own for each suite, and what the tests have in common."""

    browser, env = None, {}

    @classmethod
    def setUpClass(cls):
        cls.bank = Bank(**cls.env)
        cls.addClassCleanup(cls.bank.stop)

    def client(self):
        client = Client(self.bank, self.browser)
        self.addCleanup(client.close)
        return client

    def signed_in(self, name):
        return self.client().sign_in(name)

    def refused(self, status, error_id, call, *args, **parameters):
        with self.assertRaises(Refused) as caught:
            call(*args, **parameters)
        self.assertEqual((caught.exception.status, caught.exception.id), (status, error_id), caught.exception)
        return caught.exception

    def assert_level(self, client, level):
        self.assertEqual(client.call("to_session").authenticator_assurance_level, level)


class Scenes(Base):
    """What both kinds of client do to sign in, to step up and to sign out."""

    def test_the_first_factor(self):
        bob = self.client()
        flow = bob.begin("login", return_to="/account")
        self.assertEqual((flow.requested_aal, flow.refresh, flow.type), ("aal1", False, "browser" if self.browser else "api"))
        self.assertEqual(ory.LoginFlowState(flow.state), ory.LoginFlowState.CHOOSE_METHOD)
        self.assertEqual(node(flow, "password").autocomplete, "current-password")
        self.assertEqual(names(bob.read("login", flow)), names(flow))

        wrong = self.refused(400, None, bob.log_in, flow, method="password", identifier="bob", password="wrong").data
        self.assertIsInstance(wrong, ory.LoginFlow)
        self.assertEqual(messages(wrong), [4000006])
        empty = self.refused(400, None, bob.log_in, flow, method="password", identifier="", password="").data
        self.assertEqual([find(empty, name)[0].messages[0].id for name in ("identifier", "password")], [4000002] * 2)

        done = bob.log_in(empty, method="password", identifier="bob", password="bob-password")
        self.assertEqual(done.session.identity.external_id, "bob")
        self.assertEqual(done.session_token is None, self.browser)
        session = bob.call("to_session")
        self.assertEqual([(one.method, one.aal) for one in session.authentication_methods], [("password", "aal1")])
        self.refused(400, "session_already_available", bob.begin, "login")

        again = bob.begin("login", refresh=True)
        self.assertEqual((again.refresh, messages(again)), (True, [1010003]))
        bob.log_in(again, method="password", identifier="bob", password="bob-password")
        self.assertGreater(bob.call("to_session").authenticated_at, session.authenticated_at)

    def test_the_second_factor(self):
        carol = self.client()
        self.refused(401, "session_aal1_required", carol.begin, "login", aal="aal2")
        fields = {"method": "password", "identifier": "carol", "password": "carol-password"}
        if self.browser:
            refusal = self.refused(422, "browser_location_change_required", carol.log_in, carol.begin("login"), **fields)
            self.assertIn("aal=aal2", refusal.body["redirect_browser_to"])
        else:
            self.assertIsNone(carol.log_in(carol.begin("login"), **fields).session.identity)
        refusal = self.refused(403, "session_aal2_required", carol.call, "to_session")
        self.assertIsInstance(refusal.data, ory.ErrorGeneric)

        flow = carol.begin("login", aal="aal2", return_to="/payments")
        self.assertEqual((flow.requested_aal, messages(flow)), ("aal2", [1010004]))
        self.assertEqual(messages(carol.read("login", flow)), [1010004])
        app = self.bank.apps["carol"]
        wrong = self.refused(400, None, carol.log_in, flow, method="totp", totp_code=app.wrong_code()).data
        self.assertEqual(messages(wrong), [4000008])
        done = carol.log_in(wrong, method="totp", totp_code=app.code())
        self.assertEqual(done.session.authenticator_assurance_level, "aal2")
        if self.browser:
            (action,) = [one.actual_instance for one in done.continue_with]
            self.assertEqual(action.redirect_browser_to, f"{self.bank.url}/payments")
        self.assert_level(carol, "aal2")

        again = carol.begin("login", aal="aal2", refresh=True)
        self.assertEqual((again.refresh, messages(again)), (True, [1010003]))
        carol.log_in(again, method="totp", totp_code=app.code())
        self.assert_level(carol, "aal2")

        mallory = self.signed_in("bob")
        self.refused(403, "security_identity_mismatch", mallory.submit, "login", carol.begin("login", aal="aal2", refresh=True),
                     ory.UpdateLoginFlowWithTotpMethod(method="totp", totp_code="123456"))
        self.refused(404, None, mallory.call, "get_login_flow", id=NOBODY)

    def test_too_many_wrong_codes(self):
        alice = self.signed_in("alice")
        flow = alice.begin("login", aal="aal2")
        for _ in range(10):
            with self.assertRaises(Refused) as caught:
                alice.log_in(flow, method="totp", totp_code=self.bank.apps["alice"].wrong_code())
            if "retry-after" in caught.exception.headers:
                break
        if self.browser:
            self.assertEqual((caught.exception.status, messages(caught.exception.data)), (400, [4990001]))
        else:
            self.assertEqual((caught.exception.status, caught.exception.id), (429, "security_too_many_attempts"))

    def test_without_a_second_factor(self):
        bob = self.signed_in("bob")
        if self.browser:
            refusal = self.refused(422, "browser_location_change_required", bob.begin, "login", aal="aal2")
            self.assertIn("/self-service/settings/browser", refusal.body["redirect_browser_to"])
        else:
            flow = bob.begin("login", aal="aal2")
            self.assertEqual((flow.ui.nodes, messages(flow)), ([], [1010004, 1990001]))

    def test_sessions(self):
        dora = self.signed_in("bob")
        dora.call("disable_my_other_sessions")
        others = [self.signed_in("bob") for _ in range(3)]
        ids = [other.call("to_session").id for other in others]
        listed = dora.call("list_my_sessions")
        self.assertEqual(sorted(one.id for one in listed), sorted(ids))
        self.assertTrue(all(one.active and one.devices is not None for one in listed))
        self.assertEqual(len(dora.call("list_my_sessions", per_page=2, page=1)), 2)
        dora.call("disable_my_session", id=ids[0])
        self.refused(401, "session_inactive", others[0].call, "to_session")
        self.refused(400, None, dora.call, "disable_my_session", id=dora.call("to_session").id)
        self.assertEqual(dora.call("disable_my_other_sessions").count, 2)
        self.assertEqual(dora.call("list_my_sessions"), [])
        for method in ("list_my_sessions", "disable_my_other_sessions"):
            self.refused(401, "session_inactive", others[1].call, method)

    def test_logout(self):
        bob = self.signed_in("bob")
        other = self.signed_in("bob")
        if self.browser:
            begun = bob.call("create_browser_logout_flow", return_to="/account")
            self.assertEqual(parse_qs(urlsplit(begun.logout_url).query)["token"], [begun.logout_token])
            self.refused(403, None, other.call, "update_logout_flow", token=begun.logout_token)
            bob.call("update_logout_flow", token=begun.logout_token)
            self.refused(401, "session_inactive", bob.call, "create_browser_logout_flow")
        else:
            wrong = ory.PerformNativeLogoutBody(session_token="wrong")
            self.refused(403, None, bob.call, "perform_native_logout", perform_native_logout_body=wrong)
            right = ory.PerformNativeLogoutBody(session_token=bob.token)
            bob.call("perform_native_logout", perform_native_logout_body=right)
        self.refused(401, "session_inactive", bob.call, "to_session")
        self.assert_level(other, "aal1")

    def test_errors(self):
        anybody = self.client()
        self.assertEqual(anybody.call("get_flow_error", id="stub:500").error["code"], 500)
        self.refused(404, None, anybody.call, "get_flow_error", id=NOBODY)
        # What a browser is sent to when something fails.
        connection = http.client.HTTPConnection(urlsplit(self.bank.url).netloc)
        self.addCleanup(connection.close)
        connection.request("GET", "/self-service/login/browser?aal=aal2", headers={"Accept": "text/html"})
        page = connection.getresponse().getheader("location")
        stored = anybody.call("get_flow_error", id=parse_qs(urlsplit(page).query)["id"][0])
        self.assertEqual((stored.error["code"], stored.error["id"]), (401, "session_aal1_required"))


class Settings(Base):
    """Second factors of one's own."""

    def test_from_no_second_factor_to_two_and_back(self):
        bob = self.signed_in("bob")
        flow = bob.begin("settings", **({"return_to": "/account"} if self.browser else {}))
        self.assertEqual(ory.SettingsFlowState(flow.state), ory.SettingsFlowState.SHOW_FORM)
        self.assertEqual(flow.identity.external_id, "bob")
        self.assertEqual(names(bob.read("settings", flow)), names(flow))
        self.assertTrue(node(flow, "totp_qr").src.startswith("data:image/png;base64,"))
        app = Authenticator(node(flow, "totp_secret_key").text.context["secret"])
        wrong = self.refused(400, None, bob.set, flow, method="totp", totp_code=app.wrong_code()).data
        self.assertEqual([one.id for one in find(wrong, "totp_code")[0].messages], [4000008])
        flow = bob.set(wrong, method="totp", totp_code=app.code())
        self.assertEqual((flow.state, messages(flow)), ("success", [1050001]))
        kind = ory.ContinueWithRedirectBrowserTo if self.browser else ory.ContinueWithSetOrySessionToken
        self.assertIsInstance(flow.continue_with[0].actual_instance, kind)
        self.assert_level(bob, "aal2")

        codes = self.new_codes(bob)
        other = self.signed_in("bob")
        self.refused(403, "session_aal2_required", other.begin, "settings")
        login = other.begin("login", aal="aal2")
        self.assertEqual(len(names(login)), 5)
        bad = self.refused(400, None, other.log_in, login, method="lookup_secret", lookup_secret="a" * 16).data
        self.assertEqual(messages(bad), [4000016])
        other.log_in(bad, method="lookup_secret", lookup_secret=codes[0])
        self.assert_level(other, "aal2")

        flow = bob.set(bob.begin("settings"), method="lookup_secret", lookup_secret_reveal=True)
        shown = [one["id"] for one in node(flow, "lookup_secret_codes").text.context["secrets"]]
        self.assertEqual((shown.count(1050014), shown.count(1050009)), (1, 11))
        self.assertEqual(messages(flow), [1990005])
        flow = bob.set(flow, method="lookup_secret", lookup_secret_disable=True)
        self.assertEqual(messages(flow), [1050001])
        self.new_codes(bob)

        flow = bob.set(bob.begin("settings"), method="totp", totp_unlink=True)
        self.assertEqual(messages(flow), [1050001, 1990003])
        for one in (bob, other):
            self.assert_level(one, "aal1")
        self.refused(401, "session_inactive", self.client().begin, "settings")

    def new_codes(self, bob):
        flow = bob.set(bob.begin("settings"), method="lookup_secret", lookup_secret_regenerate=True)
        codes = [one["context"]["secret"] for one in node(flow, "lookup_secret_codes").text.context["secrets"]]
        self.assertEqual((flow.state, len(codes)), ("show_form", 12))
        flow = bob.set(flow, method="lookup_secret", lookup_secret_confirm=True)
        self.assertEqual((flow.state, messages(flow)), ("success", [1050001]))
        return codes

    def test_a_change_takes_proof(self):
        alice = self.signed_in("alice")
        alice.step_up(self.bank.apps["alice"].code())
        flow = alice.begin("settings")
        refusal = self.refused(403, "security_identity_mismatch", self.signed_in("carol").submit, "settings", flow,
                               ory.UpdateSettingsFlowWithTotpMethod(method="totp", totp_unlink=True))
        self.assertIsInstance(refusal.data, ory.ErrorGeneric)
        self.refused(404, None, alice.call, "get_settings_flow", id=NOBODY)
        bad = self.refused(400, None, alice.set, flow, method="lookup_secret", lookup_secret_confirm=True).data
        self.assertIsInstance(bad, ory.SettingsFlow)
        self.assertEqual(messages(bad), [4000001])

    def test_the_schema(self):
        flow = self.signed_in("bob").begin("settings")
        self.assertTrue(flow.identity.schema_url.startswith(self.bank.url))
        schema = ory.IdentityApi(self.client().sdk).get_identity_schema(id=flow.identity.schema_id)
        self.assertEqual(schema["type"], "object")


class Lax(Base):
    """Where one factor is enough for the settings, a change still takes two."""

    env = {"BANK_MODEL": "lax"}

    def test_a_change_takes_recent_proof_of_the_second_factor(self):
        alice = self.signed_in("alice")
        self.assert_level(alice, "aal1")
        refusal = self.refused(403, "session_refresh_required", alice.set, alice.begin("settings"), method="totp", totp_unlink=True)
        self.assertIn("aal=aal2", refusal.body["redirect_browser_to"])


class BrowserKeys(Base, unittest.TestCase):
    """What a security key needs: the models know each node, and the script is what its node says."""

    browser, env = True, {"BANK_FACTORS": "totp,webauthn", "BANK_PUBLIC_URL": "http://localhost:PORT"}

    def test_a_key_that_is_offered_and_an_answer_that_is_none(self):
        bob = self.signed_in("bob")
        flow = bob.begin("settings")
        script = node(flow, "webauthn_script")
        self.assertIsInstance(script, ory.UiNodeScriptAttributes)
        served = bob.call("get_web_authn_java_script").encode()
        self.assertEqual(script.integrity, "sha512-" + base64.b64encode(hashlib.sha512(served).digest()).decode())
        trigger = node(flow, "webauthn_register_trigger")
        self.assertEqual((trigger.type, trigger.onclick_trigger), ("button", "oryWebAuthnRegistration"))
        options = json.loads(trigger.value)["publicKey"]
        self.assertEqual((options["rp"]["id"], options["user"]["name"]), ("localhost", "bob"))

        fields = {"method": "webauthn", "webauthn_register": "{}"}
        refused = self.refused(400, None, bob.set, flow, webauthn_register_displayname="", **fields).data
        self.assertEqual([text.id for text in find(refused, "webauthn_register_displayname")[0].messages], [4000002])
        refused = self.refused(400, None, bob.set, flow, webauthn_register_displayname="blue", **fields).data
        self.assertEqual(messages(refused), [4000001])
        self.assert_level(bob, "aal1")


class BrowserScenes(Scenes, unittest.TestCase):
    browser = True


class BrowserSettings(Settings, unittest.TestCase):
    browser = True


class BrowserLax(Lax, unittest.TestCase):
    browser = True


class ProgramScenes(Scenes, unittest.TestCase):
    browser = False


class ProgramSettings(Settings, unittest.TestCase):
    browser = False


class ProgramLax(Lax, unittest.TestCase):
    browser = False
