// Second factors of one's own: enrolment, recovery codes and removal, by both SDKs as both kinds of client.
import assert from "node:assert/strict"
import { after, before, describe, test } from "node:test"

import { MATRIX, client, messages, node, signedIn } from "./lib/clients.js"
import { bank } from "./lib/server.js"
import { Authenticator } from "./lib/totp.js"

const codesOf = (flow) => node(flow, "lookup_secret_codes").attributes.text.context.secrets.map(({ context }) => context.secret)

for (const which of MATRIX) {
  describe(`${which.sdk}, ${which.kind}`, () => {
    let server
    before(async () => (server = await bank()))
    after(() => server.stop())

    test("from no second factor to two, and back", async () => {
      const bob = await signedIn(which, server, "bob")
      let flow = await bob.begin("Settings")
      assert.equal(flow.state, "show_form")
      assert.equal(flow.identity.external_id, "bob")
      assert.match(node(flow, "totp_qr").attributes.src, /^data:image\/png;base64,/)
      const secret = node(flow, "totp_secret_key").attributes.text.context.secret
      const app = new Authenticator(secret)

      const wrong = await bob.refused(400, undefined, "updateSettingsFlow", {
        flow: flow.id,
        updateSettingsFlowBody: bob.body(flow, { method: "totp", totp_code: app.wrongCode() }),
      })
      assert.deepEqual(node(wrong.body, "totp_code").messages.map(({ id }) => id), [4000008])

      flow = await bob.submitSettings(flow, { method: "totp", totp_code: await app.code() })
      assert.deepEqual([flow.state, messages(flow)], ["success", [1050001]])
      node(flow, "totp_unlink")
      const action = which.kind === "browser" ? "redirect_browser_to" : "set_ory_session_token"
      assert.deepEqual(flow.continue_with.map((one) => one.action), [action])
      assert.equal((await bob.call("toSession")).authenticator_assurance_level, "aal2", "aal2 at once, with the new credential")

      flow = await bob.begin("Settings")
      flow = await bob.submitSettings(flow, { method: "lookup_secret", lookup_secret_regenerate: true })
      const codes = codesOf(flow)
      assert.equal(codes.length, 12)
      flow = await bob.submitSettings(flow, { method: "lookup_secret", lookup_secret_confirm: true })
      assert.equal(flow.state, "success")
      assert.ok(!JSON.stringify(flow).includes(codes[0]), "shown once")

      // A recovery code works once.
      const other = await signedIn(which, server, "bob")
      await other.refused(403, "session_aal2_required", "toSession")
      let login = await other.begin("Login", { aal: "aal2" })
      const use = { method: "lookup_secret", lookup_secret: codes[0] }
      await other.submitLogin(login, use)
      assert.deepEqual(
        (await other.call("toSession")).authentication_methods.map(({ method, aal }) => [method, aal]),
        [["password", "aal1"], ["lookup_secret", "aal2"]],
      )
      login = await other.begin("Login", { aal: "aal2", refresh: true })
      const reused = await other.refused(400, undefined, "updateLoginFlow", {
        flow: login.id,
        updateLoginFlowBody: other.body(login, use),
      })
      assert.deepEqual(messages(reused.body), [4000012])

      // Removing the authenticator takes the recovery codes with it, and lowers every session at once.
      flow = await bob.begin("Settings")
      flow = await bob.submitSettings(flow, { method: "totp", totp_unlink: true })
      node(flow, "totp_qr")
      for (const one of [bob, other]) {
        assert.equal((await one.call("toSession")).authenticator_assurance_level, "aal1")
      }
    })

    test("nothing is saved before it is confirmed, and codes are not shown again", async () => {
      const alice = await signedIn(which, server, "alice")
      await alice.stepUp(await server.apps.alice.code())
      let flow = await alice.begin("Settings")
      for (const flag of ["lookup_secret_confirm", "lookup_secret_reveal"]) {
        const refusal = await alice.refused(400, undefined, "updateSettingsFlow", {
          flow: flow.id,
          updateSettingsFlowBody: alice.body(flow, { method: "lookup_secret", [flag]: true }),
        })
        assert.deepEqual(messages(refusal.body), [4000001], flag)
      }
      flow = await alice.submitSettings(flow, { method: "lookup_secret", lookup_secret_regenerate: true })
      assert.equal(flow.state, "show_form")
      const read = await alice.call("getSettingsFlow", { id: flow.id })
      assert.deepEqual(codesOf(read), codesOf(flow))
      flow = await alice.begin("Settings")
      assert.ok(!flow.ui.nodes.some(({ attributes }) => attributes.name === "lookup_secret_disable"))
    })

    test("settings need a session, and the second factor that is there", async () => {
      const method = which.kind === "browser" ? "createBrowserSettingsFlow" : "createNativeSettingsFlow"
      await client(which, server).refused(401, "session_inactive", method)
      const carol = await signedIn(which, server, "carol")
      await carol.refused(403, "session_aal2_required", method)
      const bob = await signedIn(which, server, "bob")
      const flow = await bob.begin("Settings")
      await carol.refused(403, "security_identity_mismatch", "getSettingsFlow", { id: flow.id })
    })
  })

  describe(`${which.sdk}, ${which.kind}, lax`, () => {
    let server
    before(async () => (server = await bank({ BANK_MODEL: "lax" })))
    after(() => server.stop())

    test("a change takes recent proof of the second factor all the same", async () => {
      const alice = await signedIn(which, server, "alice")
      assert.equal((await alice.call("toSession")).authenticator_assurance_level, "aal1")
      const flow = await alice.begin("Settings", which.kind === "browser" ? { returnTo: "/account" } : {})
      const unlink = { flow: flow.id, updateSettingsFlowBody: alice.body(flow, { method: "totp", totp_unlink: true }) }
      const refusal = await alice.refused(403, "session_refresh_required", "updateSettingsFlow", unlink)
      const url = new URL(refusal.body.redirect_browser_to)
      assert.equal(url.searchParams.get("aal"), "aal2")
      assert.equal(url.searchParams.get("refresh"), "true")
      assert.equal(new URL(url.searchParams.get("return_to")).searchParams.get("flow"), flow.id)

      const login = await alice.begin("Login", { aal: "aal2", refresh: true })
      await alice.submitLogin(login, { method: "totp", totp_code: await server.apps.alice.code() })
      const done = await alice.call("updateSettingsFlow", unlink)
      assert.equal(done.state, "success")
      assert.equal((await alice.call("toSession")).authentication_methods.length, 1)
    })
  })
}
