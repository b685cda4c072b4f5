// The programs under test, for the tests of Elements too: the bank, and the server that reads its configuration from a file.
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { setTimeout as sleep } from "node:timers/promises"

import { Authenticator } from "./totp.js"

const directory = process.env.STEP_UP_PROGRAMS
if (!directory) throw new Error("STEP_UP_PROGRAMS must name the folder of the built programs: start these tests with the script `run` beside them")

const SECRETS = { alice: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", carol: "KRSXG5CTMVRXEZLUKN2HE2LOM4QHG33N" }

class Server {
  #process
  #folder
  #log
  // How many codes each address has got until the last one was asked for.
  #codes = new Map()

  constructor(process, folder, url, log) {
    this.#process = process
    this.#folder = folder
    this.#log = log
    this.url = url
    // One app a user for each server, since a code is used up on one server only.
    this.apps = Object.fromEntries(Object.entries(SECRETS).map(([name, secret]) => [name, new Authenticator(secret)]))
  }

  static async start(program, folder, env, args = []) {
    const child = spawn(join(directory, program), args, {
      env: { PATH: process.env.PATH, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    })
    const log = []
    child.stderr.on("data", (text) => log.push(text))
    const line = await Promise.race([
      once(createInterface(child.stdout), "line").then(([line]) => line),
      once(child, "exit").then(() => ""),
    ])
    const url = line.match(/listening on (http:\S+)/)?.[1]
    if (!url) throw new Error(`${program} did not start: ${line}\n${log.join("")}`)
    return new Server(child, folder, url, log)
  }

  // The newest code for this address, once there is one more: the bank writes codes to standard error.
  async code(address) {
    for (let begun = Date.now(); Date.now() - begun < 10_000; await sleep(20)) {
      const lines = this.#log.join("").split("\n").filter((line) => line.startsWith(`code for ${address}: `))
      if (lines.length > (this.#codes.get(address) ?? 0)) {
        this.#codes.set(address, lines.length)
        return lines.at(-1).slice(-6)
      }
    }
    throw new Error(`no code for ${address}`)
  }

  async stop() {
    this.#process.kill("SIGTERM")
    await once(this.#process, "exit")
    await rm(this.#folder, { recursive: true })
  }
}

const temporary = () => mkdtemp(join(tmpdir(), "step-up-sdk-"))

// A bank of its own, with its own database.
export async function bank(env = {}) {
  const folder = await temporary()
  return Server.start("bank", folder, { BANK_ADDR: "127.0.0.1:0", BANK_STORE: `sqlite://${folder}/bank.db`, ...env })
}

async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1")
  await once(probe, "listening")
  const { port } = probe.address()
  await new Promise((done) => probe.close(done))
  return port
}

// A bank that takes security keys. They are for domains, and not for IP addresses.
export async function bankWithKeys(env = {}) {
  const port = await freePort()
  const url = `http://localhost:${port}`
  const factors = "totp,lookup_secret,webauthn"
  const server = await bank({ BANK_ADDR: `127.0.0.1:${port}`, BANK_PUBLIC_URL: url, BANK_FACTORS: factors, ...env })
  server.url = url
  return server
}

// The same endpoints with flows that last for this long.
export async function shortLived(lifespan) {
  const folder = await temporary()
  const url = `http://127.0.0.1:${await freePort()}`
  const config = {
    serve: { public: { base_url: url } },
    selfservice: {
      flows: { login: { lifespan }, settings: { lifespan, required_aal: "aal1" } },
      methods: { totp: { enabled: true, config: { issuer: "Test" } }, lookup_secret: { enabled: true } },
    },
    secrets: { cookie: ["only for these tests, and long enough"] },
    step_up: { insecure_http_on_loopback: true },
  }
  const file = join(folder, "config.json")
  await writeFile(file, JSON.stringify(config))
  return Server.start("examples/configured", folder, {}, [file])
}
