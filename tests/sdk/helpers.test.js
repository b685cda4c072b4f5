// What `handleFlowError` and the other helpers of @ory/client-fetch make of each of our errors: front ends that were written with them
// find their way without special code.
import assert from "node:assert/strict"
import { after, before, describe, test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"

import { SDKS, client, clientFetch, handled, messages, signedIn } from "./lib/clients.js"
import { bank } from "./lib/server.js"

const SPA = { sdk: "client-fetch", kind: "browser" }
const NATIVE = { sdk: "client-fetch", kind: "native" }

describe("handleFlowError", () => {
  let server
  before(async () => (server = await bank({ BANK_TRANSFER_MAX_AGE: "1" })))
  after(() => server.stop())

  test("goes to the second factor on session_aal2_required", async () => {
    const alice = await signedIn(SPA, server, "alice")
    const second = `${server.url}/self-service/login/browser?aal=aal2`
    assert.deepEqual(await handled(alice.call("toSession")), { redirect: second })
    assert.deepEqual(await handled(alice.begin("Settings")), { redirect: second })
    // A guarded route of the application answers alike.
    const refused = await alice.get("/api/payments")
    const error = new clientFetch.ResponseError(refused)
    const back = encodeURIComponent(`${server.url}/api/payments`)
    assert.deepEqual(await handled(Promise.reject({ cause: error })), { redirect: `${second}&return_to=${back}` })
  })

  test("goes to confirm anew on session_refresh_required", async () => {
    const alice = await signedIn(SPA, server, "alice")
    await alice.stepUp(await server.apps.alice.code())
    await sleep(1_100)
    const error = new clientFetch.ResponseError(await alice.get("/transfer"))
    const { redirect } = await handled(Promise.reject({ cause: error }))
    const url = new URL(redirect)
    assert.equal(url.searchParams.get("return_to"), `${server.url}/transfer`)
    // The address leads to a flow that works.
    const flow = await alice.begin("Login", { aal: url.searchParams.get("aal"), refresh: url.searchParams.get("refresh") })
    await alice.submitLogin(flow, { method: "totp", totp_code: await server.apps.alice.code() })
    assert.equal((await alice.get("/transfer")).status, 200)
  })

  test("shows the flow again on a wrong code", async () => {
    const alice = await signedIn(SPA, server, "alice")
    const flow = await alice.begin("Login", { aal: "aal2" })
    const seen = await handled(alice.submitLogin(flow, { method: "totp", totp_code: server.apps.alice.wrongCode() }))
    assert.deepEqual([seen.flow.id, messages(seen.flow)], [flow.id, [4000008]])
  })

  test("begins anew without the CSRF token, and for an unknown flow", async () => {
    const alice = await signedIn(SPA, server, "alice")
    const flow = await alice.begin("Login", { aal: "aal2" })
    const body = { method: "totp", totp_code: "123456" }
    assert.deepEqual(await handled(alice.call("updateLoginFlow", { flow: flow.id, updateLoginFlowBody: body })), { restart: "anew" })
    const unknown = "3c1de7a4-9a0e-4a55-8c33-1b7f0f6f5d20"
    assert.deepEqual(await handled(alice.call("getLoginFlow", { id: unknown })), { restart: "anew" })
    alice.jar.cookies = new Map([...alice.jar.cookies].filter(([name]) => !name.startsWith("csrf_token_")))
    assert.deepEqual(await handled(alice.call("getLoginFlow", { id: flow.id })), { restart: "anew" })
  })

  test("leaves the page on browser_location_change_required", async () => {
    const carol = client(SPA, server)
    const flow = await carol.begin("Login", { returnTo: "/payments" })
    const seen = await handled(carol.submitLogin(flow, { method: "password", identifier: "carol", password: "carol-password" }))
    const back = encodeURIComponent(`${server.url}/payments`)
    assert.deepEqual(seen, { redirect: `${server.url}/self-service/login/browser?aal=aal2&return_to=${back}` })
  })

  test("throws what only a person can mend", async () => {
    assert.deepEqual(await handled(client(SPA, server).call("toSession")), { thrown: 401 })
    assert.deepEqual(await handled(client(SPA, server).begin("Login", { aal: "aal2" })), { thrown: 401 })
    const bob = await signedIn(SPA, server, "bob")
    const flow = await bob.begin("Login", { refresh: true })
    const other = { method: "password", identifier: "carol", password: "carol-password" }
    assert.deepEqual(await handled(bob.submitLogin(flow, other)), { thrown: 403 })
    const carol = await signedIn(SPA, server, "carol")
    const login = await carol.begin("Login", { aal: "aal2" })
    let seen
    do seen = await handled(carol.submitLogin(login, { method: "totp", totp_code: server.apps.carol.wrongCode() }))
    while (seen.flow && !seen.flow.ui.messages.some(({ id }) => id === 4990001))
    assert.ok(seen.flow, "a lock is shown like any other message")
  })

  test("has a name for each of these errors", async () => {
    const body = async (call) => (await call.catch((refused) => refused)).body
    const alice = await signedIn(SPA, server, "alice")
    const bob = await signedIn(SPA, server, "bob")
    assert.ok(clientFetch.isSessionAal2Required(await body(alice.call("toSession"))))
    assert.ok(clientFetch.isNoActiveSession(await body(client(SPA, server).call("toSession"))))
    assert.ok(clientFetch.isSessionAal1Required(await body(client(SPA, server).begin("Login", { aal: "aal2" }))))
    assert.ok(clientFetch.isSessionAlreadyAvailable(await body(bob.begin("Login"))))
    assert.ok(clientFetch.isRedirectUrlNotAllowed(await body(bob.begin("Login", { returnTo: "//evil.example" }))))
    assert.ok(!clientFetch.isGenericErrorResponse(await bob.begin("Login", { refresh: true })))
  })
})

describe("the other quirks of client-fetch", () => {
  let server
  before(async () => (server = await bank()))
  after(() => server.stop())

  // Its `create*` calls send no `Accept` then. `fetch` itself says that it does not navigate, here as in a browser.
  test("without an Accept header a flow is still JSON, since fetch does not navigate", async () => {
    const alice = await client(SPA, server, {}).signIn("alice")
    const { raw } = await alice.api.createBrowserLoginFlowRaw({ aal: "aal2" })
    assert.match(raw.headers.get("content-type"), /^application\/json/)
    assert.deepEqual([raw.status, raw.redirected], [200, false])
    const flow = await alice.begin("Login", { aal: "aal2" })
    const done = await alice.submitLogin(flow, { method: "totp", totp_code: await server.apps.alice.code() })
    assert.equal(done.session?.authenticator_assurance_level, "aal2")
    const settings = await alice.begin("Settings")
    assert.equal(settings.state, "show_form")
  })

  test("handleContinueWith follows a redirect, and leaves a token to the native client", async () => {
    const bob = await signedIn(SPA, server, "bob")
    const flow = await bob.begin("Login", { refresh: true, returnTo: "/account" })
    const done = await bob.submitLogin(flow, { method: "password", identifier: "bob", password: "bob-password" })
    let followed
    assert.ok(clientFetch.handleContinueWith(done.continue_with, { onRedirect: (url) => (followed = url) }))
    assert.equal(followed, `${server.url}/account`)

    const native = await signedIn(NATIVE, server, "bob")
    const login = await native.begin("Login", { refresh: true })
    const passed = await native.submitLogin(login, { method: "password", identifier: "bob", password: "bob-password" })
    assert.equal(passed.continue_with ?? undefined, undefined)
    assert.equal(clientFetch.handleContinueWith(passed.continue_with, { onRedirect: assert.fail }), false)
    assert.equal(passed.session_token, native.token)
  })

  test("the helpers for nodes read ours", async () => {
    const bob = await signedIn(SPA, server, "bob")
    const flow = await bob.begin("Settings")
    const ids = flow.ui.nodes.map((node) => clientFetch.getNodeId(node))
    assert.deepEqual(ids, ["csrf_token", "lookup_secret_regenerate", "totp_qr", "totp_secret_key", "totp_code", "method"])
    const labels = flow.ui.nodes.slice(1).map((node) => clientFetch.getNodeLabel(node)?.id)
    assert.deepEqual(labels, [1050008, 1050005, 1050017, 1070006, 1070003])
  })

  test("both SDKs see the same bearer token", async () => {
    for (const Sdk of Object.values(SDKS)) {
      const bob = await new Sdk(server.url).signIn("bob")
      const answer = await fetch(`${server.url}/sessions/whoami`, { headers: { Authorization: `Bearer ${bob.token}` } })
      assert.equal((await answer.json()).id, (await bob.call("toSession")).id)
    }
  })
})
