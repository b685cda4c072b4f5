// The built-in pages: what axe-core finds of WCAG 2.2, whether they fit a window of 320 pixels, in the light and in the dark, and that no code
// is sent before its user says so.
import assert from "node:assert/strict"
import { createRequire } from "node:module"
import { after, before, describe, test } from "node:test"

import { bankWithKeys } from "../sdk/lib/server.js"
import { Browser } from "./lib/browser.js"

const axe = createRequire(import.meta.url)("axe-core")
const SETTINGS = "/self-service/settings/browser"
const AAL2 = "/self-service/login/browser?aal=aal2"

// What is wrong with the page as it is shown, in both colour schemes, wide and narrow.
async function assertAccessible(person, what) {
  const { page } = person
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1100, 320]) {
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize({ width, height: 800 })
      const shown = `${what}, ${colorScheme}, ${width} px`
      await page.evaluate(axe.source)
      const { violations } = await page.evaluate(() =>
        window.axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }),
      )
      const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`)
      assert.deepEqual(found, [], shown)
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
      assert.ok(overflow <= 0, `${shown}: ${overflow} px are cut off`)
    }
  }
  await page.setViewportSize({ width: 1100, height: 800 })
}

// Types a wrong code where the focus is. Nothing is sent but by Enter; then the right one, which a button sends.
async function assertWaits(person, name, wrong, right) {
  const { page } = person
  const field = page.locator(`[name=${name}]`)
  const sent = []
  page.on("request", (request) => request.method() === "POST" && sent.push(request.url()))
  const type = async (code) => {
    await field.waitFor()
    assert.equal(await page.evaluate(() => document.activeElement.name), name, "it has the focus")
    for (const [attribute, value] of [["inputmode", "numeric"], ["autocomplete", "one-time-code"]]) {
      assert.equal(await field.getAttribute(attribute), value, name)
    }
    const before = [page.url(), sent.length]
    await page.keyboard.type(code)
    await page.waitForTimeout(300)
    assert.deepEqual([page.url(), sent.length], before, "the page waits")
    assert.equal(await field.inputValue(), code)
  }
  await type(wrong)
  await page.keyboard.press("Enter")
  await page.locator(".message.error").first().waitFor()
  await type(right)
  await field.locator("xpath=ancestor::form").locator("button[name=method]").click()
}

const MAIL = "alice@bank.example"

describe("the built-in pages", () => {
  let browser, server
  before(async () => {
    const settings = { BANK_FACTORS: "totp,lookup_secret,webauthn,code", BANK_CODE_COOL_DOWN: "0" }
    ;[browser, server] = await Promise.all([Browser.start(), bankWithKeys(settings)])
  })
  after(() => Promise.all([browser.stop(), server.stop()]))

  test("are accessible on the way to two factors", async () => {
    const bob = await browser.person(server)
    await bob.open("/login")
    await assertAccessible(bob, "the bank's login")
    await bob.signIn("bob")
    await bob.plugIn()
    await bob.open(SETTINGS)
    await assertAccessible(bob, "the settings of a user without a second factor")
    await bob.addKey("blue")
    await bob.page.locator(".message.success").waitFor()
    await assertAccessible(bob, "the settings with a key")
    await bob.press("lookup_secret_regenerate")
    await bob.page.locator("#lookup_secret_codes").waitFor()
    await assertAccessible(bob, "new recovery codes")
    await bob.press("lookup_secret_confirm")
    await bob.page.locator(".message.success").waitFor()
    await assertAccessible(bob, "the settings with recovery codes")
    await bob.open("/self-service/ui/sessions")
    await assertAccessible(bob, "the sessions")
    await bob.open(`${AAL2}&refresh=true`)
    await bob.page.locator("[name=webauthn_login_trigger]").waitFor()
    assert.equal(await bob.page.evaluate(() => document.activeElement.name), "webauthn_login_trigger", "it has the focus")
    await assertAccessible(bob, "a step-up with a key and recovery codes")
    await bob.page.fill("[name=lookup_secret]", "WRONG-CODE-WRONG-CODE")
    await bob.page.click("button[name=method][value=lookup_secret]")
    await bob.page.locator(".message.error").first().waitFor()
    await assertAccessible(bob, "a step-up with a wrong code")
    await bob.open("/self-service/login/browser?refresh=true")
    await bob.page.locator("[name=password]").waitFor()
    await assertAccessible(bob, "the password once more")
    await bob.leave()
  })

  test("are accessible where something is wrong", async () => {
    const alice = await browser.person(server)
    await alice.signIn("alice", `${AAL2}&return_to=/payments`)
    await alice.page.locator("[name=totp_code]").waitFor()
    await assertAccessible(alice, "a step-up with an app")
    await alice.press("address")
    await alice.page.locator("[name=code]").waitFor()
    await server.code(MAIL)
    await assertAccessible(alice, "a step-up with a code that was sent")
    await alice.open("/self-service/login/browser?aal=aal9")
    await alice.arrives("/self-service/ui/error")
    await assertAccessible(alice, "an error")
    await alice.leave()
  })

  test("wait with a code of the app until its user sends it", async () => {
    const alice = await browser.person(server)
    await alice.signIn("alice", `${AAL2}&return_to=/payments`)
    await assertWaits(alice, "totp_code", server.apps.alice.wrongCode(), await server.apps.alice.code())
    await alice.arrives("/payments")
    await alice.leave()
  })

  test("wait with a code that was sent until its user sends it", async () => {
    const alice = await browser.person(server)
    await alice.signIn("alice", `${AAL2}&return_to=/payments`)
    await alice.press("address")
    const right = await server.code(MAIL)
    await assertWaits(alice, "code", right === "000000" ? "000001" : "000000", right)
    await alice.arrives("/payments")
    await alice.leave()
  })
})
