// Security keys as a second factor, by both SDKs: in a browser they are offered, to a native client they are not.
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { after, before, describe, test } from "node:test"

import { MATRIX, client, messages, node, signedIn } from "./lib/clients.js"
import { SecurityKey } from "./lib/key.js"
import { bankWithKeys } from "./lib/server.js"

const options = (flow, name) => JSON.parse(node(flow, name).attributes.value)

for (const which of MATRIX) {
  describe(`${which.sdk}, ${which.kind}`, () => {
    let server
    before(async () => (server = await bankWithKeys()))
    after(() => server.stop())

    // The key's answer to what the settings show.
    const registered = (key, flow, name) => ({
      method: "webauthn",
      webauthn_register: key.create(options(flow, "webauthn_register_trigger"), server.url),
      webauthn_register_displayname: name,
    })

    test("the script is what its node says", async () => {
      const anybody = client(which, server)
      const script = await anybody.call("getWebAuthnJavaScript")
      assert.match(script, /oryWebAuthnLogin/)
      if (which.kind === "native") return
      const bob = await signedIn(which, server, "bob")
      const { attributes } = node(await bob.begin("Settings"), "webauthn_script")
      assert.equal(attributes.integrity, `sha512-${createHash("sha512").update(script).digest("base64")}`)
    })

    if (which.kind === "native") {
      test("a native client is offered no keys", async () => {
        const bob = await signedIn(which, server, "bob")
        const flow = await bob.begin("Settings")
        assert.ok(!flow.ui.nodes.some(({ group }) => group === "webauthn"))
        const refused = await bob.refused(400, undefined, "updateSettingsFlow", {
          flow: flow.id,
          updateSettingsFlowBody: { method: "webauthn", webauthn_register: "{}", webauthn_register_displayname: "x" },
        })
        assert.deepEqual(messages(refused.body), [4010004])
      })
      return
    }

    test("a key is added, used, proven anew and removed", async () => {
      const bob = await signedIn(which, server, "bob")
      const key = new SecurityKey()
      let flow = await bob.begin("Settings")
      flow = await bob.submitSettings(flow, registered(key, flow, "blue"))
      assert.deepEqual([flow.state, messages(flow)], ["success", [1050001]])
      assert.equal(node(flow, "webauthn_remove").meta.label.context.display_name, "blue")
      assert.equal((await bob.call("toSession")).authenticator_assurance_level, "aal2")

      const other = await signedIn(which, server, "bob")
      await other.refused(403, "session_aal2_required", "toSession")
      for (const refresh of [false, true]) {
        const login = await other.begin("Login", { aal: "aal2", refresh })
        const answer = key.get(options(login, "webauthn_login_trigger"), server.url)
        const done = await other.submitLogin(login, { method: "webauthn", identifier: "bob", webauthn_login: answer })
        assert.equal(done.session.authenticator_assurance_level, "aal2")
      }
      const { authentication_methods } = await other.call("toSession")
      assert.deepEqual(authentication_methods.map(({ method, aal }) => [method, aal]), [["password", "aal1"], ["webauthn", "aal2"]])

      flow = await other.begin("Settings")
      const remove = node(flow, "webauthn_remove").attributes.value
      assert.equal(remove, key.id.toString("hex"))
      flow = await other.submitSettings(flow, { method: "webauthn", webauthn_remove: remove })
      assert.equal(flow.state, "success")
      for (const one of [bob, other]) {
        assert.equal((await one.call("toSession")).authenticator_assurance_level, "aal1")
      }
    })

    test("what is not the user's key is refused, and the flow goes on", async () => {
      const carol = await signedIn(which, server, "carol")
      await carol.stepUp(await server.apps.carol.code())
      const key = new SecurityKey()
      let flow = await carol.begin("Settings")
      const missing = await carol.refused(400, undefined, "updateSettingsFlow", {
        flow: flow.id,
        updateSettingsFlowBody: carol.body(flow, registered(key, flow, "")),
      })
      assert.deepEqual(node(missing.body, "webauthn_register_displayname").messages.map(({ id }) => id), [4000002])
      flow = await carol.submitSettings(flow, registered(key, flow, "blue"))

      const low = await signedIn(which, server, "carol")
      const login = await low.begin("Login", { aal: "aal2" })
      const send = (flow, webauthn_login) => ({
        flow: flow.id,
        updateLoginFlowBody: low.body(flow, { method: "webauthn", identifier: "carol", webauthn_login }),
      })
      const stranger = new SecurityKey().get(options(login, "webauthn_login_trigger"), server.url)
      const refused = await low.refused(400, undefined, "updateLoginFlow", send(login, stranger))
      assert.deepEqual(messages(refused.body), [4000043])
      const evil = key.get(options(refused.body, "webauthn_login_trigger"), "https://evil.example")
      const again = await low.refused(400, undefined, "updateLoginFlow", send(login, evil))
      const right = key.get(options(again.body, "webauthn_login_trigger"), server.url)
      const done = await low.call("updateLoginFlow", send(again.body, right))
      assert.equal(done.session.authenticator_assurance_level, "aal2")
    })
  })
}
