// Stepping up and confirming anew, by both SDKs as both kinds of client.
import assert from "node:assert/strict"
import { after, before, describe, test } from "node:test"

import { MATRIX, client, messages, node, signedIn } from "./lib/clients.js"
import { bank } from "./lib/server.js"

for (const which of MATRIX) {
  describe(`${which.sdk}, ${which.kind}`, () => {
    let server
    before(async () => (server = await bank({ BANK_TRANSFER_MAX_AGE: "1" })))
    after(() => server.stop())

    test("a code lifts the session, and the client goes on", async () => {
      const alice = await signedIn(which, server, "alice")
      const old = await signedIn(which, server, "alice")
      if (alice.browser) old.jar.cookies = new Map(alice.jar.cookies)
      else old.token = alice.token
      assert.equal((await alice.get("/api/payments")).status, 403)

      const flow = await alice.begin("Login", { aal: "aal2", returnTo: "/payments" })
      assert.deepEqual(messages(flow), [1010004])
      assert.equal(flow.return_to, `${server.url}/payments`)
      assert.equal(flow.requested_aal, "aal2")
      assert.equal(node(flow, "totp_code").attributes.required, true)
      const read = await alice.call("getLoginFlow", { id: flow.id })
      assert.equal(read.id, flow.id)

      const wrong = await alice.refused(400, undefined, "updateLoginFlow", {
        flow: flow.id,
        updateLoginFlowBody: alice.body(flow, { method: "totp", totp_code: server.apps.alice.wrongCode() }),
      })
      assert.deepEqual(messages(wrong.body), [4000008])

      const done = await alice.submitLogin(wrong.body, { method: "totp", totp_code: await server.apps.alice.code() })
      if (which.kind === "browser") {
        assert.deepEqual(done.continue_with, [{ action: "redirect_browser_to", redirect_browser_to: `${server.url}/payments` }])
        assert.equal(done.session_token, undefined)
      }
      assert.equal(done.session.authenticator_assurance_level, "aal2")
      const session = await alice.call("toSession")
      assert.equal(session.authenticator_assurance_level, "aal2")
      assert.deepEqual(session.authentication_methods.map(({ method }) => method), ["password", "totp"])
      const payments = await alice.get("/api/payments")
      assert.deepEqual([payments.status, (await payments.json()).subject], [200, "alice"])

      await old.refused(401, "session_inactive", "toSession")
      await alice.refused(400, "session_already_available", alice.browser ? "createBrowserLoginFlow" : "createNativeLoginFlow", {
        aal: "aal2",
      })
    })

    test("a second factor is confirmed anew", async () => {
      const alice = await signedIn(which, server, "alice")
      await alice.stepUp(await server.apps.alice.code())
      const before = await alice.call("toSession")
      const flow = await alice.begin("Login", { aal: "aal2", refresh: true })
      assert.deepEqual([flow.refresh, messages(flow)], [true, [1010003]])
      await alice.submitLogin(flow, { method: "totp", totp_code: await server.apps.alice.code() })
      const after = await alice.call("toSession")
      assert.notEqual(after.id, before.id)
      assert.ok(new Date(after.authenticated_at) > new Date(before.authenticated_at))
      assert.equal(new Date(after.issued_at).getTime(), new Date(before.issued_at).getTime())
      const again = await alice.refused(400, undefined, "updateLoginFlow", {
        flow: flow.id,
        updateLoginFlowBody: alice.body(flow, { method: "totp", totp_code: "123456" }),
      })
      assert.deepEqual(messages(again.body), [4010007], "a flow is good for one success")
    })

    test("a password is confirmed anew", async () => {
      const bob = await signedIn(which, server, "bob")
      const before = await bob.call("toSession")
      const flow = await bob.begin("Login", { refresh: true })
      assert.equal(node(flow, "identifier").attributes.value, "bob")
      const wrong = await bob.refused(400, undefined, "updateLoginFlow", {
        flow: flow.id,
        updateLoginFlowBody: bob.body(flow, { method: "password", identifier: "bob", password: "wrong" }),
      })
      assert.deepEqual(messages(wrong.body), [4000006])
      await bob.refused(403, "security_identity_mismatch", "updateLoginFlow", {
        flow: flow.id,
        updateLoginFlowBody: bob.body(flow, { method: "password", identifier: "carol", password: "carol-password" }),
      })
      await bob.submitLogin(flow, { method: "password", identifier: "bob", password: "bob-password" })
      const after = await bob.call("toSession")
      assert.notEqual(after.id, before.id)
      assert.equal(after.authenticator_assurance_level, "aal1")
    })

    test("who has no second factor is told where to get one", async () => {
      const bob = await signedIn(which, server, "bob")
      const settings = `${server.url}/self-service/settings/browser`
      if (which.kind === "browser") {
        const refusal = await bob.refused(422, "browser_location_change_required", "createBrowserLoginFlow", { aal: "aal2" })
        assert.equal(refusal.body.redirect_browser_to, settings)
        return
      }
      const flow = await bob.begin("Login", { aal: "aal2" })
      assert.deepEqual(messages(flow), [1010004, 1990001])
      assert.equal(flow.ui.messages[1].context.settings_url, settings)
      assert.deepEqual(flow.ui.nodes, [])
    })

    test("nobody proves a second factor without a first", async () => {
      const method = which.kind === "browser" ? "createBrowserLoginFlow" : "createNativeLoginFlow"
      await client(which, server).refused(401, "session_aal1_required", method, { aal: "aal2" })
    })

    test("a first factor by flow leads on to the second", async () => {
      const carol = client(which, server)
      const flow = await carol.begin("Login")
      const fields = { method: "password", identifier: "carol", password: "carol-password" }
      if (which.kind === "browser") {
        const refusal = await carol.refused(422, "browser_location_change_required", "updateLoginFlow", {
          flow: flow.id,
          updateLoginFlowBody: carol.body(flow, fields),
        })
        assert.equal(refusal.body.redirect_browser_to, `${server.url}/self-service/login/browser?aal=aal2`)
      } else {
        const done = await carol.submitLogin(flow, fields)
        assert.equal(done.session.identity ?? null, null)
      }
      await carol.refused(403, "session_aal2_required", "toSession")
      await carol.stepUp(await server.apps.carol.code())
      assert.equal((await carol.call("toSession")).identity.external_id, "carol")
    })

    test("flows of somebody else cannot be read or sent", async () => {
      const carol = await signedIn(which, server, "carol")
      const flow = await carol.begin("Login", { aal: "aal2" })
      const bob = await signedIn(which, server, "bob")
      if (which.kind === "browser") await bob.refused(403, "security_csrf_violation", "getLoginFlow", { id: flow.id })
      // The SDKs send no token here: of a native flow the id is enough.
      else assert.equal((await bob.call("getLoginFlow", { id: flow.id })).id, flow.id)
      const body = carol.body(flow, { method: "totp", totp_code: "123456" })
      await bob.refused(403, "security_identity_mismatch", "updateLoginFlow", { flow: flow.id, updateLoginFlowBody: body })
      await bob.refused(404, undefined, "getLoginFlow", { id: "3c1de7a4-9a0e-4a55-8c33-1b7f0f6f5d20" })
    })

    test("too many wrong codes lock the factor", async () => {
      const carol = await signedIn(which, server, "carol")
      const flow = await carol.begin("Login", { aal: "aal2" })
      const wrong = { flow: flow.id, updateLoginFlowBody: carol.body(flow, { method: "totp", totp_code: server.apps.carol.wrongCode() }) }
      let refusal
      do refusal = await carol.call("updateLoginFlow", wrong).catch((error) => error)
      while (!refusal.headers.get("retry-after"))
      assert.ok(Number(refusal.headers.get("retry-after")) > 0)
      if (which.kind === "browser") {
        assert.deepEqual([refusal.status, messages(refusal.body)], [400, [4990001]])
        const [{ context }] = refusal.body.ui.messages
        assert.equal(String(context.retry_after), refusal.headers.get("retry-after"))
        return
      }
      assert.deepEqual([refusal.status, refusal.id], [429, "security_too_many_attempts"])
      assert.equal(String(refusal.body.error.details.retry_after), refusal.headers.get("retry-after"))
    })
  })
}
