// Row 18 of tests/README.md: Elements as it is published, on the way from a guarded page to the second factor and back.
import assert from "node:assert/strict"
import { after, before, describe, test } from "node:test"

import { Browser } from "./lib/browser.js"
import { start } from "./lib/front.js"

describe("row 18: stepping up in Elements", () => {
  let browser, front
  before(async () => {
    // The first factor too is asked for by Elements.
    ;[browser, front] = await Promise.all([Browser.start(), start({ BANK_LOGIN_URL: "FRONT/self-service/login/browser" })])
  })
  after(() => Promise.all([browser.stop(), front.stop()]))

  test("a password and a code, and back to where one was", async () => {
    const alice = await browser.person(front)
    await alice.open("/payments?from=mail")
    await alice.arrives("/ui/login")
    await alice.sendPassword("alice", "not her password")
    await alice.message(4000006).waitFor()
    assert.equal(await alice.page.inputValue("[name=identifier]"), "alice", "row 12: what was typed stays")
    await alice.sendPassword("alice", "alice-password")

    await alice.sendCode(front.apps.alice.wrongCode())
    await alice.message(4000008).waitFor()
    assert.equal((await alice.session()).error.id, "session_aal2_required")
    await alice.sendCode(await front.apps.alice.code())
    await alice.arrives("/payments")
    assert.equal(new URL(alice.page.url()).search, "?from=mail")
    assert.match(await alice.page.innerText("main"), /payments of alice/)
    await alice.isAt("aal2")
    await alice.leave()
  })

  test("a second factor is confirmed anew", async () => {
    const carol = await browser.person(front)
    await carol.stepUp("carol")
    const authenticated = async () => Date.parse((await carol.session()).authenticated_at)
    const before = await authenticated()
    await carol.open("/self-service/login/browser?aal=aal2&refresh=true&return_to=/account")
    await carol.arrives("/ui/login")
    await carol.sendCode(await front.apps.carol.code())
    await carol.arrives("/account")
    assert.ok((await authenticated()) > before)
    await carol.leave()
  })
})
