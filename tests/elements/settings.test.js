// Rows 14, 15 and 17 of tests/README.md: second factors in the settings of Elements.
import assert from "node:assert/strict"
import { after, before, describe, test } from "node:test"

import { Browser } from "./lib/browser.js"
import { start } from "./lib/front.js"

const CODE = /^[A-Z2-7]{4}(-[A-Z2-7]{4})+$/

describe("the settings in Elements", () => {
  let browser, front
  before(async () => {
    ;[browser, front] = await Promise.all([Browser.start(), start()])
  })
  after(() => Promise.all([browser.stop(), front.stop()]))

  test("row 15: who has no second factor is led to enrolment, and then back", async () => {
    const bob = await browser.person(front)
    await bob.signIn("bob")
    // As a single-page application begins it: by a request of its own.
    await bob.open("/ui/login?aal=aal2&return_to=/payments")
    await bob.arrives("/ui/settings")
    const app = await bob.newApp()
    await bob.group("totp").locator("img[src^='data:image/png']").waitFor()
    await bob.enrol(app.wrongCode())
    await bob.message(4000008).waitFor()
    await bob.enrol(await app.code())
    await bob.arrives("/payments")
    assert.match(await bob.page.innerText("main"), /payments of bob/)
    await bob.isAt("aal2")
    await bob.leave()
  })

  test("row 14: recovery codes are seen as a list, and replaced", async () => {
    const alice = await browser.person(front)
    await alice.stepUp("alice")
    await alice.open("/ui/settings")
    await alice.press("lookup_secret_regenerate")
    const first = await alice.codes((codes) => codes.every((code) => CODE.test(code)))
    await alice.press("lookup_secret_confirm")
    await alice.message(1050001).waitFor()

    const elsewhere = await browser.person(front)
    await elsewhere.stepUpByRecoveryCode("alice", first[0])

    // The codes are kept hashed, so the list says only which ones are used.
    await alice.open("/ui/settings")
    await alice.press("lookup_secret_reveal")
    await alice.message(1990005).waitFor()
    const uses = await alice.codes((lines) => lines.length === 12)
    assert.equal(uses.filter((line) => /not used/i.test(line)).length, 11, uses)
    assert.equal(uses.filter((line) => /used on /i.test(line)).length, 1, uses)

    // Here Elements sends what its other button would: that must not turn the codes off.
    await alice.page.reload()
    await alice.press("lookup_secret_regenerate")
    const second = await alice.codes((codes) => codes.every((code) => CODE.test(code)))
    const sent = JSON.parse(front.forms("/self-service/settings?").at(-1).body)
    assert.deepEqual([sent.lookup_secret_regenerate, sent.lookup_secret_disable], ["true", "true"])
    await alice.press("lookup_secret_confirm")
    await alice.message(1050001).waitFor()

    await elsewhere.refusedRecoveryCode("alice", first[1])
    await elsewhere.stepUpByRecoveryCode("alice", second[1])
    await elsewhere.leave()
    await alice.leave()
  })

  test("row 17: who removes the app is told that the recovery codes went too", async () => {
    const carol = await browser.person(front)
    await carol.stepUp("carol")
    await carol.open("/ui/settings")
    await carol.press("lookup_secret_regenerate")
    await carol.codes((codes) => codes.every((code) => CODE.test(code)))
    await carol.press("lookup_secret_confirm")
    await carol.message(1050001).waitFor()
    await carol.press("totp_unlink")
    await carol.message(1990003).waitFor()
    assert.match(await carol.message(1990003).innerText(), /recovery codes were removed too/i)
    await carol.isAt("aal1")

    const { schema_url } = (await carol.session()).identity
    const schema = await carol.page.request.get(schema_url)
    assert.equal(schema.status(), 200)
    assert.equal((await schema.json()).type, "object")
    await carol.leave()
  })
})
