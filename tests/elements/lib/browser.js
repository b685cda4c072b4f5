// Chromium, and what people do in it.
import assert from "node:assert/strict"
import { setTimeout as sleep } from "node:timers/promises"

import { chromium } from "playwright-core"

import { Authenticator } from "../../sdk/lib/totp.js"

const executablePath = process.env.CHROMIUM
if (!executablePath) throw new Error("CHROMIUM must name the browser: start these tests with tests/elements/run")

async function eventually(condition, otherwise) {
  for (let begun = Date.now(); Date.now() - begun < 10_000; await sleep(50)) if (await condition()) return
  assert.fail(otherwise())
}

export class Browser {
  #chromium

  constructor(chromium) {
    this.#chromium = chromium
  }

  static async start() {
    // Without the sandbox it also runs as root.
    return new Browser(await chromium.launch({ executablePath, args: ["--no-sandbox"] }))
  }

  stop() {
    return this.#chromium.close()
  }

  // Somebody at a computer of their own.
  async person(front) {
    const context = await this.#chromium.newContext({ baseURL: front.url, locale: "en-US" })
    context.setDefaultTimeout(10_000)
    return new Person(front, await context.newPage())
  }
}

class Person {
  constructor(front, page) {
    this.front = front
    this.page = page
    // What went wrong in the page's own scripts.
    this.crashes = []
    page.on("pageerror", (error) => this.crashes.push(String(error)))
  }

  async leave() {
    await this.page.context().close()
    assert.deepEqual(this.crashes, [])
  }

  open(path) {
    return this.page.goto(path)
  }

  // A security key that is plugged in, and touched whenever it blinks: the developer tools have them.
  async plugIn() {
    this.tools ??= await this.page.context().newCDPSession(this.page)
    await this.tools.send("WebAuthn.enable")
    const options = {
      protocol: "ctap2",
      transport: "usb",
      hasResidentKey: false,
      hasUserVerification: false,
      automaticPresenceSimulation: true,
    }
    const { authenticatorId } = await this.tools.send("WebAuthn.addVirtualAuthenticator", { options })
    return authenticatorId
  }

  // Lets the key sign with another signature than its own.
  forges(authenticatorId, isBogusSignature) {
    return this.tools.send("WebAuthn.setResponseOverrideBits", { authenticatorId, isBogusSignature })
  }

  // Adds the key that is plugged in.
  async addKey(name) {
    await this.page.fill("[name=webauthn_register_displayname]", name)
    await this.page.click("[name=webauthn_register_trigger]")
  }

  // Uses it in the form of Elements.
  async useKey() {
    const button = this.page.locator("[name=webauthn_login_trigger]")
    const choice = this.id("ory/form/auth-picker/webauthn")
    await button.or(choice).first().waitFor()
    if (await choice.isVisible()) await choice.click()
    await button.click()
  }

  id(name) {
    return this.page.getByTestId(name)
  }

  group(name) {
    return this.id(`ory/screen/settings/group/${name}`)
  }

  message(id) {
    return this.id(`ory/message/${id}`)
  }

  async arrives(path) {
    // A second answer may lead to the same page once more, while it loads.
    await eventually(() => new URL(this.page.url()).pathname === path, () => `at ${this.page.url()}, not at ${path}`)
    await this.page.waitForLoadState()
  }

  // The bank's own form for the first factor.
  async signIn(name, then = "/account") {
    await this.open(`/login?return_to=${encodeURIComponent(then)}`)
    await this.page.fill("#username", name)
    await this.page.fill("#password", `${name}-password`)
    await this.page.press("#password", "Enter")
    await eventually(() => new URL(this.page.url()).pathname !== "/login", () => "not signed in")
  }

  // The form of Elements for it.
  async sendPassword(name, password) {
    await this.page.fill("[name=identifier]", name)
    await this.page.fill("[name=password]", password)
    await this.page.click("button[name=method][value=password]")
  }

  // Types a code of the app into the form of Elements, and does not send it.
  async typeCode(code) {
    const field = this.page.locator("[name=totp_code]")
    const choice = this.id("ory/form/auth-picker/totp")
    // With more than one way, Elements lets people choose first.
    await field.or(choice).first().waitFor()
    if (await choice.isVisible()) await choice.click()
    await field.fill(code)
  }

  // Has a code sent, in Elements: it offers the first address alone.
  choosesCode() {
    return this.id("ory/form/auth-picker/code").click()
  }

  // Types a code that was sent, and sends it back.
  async typesSentCode(code) {
    await this.page.fill("[name=code]", code)
    await this.page.click("button[name=method][value=code]")
  }

  confirm() {
    return this.page.locator("button[name=method][value=totp]")
  }

  async sendCode(code) {
    await this.typeCode(code)
    await this.confirm().click()
  }

  // The way to a page behind the second factor.
  async asksForSecondFactor(name, then) {
    await this.signIn(name, `/self-service/login/browser?aal=aal2&return_to=${encodeURIComponent(then)}`)
  }

  async stepUp(name, then = "/account") {
    await this.asksForSecondFactor(name, then)
    await this.sendCode(await this.front.apps[name].code())
    await this.arrives(then)
  }

  async #sendRecoveryCode(name, code) {
    await this.asksForSecondFactor(name, "/account")
    await this.id("ory/form/auth-picker/lookup_secret").click()
    await this.page.fill("[name=lookup_secret]", code)
    await this.page.click("button[name=method][value=lookup_secret]")
  }

  async stepUpByRecoveryCode(name, code) {
    await this.#sendRecoveryCode(name, code)
    await this.arrives("/account")
    await this.isAt("aal2")
  }

  async refusedRecoveryCode(name, code) {
    await this.#sendRecoveryCode(name, code)
    await this.message(4000016).waitFor()
  }

  saveApp() {
    return this.group("totp").locator("button[name=method]")
  }

  // An app that takes over the secret that the page shows.
  async newApp() {
    return new Authenticator(await this.id("ory/form/node/input/totp_secret_key").inputValue())
  }

  // Sends the first code of a new app.
  async enrol(code) {
    await this.page.fill("[name=totp_code]", code)
    await this.saveApp().click()
  }

  // A button of the settings.
  async press(name) {
    await this.page.click(`button[name=${name}]`)
  }

  // The list of recovery codes, as soon as it is the one that is waited for.
  async codes(expected) {
    const list = this.id("ory/screen/settings/group/recovery_code/codes")
    let lines
    await eventually(async () => {
      lines = (await list.isVisible()) ? await list.locator("p").allInnerTexts() : []
      return lines.length > 0 && expected(lines)
    }, () => `the list shows ${JSON.stringify(lines)}`)
    return lines
  }

  // Waits until so many forms for this path were answered, and Elements has drawn the answer.
  async answered(path, forms) {
    await eventually(() => this.front.forms(path).length >= forms, () => `${forms} answers to ${path}`)
    await this.page.waitForTimeout(100)
  }

  // Sends a form whose answer does not arrive. Of that Elements shows nothing.
  async losesAnswer(path, send) {
    this.front.loseAnswer(path)
    const failed = this.page.waitForEvent("requestfailed", (request) => request.method() === "POST")
    await send()
    await failed
    await this.answered(path, 1)
    this.crashes = this.crashes.filter((crash) => !crash.startsWith("FetchError"))
  }

  // What the bank itself says about the session.
  async session() {
    const answer = await this.page.context().request.get("/sessions/whoami", { headers: { Accept: "application/json" } })
    return answer.json()
  }

  async isAt(level) {
    assert.equal((await this.session()).authenticator_assurance_level, level)
  }
}
