// Flows that were open for too long: 410 with `use_flow_id`. The shortest that a flow can last is a minute, so this waits for one.
import assert from "node:assert/strict"
import { after, before, describe, test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"

import { MATRIX, SDKS, handled, messages, signedIn } from "./lib/clients.js"
import { shortLived } from "./lib/server.js"

describe("an expired flow is replaced by one that works", () => {
  // One for each SDK, since codes are used up on one server only: nobody has to wait for the next.
  const servers = {}
  const opened = []

  before(async () => {
    for (const sdk of Object.keys(SDKS)) servers[sdk] = await shortLived("1m")
    for (const which of MATRIX) {
      const server = servers[which.sdk]
      const alice = await signedIn(which, server, "alice")
      const settings = await alice.begin("Settings")
      const login = await alice.begin("Login", { aal: "aal2", refresh: true, returnTo: "/payments" })
      opened.push({ which, alice, settings, login })
    }
    await sleep(60_500)
  })
  after(() => Promise.all(Object.values(servers).map((server) => server.stop())))

  for (const [index, { sdk, kind }] of MATRIX.entries()) {
    test(`${sdk}, ${kind}`, async () => {
      const server = servers[sdk]
      const { alice, settings, login } = opened[index]
      const reading = await alice.refused(410, "self_service_flow_expired", "getLoginFlow", { id: login.id })
      assert.equal(reading.body.use_flow_id, undefined, "reading makes no new flow")
      const again = new URL(reading.body.error.details[kind === "browser" ? "redirect_to" : "api"])
      assert.deepEqual(Object.fromEntries(again.searchParams), {
        aal: "aal2",
        refresh: "true",
        return_to: `${server.url}/payments`,
      })

      const lateChange = { flow: settings.id, updateSettingsFlowBody: alice.body(settings, { method: "totp", totp_unlink: true }) }
      const late = await alice.refused(410, "self_service_flow_expired", "updateSettingsFlow", lateChange)
      assert.deepEqual(messages(await alice.call("getSettingsFlow", { id: late.body.use_flow_id })), [4050001])

      const fields = { method: "totp", totp_code: await server.apps.alice.code() }
      let next
      if (sdk === "client-fetch") {
        next = (await handled(alice.submitLogin(login, fields))).restart
      } else {
        const body = { flow: login.id, updateLoginFlowBody: alice.body(login, fields) }
        next = (await alice.refused(410, "self_service_flow_expired", "updateLoginFlow", body)).body.use_flow_id
      }
      const flow = await alice.call("getLoginFlow", { id: next })
      assert.deepEqual([flow.refresh, flow.requested_aal, flow.return_to], [true, "aal2", `${server.url}/payments`])
      assert.deepEqual(messages(flow), [1010003, 1010004, 4010001])
      await alice.submitLogin(flow, fields)
      assert.equal((await alice.call("toSession")).authenticator_assurance_level, "aal2")
    })
  }
})
