// Both SDKs behind one face, and the two kinds of client that use them: in a browser, with cookies, and native, with a token.
//
// The SDKs are used as they are published. All that is added is what a browser does by itself: it keeps cookies, follows redirects, and
// says where a request comes from.
import assert from "node:assert/strict"
import { get } from "node:http"
import { createRequire } from "node:module"

// The CommonJS builds: the other ones of these packages import files without their extension, which only bundlers resolve.
const require = createRequire(import.meta.url)
export const clientFetch = require("@ory/client-fetch")
export const kratosClient = require("@ory/kratos-client")

export class Jar {
  cookies = new Map()

  keep(headers) {
    for (const line of headers) {
      const [pair, ...attributes] = line.split(";").map((part) => part.trim())
      const [name, value] = [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]
      assert.ok(attributes.includes("HttpOnly") && attributes.includes("Path=/"), line)
      if (attributes.includes("Max-Age=0")) this.cookies.delete(name)
      else this.cookies.set(name, value)
    }
  }

  header() {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ")
  }

  session() {
    return [...this.cookies].find(([name]) => !name.startsWith("csrf_token_"))?.[1]
  }
}

// `fetch` as a page of the server's own origin has it.
function browserFetch(base, jar) {
  return async (url, init = {}) => {
    for (let redirects = 0; redirects < 5; redirects += 1) {
      const headers = new Headers(init.headers)
      headers.set("Cookie", jar.header())
      headers.set("Origin", base)
      headers.set("Sec-Fetch-Site", "same-origin")
      const response = await fetch(url, { ...init, headers, redirect: "manual" })
      jar.keep(response.headers.getSetCookie())
      if (response.status !== 303) return response
      url = new URL(response.headers.get("location"), url).href
      init = { headers: init.headers }
    }
    throw new Error("redirected too often")
  }
}

