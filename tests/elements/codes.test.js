// Codes by mail and text message in Elements.
import assert from "node:assert/strict"
import { after, before, describe, test } from "node:test"

import { Browser } from "./lib/browser.js"
import { start } from "./lib/front.js"

const MAIL = "alice@bank.example"
const PHONE = "+4915112345678"

const wrong = (code) => (code === "000000" ? "000001" : "000000")

describe("codes in Elements", () => {
  let browser, front
  before(async () => {
    const settings = { BANK_FACTORS: "totp,webauthn,code", BANK_CODE_COOL_DOWN: "0" }
    ;[browser, front] = await Promise.all([Browser.start(), start(settings, { host: "localhost" })])
  })
  after(() => Promise.all([browser.stop(), front.stop()]))

  test("an address is chosen, and the code that goes there is typed", async () => {
    const alice = await browser.person(front)
    await alice.asksForSecondFactor("alice", "/payments")
    await alice.choosesCode()
    const first = await front.code(MAIL)
    await alice.typesSentCode(wrong(first))
    await alice.message(4010008).waitFor()
    assert.equal((await alice.session()).error.id, "session_aal2_required")

    await alice.press("resend")
    const newest = await front.code(MAIL)
    await alice.message(4010008).waitFor({ state: "detached" })
    // One in a million is the same again.
    if (first !== newest) {
      await alice.typesSentCode(first)
      await alice.message(4010008).waitFor()
    }
    await alice.typesSentCode(newest)
    await alice.arrives("/payments")
    assert.match(await alice.page.innerText("main"), /payments of alice/)
    const { authentication_methods } = await alice.session()
    assert.deepEqual(authentication_methods.map(({ method, aal }) => [method, aal]), [["password", "aal1"], ["code", "aal2"]])
    await alice.leave()
  })

  // Elements sends what its form has as an identifier, and that of a key would be no address.
  test("beside a key, the code goes to the address too", async () => {
    const carol = await browser.person(front)
    await carol.plugIn()
    await carol.stepUp("carol")
    await carol.open("/ui/settings")
    await carol.addKey("blue key")
    await carol.page.getByText("blue key").waitFor()

    await carol.page.context().clearCookies()
    await carol.asksForSecondFactor("carol", "/payments")
    await carol.id("ory/form/auth-picker/webauthn").waitFor()
    await carol.choosesCode()
    await carol.typesSentCode(await front.code(PHONE))
    await carol.arrives("/payments")
    await carol.isAt("aal2")
    await carol.leave()
  })
})
