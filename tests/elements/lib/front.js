// One origin with Elements below `/ui/` and a bank of its own everywhere else, as a proxy in front of both has it.
import { once } from "node:events"
import { readFile } from "node:fs/promises"
import { createServer, request } from "node:http"
import { extname, join } from "node:path"

import { bank } from "../../sdk/lib/server.js"

const built = join(import.meta.dirname, "../node_modules/.built")
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" }

// What the browser has asked the bank, and what it answered.
class Front {
  #server
  #bank
  #keepsConnections
  #losses = []

  constructor(server, url, keepsConnections) {
    this.#server = server
    this.#keepsConnections = keepsConnections
    this.url = url
    this.asked = []
  }

  static async start(env, { keepsConnections = false, host = "127.0.0.1" }) {
    let front
    // A browser that leaves breaks off what it has asked for.
    const server = createServer((incoming, outgoing) => front.#serve(incoming, outgoing).catch(() => outgoing.destroy()))
    server.keepAliveTimeout = 60_000
    server.listen(0, "127.0.0.1")
    await once(server, "listening")
    const url = `http://${host}:${server.address().port}`
    front = new Front(server, url, keepsConnections)
    front.#bank = await bank({
      BANK_PUBLIC_URL: url,
      BANK_LOGIN_UI_URL: `${url}/ui/login`,
      BANK_SETTINGS_UI_URL: `${url}/ui/settings`,
      ...Object.fromEntries(Object.entries(env).map(([name, value]) => [name, value.replace("FRONT", url)])),
    })
    front.apps = front.#bank.apps
    return front
  }

  async stop() {
    this.#server.closeAllConnections()
    await new Promise((done) => this.#server.close(done))
    await this.#bank.stop()
  }

  // The newest code for this address, once there is one more.
  code(address) {
    return this.#bank.code(address)
  }

  // The next form for this path reaches the bank, but its answer does not reach the browser.
  loseAnswer(path) {
    this.#losses.push(path)
  }

  // What forms for this path were answered.
  forms(path) {
    return this.asked.filter(({ method, url }) => method === "POST" && url.startsWith(path))
  }

  async #serve(incoming, outgoing) {
    // On a connection that it has used before, Chromium sends a form again by itself when no answer comes.
    if (!this.#keepsConnections) outgoing.setHeader("Connection", "close")
    const path = incoming.url.split("?")[0]
    if (path.startsWith("/ui/")) {
      const page = path.startsWith("/ui/fetch") ? "fetch.html" : "index.html"
      const file = path.startsWith("/ui/assets/") ? path.slice("/ui/".length) : page
      outgoing.setHeader("Content-Type", TYPES[extname(file)])
      return outgoing.end(await readFile(join(built, file)))
    }
    const body = []
    for await (const chunk of incoming) body.push(chunk)
    const { method, url, headers } = incoming
    const forward = request(this.#bank.url + url, { method, headers: { ...headers, connection: "close" } })
    forward.end(Buffer.concat(body))
    const [answer] = await once(forward, "response")
    const content = []
    for await (const chunk of answer) content.push(chunk)
    this.asked.push({ method, url, body: String(Buffer.concat(body)), status: answer.statusCode })
    const lost = method === "POST" ? this.#losses.findIndex((path) => url.startsWith(path)) : -1
    if (lost >= 0) {
      this.#losses.splice(lost, 1)
      return outgoing.socket.destroy()
    }
    // With raw headers, each of several `Set-Cookie` stays a line of its own.
    const { rawHeaders } = answer
    for (let at = 0; at < rawHeaders.length; at += 2) {
      const hop = /^(connection|transfer-encoding|content-length)$/i.test(rawHeaders[at])
      if (!hop) outgoing.appendHeader(rawHeaders[at], rawHeaders[at + 1])
    }
    outgoing.statusCode = answer.statusCode
    outgoing.end(Buffer.concat(content))
  }
}

export const start = (env = {}, options = {}) => Front.start(env, options)
