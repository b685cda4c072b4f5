// Row 7 of tests/README.md: answers that get lost, and forms that are sent twice.
import assert from "node:assert/strict"
import { after, afterEach, before, describe, test } from "node:test"

import { Browser } from "./lib/browser.js"
import { start } from "./lib/front.js"

const LOGIN = "/self-service/login?"
const SETTINGS = "/self-service/settings?"
const answers = (front, path) => front.forms(path).map(({ status }) => status)

describe("row 7: forms that are sent twice in Elements", () => {
  let browser, front
  before(async () => (browser = await Browser.start()))
  after(() => browser.stop())
  afterEach(() => front.stop())
  const scene = (name, options, story) =>
    test(name, async () => {
      front = await start({}, options)
      const person = await browser.person(front)
      await story(person)
      await person.leave()
    })

  scene("an answer gets lost, and the same form again ends stepped up", {}, async (alice) => {
    await alice.signIn("alice", "/payments")
    const code = await front.apps.alice.code()
    await alice.losesAnswer(LOGIN, () => alice.sendCode(code))
    await alice.confirm().click()
    await alice.arrives("/payments")
    await alice.isAt("aal2")
    const [first, second] = front.forms(LOGIN)
    assert.deepEqual([second.body, second.status], [first.body, 200])
    assert.deepEqual(answers(front, LOGIN), [200, 200])
  })

  scene("the browser itself sends a form again", { keepsConnections: true }, async (alice) => {
    await alice.signIn("alice", "/payments")
    front.loseAnswer(LOGIN)
    await alice.sendCode(await front.apps.alice.code())
    await alice.arrives("/payments")
    await alice.isAt("aal2")
    assert.deepEqual(answers(front, LOGIN), [200, 200])
  })

  scene("a double click ends stepped up", {}, async (alice) => {
    await alice.signIn("alice", "/payments")
    await alice.typeCode(await front.apps.alice.code())
    await alice.confirm().dblclick()
    await alice.arrives("/payments")
    await alice.isAt("aal2")
  })

  scene("two presses at the same moment end stepped up", {}, async (alice) => {
    await alice.signIn("alice", "/payments")
    await alice.typeCode(await front.apps.alice.code())
    // Faster than Elements can disable its button.
    await alice.confirm().evaluate((button) => [button.click(), button.click()])
    await alice.arrives("/payments")
    await alice.answered(LOGIN, 2)
    assert.deepEqual(answers(front, LOGIN), [200, 200])
    await alice.isAt("aal2")
  })

  scene("the browser itself sends an enrolment again", { keepsConnections: true }, async (bob) => {
    await bob.signIn("bob", "/ui/settings?return_to=/account")
    const app = await bob.newApp()
    front.loseAnswer(SETTINGS)
    await bob.enrol(await app.code())
    await bob.arrives("/account")
    await bob.isAt("aal2")
    assert.deepEqual(answers(front, SETTINGS), [200, 200])
  })

  scene("an enrolment whose answer got lost holds, after the next sign-in", {}, async (bob) => {
    await bob.signIn("bob", "/ui/settings?return_to=/account")
    const app = await bob.newApp()
    const code = await app.code()
    await bob.losesAnswer(SETTINGS, () => bob.enrol(code))
    // Here Elements waits for ever, so that people load the page anew. With the session of before, nobody is signed in any more.
    await bob.page.reload()
    await bob.sendPassword("bob", "bob-password")
    await bob.sendCode(await app.code())
    await bob.arrives("/ui/settings")
    await bob.group("totp").locator("button[name=totp_unlink]").waitFor()
    await bob.isAt("aal2")
  })
})
