// Sessions: toSession, the list of sessions, logout and the error page, by both SDKs as both kinds of client.
import assert from "node:assert/strict"
import { after, before, describe, test } from "node:test"

import { MATRIX, Refused, client, navigate, signedIn } from "./lib/clients.js"
import { bank } from "./lib/server.js"

for (const which of MATRIX) {
  describe(`${which.sdk}, ${which.kind}`, () => {
    let server
    before(async () => (server = await bank()))
    after(() => server.stop())

    test("toSession says who it is, or that nobody is", async () => {
      const stranger = client(which, server)
      const refusal = await stranger.refused(401, "session_inactive", "toSession")
      assert.equal(refusal.headers.get("ory-error-id"), "session_inactive")

      const bob = await signedIn(which, server, "bob")
      const session = await bob.call("toSession")
      assert.equal(session.active, true)
      assert.equal(session.authenticator_assurance_level, "aal1")
      assert.equal(session.identity.external_id, "bob")
      assert.deepEqual(session.identity.traits, { username: "bob" })
      assert.deepEqual(session.authentication_methods.map(({ method, aal }) => [method, aal]), [["password", "aal1"]])
    })

    test("toSession asks for the second factor that is there", async () => {
      const alice = await signedIn(which, server, "alice")
      const refusal = await alice.refused(403, "session_aal2_required", "toSession")
      const url = `${server.url}/self-service/login/browser?aal=aal2`
      assert.equal(refusal.body.redirect_browser_to, url)
      assert.equal(refusal.body.error.details.redirect_browser_to, url)
      await alice.refused(403, "session_aal2_required", "listMySessions")
    })

    test("other sessions are listed and ended", async () => {
      const bob = await signedIn(which, server, "bob")
      await bob.call("disableMyOtherSessions")
      const others = [await signedIn(which, server, "bob"), await signedIn(which, server, "bob")]
      const ids = await Promise.all(others.map(async (other) => (await other.call("toSession")).id))
      const listed = await bob.call("listMySessions")
      assert.deepEqual(listed.map(({ id }) => id).sort(), [...ids].sort())
      for (const { devices } of listed) {
        assert.deepEqual(devices.map(({ ip_address, location }) => [ip_address, location]), [["", ""]])
        assert.match(devices[0].user_agent, /^\S+$/)
      }
      const page = await bob.call("listMySessions", { pageSize: 1, pageToken: "1" })
      assert.equal(page.length, 1)

      await bob.call("disableMySession", { id: ids[0] })
      await others[0].refused(401, "session_inactive", "toSession")
      await bob.call("disableMySession", { id: ids[0] })
      const own = (await bob.call("toSession")).id
      await bob.refused(400, undefined, "disableMySession", { id: own })
      await bob.refused(400, undefined, "disableMySession", { id: "not-an-id" })

      assert.equal((await bob.call("disableMyOtherSessions")).count, 1)
      assert.deepEqual(await bob.call("listMySessions"), [])
      await others[1].refused(401, "session_inactive", "toSession")
    })

    test("logout ends the session and no other", async () => {
      const bob = await signedIn(which, server, "bob")
      const other = await signedIn(which, server, "bob")
      if (which.kind === "native") {
        const token = bob.token
        await bob.refused(403, undefined, "performNativeLogout", { performNativeLogoutBody: { session_token: "wrong" } })
        await bob.call("performNativeLogout", { performNativeLogoutBody: { session_token: token } })
        await bob.refused(401, "session_inactive", "toSession")
        await bob.call("performNativeLogout", { performNativeLogoutBody: { session_token: token } })
      } else {
        const { logout_url, logout_token } = await bob.call("createBrowserLogoutFlow", { returnTo: "/account" })
        assert.ok(logout_url.startsWith(`${server.url}/self-service/logout?`))
        assert.equal(new URL(logout_url).searchParams.get("token"), logout_token)
        assert.equal(new URL(logout_url).searchParams.get("return_to"), `${server.url}/account`)
        const foreign = (await other.call("createBrowserLogoutFlow")).logout_token
        await bob.refused(403, undefined, "updateLogoutFlow", { token: foreign })
        await bob.call("updateLogoutFlow", { token: logout_token })
        assert.equal(bob.jar.session(), undefined, "the cookie is gone")
        await bob.refused(401, "session_inactive", "createBrowserLogoutFlow")
      }
      assert.equal((await other.call("toSession")).active, true)
    })

    test("the error page's front end reads the error", async () => {
      const anybody = client(which, server)
      const sample = await anybody.call("getFlowError", { id: "stub:500" })
      assert.equal(sample.error.code, 500)
      await anybody.refused(404, undefined, "getFlowError", { id: "3c1de7a4-9a0e-4a55-8c33-1b7f0f6f5d20" })

      // What a browser is sent to when something fails.
      const failed = await navigate(`${server.url}/self-service/login/browser?aal=aal2`)
      assert.equal(failed.statusCode, 303)
      const page = new URL(failed.headers.location)
      const { error } = await anybody.call("getFlowError", { id: page.searchParams.get("id") })
      assert.deepEqual([error.code, error.id], [401, "session_aal1_required"])
    })

    test("a return address of somebody else is refused", async () => {
      const bob = await signedIn(which, server, "bob")
      const call = bob.begin("Login", { aal: "aal2", returnTo: "https://evil.example/" })
      const error = await call.catch((error) => error)
      assert.ok(error instanceof Refused)
      assert.deepEqual([error.status, error.id], [400, "self_service_flow_return_to_forbidden"])
    })
  })
}
