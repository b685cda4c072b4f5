// The built-in pages: what axe-core finds of WCAG 2.2, and whether they fit a window of 320 pixels, in the light and in the dark.
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

describe("the built-in pages", () => {
  let browser, server
  before(async () => {
    ;[browser, server] = await Promise.all([Browser.start(), bankWithKeys()])
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
    await alice.open("/self-service/login/browser?aal=aal9")
    await alice.arrives("/self-service/ui/error")
    await assertAccessible(alice, "an error")
    await alice.leave()
  })
})
