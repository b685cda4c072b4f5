// Codes by mail and text message as a second factor, by both SDKs.
import assert from "node:assert/strict"
import { after, before, describe, test } from "node:test"

import { MATRIX, messages, node, signedIn } from "./lib/clients.js"
import { bank } from "./lib/server.js"

const MAIL = "alice@bank.example"
const PHONE = "+4915112345678"

const wrong = (code) => (code === "000000" ? "000001" : "000000")

// The flow that goes on after these fields.
async function goesOn(user, flow, fields) {
  const parameters = { flow: flow.id, updateLoginFlowBody: user.body(flow, fields) }
  return (await user.refused(400, undefined, "updateLoginFlow", parameters)).body
}

async function methods(user) {
  const { authentication_methods } = await user.call("toSession")
  return authentication_methods.map(({ method, aal }) => [method, aal])
}

describe("codes", () => {
  let server
  before(async () => (server = await bank({ BANK_FACTORS: "totp,code", BANK_CODE_COOL_DOWN: "0" })))
  after(() => server.stop())

  for (const which of MATRIX) {
    test(`${which.sdk}, ${which.kind}: an address is chosen, and the code that goes there is typed`, async () => {
      const alice = await signedIn(which, server, "alice")
      await alice.refused(403, "session_aal2_required", "toSession")
      let flow = await alice.begin("Login", { aal: "aal2" })
      assert.equal(node(flow, "totp_code").group, "totp", "there is another way")
      const { value } = node(flow, "address").attributes
      assert.deepEqual([flow.state, value], ["choose_method", MAIL])

      const elsewhere = await goesOn(alice, flow, { method: "code", address: "who@elsewhere.example" })
      assert.deepEqual([elsewhere.state, messages(elsewhere)], ["choose_method", [4000035]])
      flow = await goesOn(alice, flow, { method: "code", address: value })
      assert.deepEqual([flow.state, flow.active, messages(flow)], ["sent_email", "code", [1010025]])
      const first = await server.code(MAIL)
      assert.ok(!JSON.stringify(flow).includes(first))

      flow = await goesOn(alice, flow, { method: "code", code: wrong(first) })
      assert.deepEqual([flow.state, messages(flow)], ["sent_email", [4010008]])
      const { value: resend } = node(flow, "resend").attributes
      flow = await goesOn(alice, flow, { method: "code", resend, identifier: node(flow, "identifier").attributes.value })
      assert.deepEqual([flow.state, messages(flow)], ["sent_email", [1010025]])
      const newest = await server.code(MAIL)
      // One in a million is the same again.
      if (first !== newest) {
        flow = await goesOn(alice, flow, { method: "code", code: first })
        assert.deepEqual(messages(flow), [4010008], "the new one ends it")
      }
      await alice.refused(403, "session_aal2_required", "toSession")

      const done = await alice.submitLogin(flow, { method: "code", code: newest })
      assert.equal(done.session.authenticator_assurance_level, "aal2")
      assert.deepEqual(await methods(alice), [["password", "aal1"], ["code", "aal2"]])
      assert.equal((await alice.get("/api/payments")).status, 200)
    })
  }
})

describe("codes as the only second factor", () => {
  let server
  before(async () => (server = await bank({ BANK_FACTORS: "code", BANK_CODE_COOL_DOWN: "0" })))
  after(() => server.stop())

  for (const which of MATRIX) {
    test(`${which.sdk}, ${which.kind}: one is sent at once, and proven anew`, async () => {
      const carol = await signedIn(which, server, "carol")
      for (const refresh of [false, true]) {
        const flow = await carol.begin("Login", { aal: "aal2", refresh })
        assert.deepEqual([flow.state, messages(flow)], ["sent_email", [1010025]])
        assert.equal(node(flow, "identifier").attributes.value, PHONE)
        const done = await carol.submitLogin(flow, { method: "code", code: await server.code(PHONE) })
        assert.equal(done.session.authenticator_assurance_level, "aal2")
      }
      assert.deepEqual(await methods(carol), [["password", "aal1"], ["code", "aal2"]])
    })
  }
})
