// Security keys in Elements, with the virtual ones of Chromium.
import assert from "node:assert/strict"
import { after, before, describe, test } from "node:test"

import { Browser } from "./lib/browser.js"
import { start } from "./lib/front.js"

describe("security keys in Elements", () => {
  let browser, front
  before(async () => {
    const bank = start({ BANK_FACTORS: "totp,lookup_secret,webauthn" }, { host: "localhost" })
    ;[browser, front] = await Promise.all([Browser.start(), bank])
  })
  after(() => Promise.all([browser.stop(), front.stop()]))

  test("a key is added, used, refused when it forges, and removed", async () => {
    const bob = await browser.person(front)
    const key = await bob.plugIn()
    await bob.signIn("bob")
    await bob.open("/ui/settings")
    await bob.addKey("blue key")
    await bob.page.getByText("blue key").waitFor()
    await bob.isAt("aal2")
    // Ory's script sends a form, whatever began the flow.
    assert.match(front.forms("/self-service/settings?").at(-1).body, /webauthn_register=%7B/)

    await bob.page.context().clearCookies()
    await bob.asksForSecondFactor("bob", "/payments")
    await bob.forges(key, true)
    await bob.useKey()
    await bob.message(4000043).waitFor()
    await bob.forges(key, false)
    await bob.useKey()
    await bob.arrives("/payments")
    assert.match(await bob.page.innerText("main"), /payments of bob/)
    await bob.isAt("aal2")

    await bob.open(`/self-service/login/browser?aal=aal2&refresh=true&return_to=${encodeURIComponent("/transfer")}`)
    await bob.useKey()
    await bob.arrives("/transfer")

    await bob.open("/ui/settings")
    await bob.page.getByText("blue key").waitFor()
    await bob.press("webauthn_remove")
    await bob.page.getByText("blue key").waitFor({ state: "detached" })
    await bob.isAt("aal1")
    await bob.leave()
  })
})
