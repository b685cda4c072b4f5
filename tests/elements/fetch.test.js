// The package `step-up-fetch` in a front end of one's own, with Elements and with the built-in pages.
import assert from "node:assert/strict"
import { after, before, describe, test } from "node:test"

import { Browser } from "./lib/browser.js"
import { start } from "./lib/front.js"

// What the page says of its requests.
async function says(page) {
  const output = page.locator("output:not(:empty)")
  await output.waitFor()
  return output.innerText()
}

async function press(page, way) {
  await page.click(`#${way}`)
}

// The window that opens for the step-up.
async function opens(person, way) {
  const [window] = await Promise.all([person.page.waitForEvent("popup"), press(person.page, way)])
  await window.waitForLoadState()
  return window
}

describe("with the built-in pages", () => {
  let browser, front
  before(async () => {
    ;[browser, front] = await Promise.all([Browser.start(), start({ BANK_LOGIN_UI_URL: "", BANK_SETTINGS_UI_URL: "" })])
  })
  after(() => Promise.all([browser.stop(), front.stop()]))

  async function alice() {
    const alice = await browser.person(front)
    await alice.signIn("alice", "/ui/fetch")
    return alice
  }

  const confirm = async (window) => {
    await window.fill("[name=totp_code]", await front.apps.alice.code())
    await window.press("[name=totp_code]", "Enter")
  }

  test("the window comes back to where it was", async () => {
    const person = await alice()
    await press(person.page, "redirect")
    await person.page.waitForSelector("[name=totp_code]")
    await confirm(person.page)
    await person.arrives("/ui/fetch")
    await press(person.page, "redirect")
    assert.equal(await says(person.page), "[200]")
    await person.leave()
  })

  test("a window of its own opens once for requests that wait together", async () => {
    const person = await alice()
    const windows = []
    person.page.on("popup", (window) => windows.push(window))
    const window = await opens(person, "parallel")
    await Promise.all([window.waitForEvent("close"), confirm(window)])
    assert.equal(await says(person.page), "[200,200,200]")
    assert.equal(windows.length, 1)
    await person.isAt("aal2")
    // Each was asked for once more, and no more than that.
    const asked = (path) => front.asked.filter(({ url }) => url === path).slice(-4).map(({ status }) => status)
    assert.deepEqual(asked("/payments"), [403, 403, 200, 200])
    await person.leave()
  })

  test("what was sent is sent again", async () => {
    const person = await alice()
    const window = await opens(person, "post")
    await Promise.all([window.waitForEvent("close"), confirm(window)])
    assert.equal(await says(person.page), "[200]")
    const sent = front.forms("/transfer").slice(-2)
    assert.deepEqual(sent.map(({ body }) => body), ["to=bob&amount=5", "to=bob&amount=5"])
    assert.deepEqual(sent.map(({ status }) => status), [403, 200])
    await person.leave()
  })

  test("who closes the window has cancelled", async () => {
    const person = await alice()
    const window = await opens(person, "popup")
    await window.close()
    // What a window tells that gets the focus back; the browser of these tests gives it to all windows at once.
    await person.page.evaluate(() => dispatchEvent(new Event("focus")))
    assert.equal(await says(person.page), "StepUpCancelled")
    assert.equal((await person.session()).error.id, "session_aal2_required")
    await person.leave()
  })

  test("who says so on the page that it comes back to has cancelled", async () => {
    const person = await alice()
    const window = await opens(person, "popup")
    const back = new URL(new URL(window.url()).searchParams.get("return_to") ?? (await returnTo(person, window)))
    await window.goto(`${back}#cancelled`)
    await window.click("#tell")
    assert.equal(await says(person.page), "StepUpCancelled")
    await person.leave()
  })

  async function returnTo(person, window) {
    const id = new URL(window.url()).searchParams.get("flow")
    const flow = await person.page.context().request.get(`/self-service/login/flows?id=${id}`, { headers: { Accept: "application/json" } })
    return (await flow.json()).return_to
  }

  test("a request that is given up waits no longer", async () => {
    const person = await alice()
    await opens(person, "abort")
    assert.equal(await says(person.page), "AbortError")
    await person.leave()
  })

  test("a modal of one's own by the hook", async () => {
    const person = await alice()
    await press(person.page, "modal")
    await person.page.waitForSelector("#dialog")
    assert.match(await person.page.innerText("#dialog"), /session_aal2_required/)
    await person.page.click("#cancel")
    assert.equal(await says(person.page), "StepUpCancelled")
    await press(person.page, "modal")
    await person.page.fill("#dialog [name=code]", front.apps.alice.wrongCode())
    await person.page.press("#dialog [name=code]", "Enter")
    await person.page.getByText("Wrong code").waitFor()
    await person.page.fill("#dialog [name=code]", await front.apps.alice.code())
    await person.page.press("#dialog [name=code]", "Enter")
    assert.equal(await says(person.page), "[200]")
    await person.leave()
  })

  test("other answers are as they are", async () => {
    const person = await alice()
    await press(person.page, "open")
    assert.equal(await says(person.page), "[200,404]")
    await person.leave()
  })
})

describe("with Elements", () => {
  let browser, front
  before(async () => {
    ;[browser, front] = await Promise.all([Browser.start(), start({})])
  })
  after(() => Promise.all([browser.stop(), front.stop()]))

  test("the window comes back to the page that waits", async () => {
    const alice = await browser.person(front)
    await alice.signIn("alice", "/ui/fetch")
    const window = await opens(alice, "popup")
    await window.waitForSelector("[name=totp_code]")
    await window.fill("[name=totp_code]", await front.apps.alice.code())
    await Promise.all([window.waitForEvent("close"), window.click("button[name=method][value=totp]")])
    assert.equal(await says(alice.page), "[200]")
    await alice.leave()
  })
})