// A browser that goes to a page. `fetch` cannot: it says itself that it does not navigate.
export function navigate(url) {
  const headers = { Accept: "text/html,*/*;q=0.8", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document" }
  return new Promise((resolve, reject) => {
    get(url, { headers }, (response) => resolve(response.resume())).on("error", reject)
  })
}

// Whatever an SDK throws, as status, headers and body.
export class Refused extends Error {
  constructor(status, headers, body, cause) {
    super(`${status} ${JSON.stringify(body)}`)
    Object.assign(this, { status, headers, body, cause, id: body?.error?.id })
  }
}

// A user's client of one of the SDKs. `call` takes the parameters that both SDKs name alike, and gives the value.
class Client {
  constructor(base, jar) {
    this.base = base
    this.jar = jar
    this.token = undefined
    this.browser = jar !== undefined
  }

  async call(method, parameters = {}) {
    const value = await this.invoke(method, this.token ? { xSessionToken: this.token, ...parameters } : parameters)
    // Native clients take over every new token themselves.
    const next = value?.continue_with?.find?.((one) => one.action === "set_ory_session_token")
    const token = value?.session_token ?? next?.ory_session_token
    if (token) {
      assert.ok(!this.browser, "a browser gets no token")
      this.token = token
    }
    return value
  }

  // The call must be refused like this.
  async refused(status, id, method, parameters) {
    const error = await this.call(method, parameters).then(
      (value) => assert.fail(`${method} was not refused: ${JSON.stringify(value)}`),
      (error) => error,
    )
    assert.ok(error instanceof Refused, error.stack)
    assert.deepEqual([error.status, error.id], [status, id], error.message)
    return error
  }

  begin(kind, parameters) {
    return this.call(`create${this.browser ? "Browser" : "Native"}${kind}Flow`, parameters)
  }

  body(flow, fields) {
    const csrf_token = flow.ui.nodes.find((node) => node.attributes.name === "csrf_token")?.attributes.value
    return this.browser ? { ...fields, csrf_token } : fields
  }

  submitLogin(flow, fields) {
    return this.call("updateLoginFlow", { flow: flow.id, updateLoginFlowBody: this.body(flow, fields) })
  }

  submitSettings(flow, fields) {
    return this.call("updateSettingsFlow", { flow: flow.id, updateSettingsFlowBody: this.body(flow, fields) })
  }

  async stepUp(code) {
    const flow = await this.begin("Login", { aal: "aal2" })
    return this.submitLogin(flow, { method: "totp", totp_code: code })
  }

  // A route of the application itself.
  get(path) {
    const headers = { Accept: "application/json" }
    if (this.browser) return browserFetch(this.base, this.jar)(this.base + path, { headers })
    return fetch(this.base + path, { headers: { ...headers, "X-Session-Token": this.token } })
  }

  // The first factor, which is the application's.
  async signIn(name) {
    const credentials = { username: name, password: `${name}-password` }
    if (this.browser) {
      const form = new URLSearchParams(credentials)
      await browserFetch(this.base, this.jar)(`${this.base}/login`, { method: "POST", body: form })
      assert.ok(this.jar.session(), "a session cookie")
    } else {
      const headers = { "Content-Type": "application/json" }
      const answer = await fetch(`${this.base}/api/login`, { method: "POST", body: JSON.stringify(credentials), headers })
      this.token = (await answer.json()).session_token
    }
    return this
  }
}

class FetchClient extends Client {
  // Without `headers` the SDK sends no `Accept`.
  constructor(base, jar, headers = { Accept: "application/json" }) {
    super(base, jar)
    const fetchApi = jar ? browserFetch(base, jar) : undefined
    const configuration = new clientFetch.Configuration({ basePath: base, headers, fetchApi })
    this.api = new clientFetch.FrontendApi(configuration)
  }

  async invoke(method, parameters) {
    try {
      return await this.api[method](parameters)
    } catch (error) {
      if (!clientFetch.isResponseError(error)) throw error
      const { status, headers } = error.response
      throw new Refused(status, headers, await error.response.clone().json(), error)
    }
  }
}

// The axios client passes a browser's cookies on, as servers that render pages do.
class AxiosClient extends Client {
  constructor(base, jar) {
    super(base, jar)
    this.api = new kratosClient.FrontendApi(new kratosClient.Configuration({ basePath: base }))
  }

  async invoke(method, parameters) {
    const all = this.jar ? { cookie: this.jar.header(), ...parameters } : parameters
    try {
      const { data, headers } = await this.api[method](all)
      this.jar?.keep(headers["set-cookie"] ?? [])
      return data
    } catch (error) {
      if (!error.response) throw error
      this.jar?.keep(error.response.headers["set-cookie"] ?? [])
      throw new Refused(error.response.status, new Headers(error.response.headers), error.response.data, error)
    }
  }
}

export const SDKS = { "client-fetch": FetchClient, "kratos-client": AxiosClient }

// Every SDK as every kind of client.
export const MATRIX = Object.keys(SDKS).flatMap((sdk) => ["browser", "native"].map((kind) => ({ sdk, kind })))

export function client({ sdk, kind }, server, headers) {
  return new SDKS[sdk](server.url, kind === "browser" ? new Jar() : undefined, headers)
}

export const signedIn = (which, server, name) => client(which, server).signIn(name)

export const node = (flow, name) =>
  flow.ui.nodes.find(({ attributes }) => (attributes.name ?? attributes.id) === name) ?? assert.fail(`no node ${name}`)

export const messages = (flow) => (flow.ui.messages ?? []).map(({ id }) => id)

// What client-fetch's own handler does with a refused call.
export async function handled(call) {
  const error = await call.then((value) => assert.fail(`not refused: ${JSON.stringify(value)}`), (refused) => refused.cause)
  const seen = {}
  const handler = clientFetch.handleFlowError({
    onRestartFlow: (flow) => Object.assign(seen, { restart: flow ?? "anew" }),
    onValidationError: (flow) => Object.assign(seen, { flow }),
    onRedirect: (url) => Object.assign(seen, { redirect: url }),
  })
  await handler(error).catch((thrown) => Object.assign(seen, { thrown: thrown.response?.status ?? thrown }))
  return seen
}
