// What a response says, in the formats of the server: wire contract sections 3 and 11, and RFC 9470.
import assert from "node:assert/strict"
import { before, test } from "node:test"

let challengeOf
before(async () => {
  globalThis.location = new URL("https://bank.example/app")
  ;({ challengeOf } = await import("step-up-fetch"))
})

const json = (status, body, headers = {}) =>
  new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json", ...headers } })

const ory = (id, url) => ({ error: { id, code: 403 }, redirect_browser_to: url })

test("Ory's envelopes name a page", async () => {
  const url = "https://id.bank.example/self-service/login/browser?aal=aal2"
  for (const [status, id] of [[403, "session_aal2_required"], [403, "session_refresh_required"], [401, "session_inactive"]]) {
    const response = json(status, ory(id, url))
    const { response: same, ...challenge } = await challengeOf(response)
    assert.deepEqual(challenge, { id, url })
    assert.equal((await same.json()).error.id, id, "the application can read it too")
  }
})

test("RFC 9470 names contexts and an age", async () => {
  const header = 'Bearer realm="bank", error="insufficient_user_authentication", error_description="Too old", acr_values="aal2 phr", max_age="300"'
  const { response, ...challenge } = await challengeOf(new Response("", { status: 401, headers: { "WWW-Authenticate": header } }))
  assert.deepEqual(challenge, { id: "insufficient_user_authentication", acrValues: ["aal2", "phr"], maxAge: 300 })
})

test("other answers are none", async () => {
  for (const response of [
    json(200, ory("session_aal2_required", "https://bank.example/")),
    json(403, { error: { id: "security_csrf_violation" } }),
    json(403, {}),
    json(403, null),
    new Response("{", { status: 403, headers: { "Content-Type": "application/json" } }),
    new Response("session_aal2_required", { status: 403, headers: { "Content-Type": "text/html" } }),
    new Response("", { status: 401, headers: { "WWW-Authenticate": 'Bearer error="invalid_token"' } }),
    new Response("", { status: 401, headers: { "WWW-Authenticate": 'Bearer realm="error=insufficient_user_authentication"' } }),
  ])
    assert.equal(await challengeOf(response), undefined)
})

test("no script is an address", async () => {
  for (const url of ["javascript:alert(1)", "data:text/html,x", 5, undefined, "http://["]) {
    const { url: page } = await challengeOf(json(403, ory("session_aal2_required", url)))
    assert.equal(page, undefined)
  }
})
