// Row 13 of tests/README.md: Elements says that there were too many attempts, and what to do.
import assert from "node:assert/strict"
import { after, before, describe, test } from "node:test"

import { Browser } from "./lib/browser.js"
import { start } from "./lib/front.js"

describe("row 13: too many attempts in Elements", () => {
  let browser, front
  before(async () => {
    ;[browser, front] = await Promise.all([Browser.start(), start({ BANK_LOGIN_URL: "FRONT/self-service/login/browser" })])
  })
  after(() => Promise.all([browser.stop(), front.stop()]))

  test("wrong codes lock the factor, and a reload still says so", async () => {
    const carol = await browser.person(front)
    await carol.signIn("carol", "/payments")
    const locked = carol.message(4990001)
    let answered = 0
    while (!(await locked.isVisible())) {
      assert.ok(answered < 10, "no lock")
      await carol.sendCode(front.apps.carol.wrongCode())
      answered += 1
      await carol.answered("/self-service/login?", answered)
    }
    assert.match(await locked.innerText(), /Too many attempts\. Please try again in \d+ seconds\./)
    await carol.page.reload()
    await locked.waitFor()

    // The right code is refused too.
    await carol.sendCode(await front.apps.carol.code())
    await carol.answered("/self-service/login?", answered + 1)
    assert.equal(front.forms("/self-service/login?").at(-1).status, 400)
    await locked.waitFor()
    await carol.leave()
  })

  test("after wrong passwords there is a link to a new form", async () => {
    const bob = await browser.person(front)
    await bob.open("/payments")
    await bob.arrives("/ui/login")
    const before = front.forms("/self-service/login?").length
    const locked = bob.message(4990001)
    for (let answered = 1; !(await locked.isVisible()); answered += 1) {
      assert.ok(answered <= 10, "no end")
      await bob.sendPassword("bob", `wrong-${answered}`)
      await bob.answered("/self-service/login?", before + answered)
    }
    assert.match(await locked.innerText(), /Too many attempts/)
    const old = bob.page.url()
    await bob.id("ory/form/node/link/begin_again").click()
    await bob.page.waitForURL((url) => url.pathname === "/ui/login" && url.href !== old)
    await bob.sendPassword("bob", "bob-password")
    // He was on his way to the payments, which take a second factor, which he has to enrol first.
    await bob.arrives("/ui/settings")
    await bob.leave()
  })
})
