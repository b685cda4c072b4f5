// An authenticator app: RFC 6238 with 6 digits, 30 seconds, SHA-1.
import { createHmac } from "node:crypto"
import { setTimeout as sleep } from "node:timers/promises"

const STEP = 30_000
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

function decode(base32) {
  const bits = [...base32.replace(/[\s=]/g, "").toUpperCase()]
    .map((character) => ALPHABET.indexOf(character).toString(2).padStart(5, "0"))
    .join("")
  return Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)))
}

export function codeAt(secret, step) {
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(step))
  const digest = createHmac("sha1", decode(secret)).update(counter).digest()
  const offset = digest.at(-1) & 15
  return String((digest.readUInt32BE(offset) & 0x7fff_ffff) % 1_000_000).padStart(6, "0")
}

// Every code works once and only upwards. The server takes the steps beside the present one too, so that three codes can be had at
// once; after that the app waits, as people do.
export class Authenticator {
  #secret
  #last = 0

  constructor(secret) {
    this.#secret = secret
  }

  async code() {
    for (;;) {
      // The lowest step that still is good two seconds from now, and not used.
      const step = Math.max(this.#last + 1, Math.floor((Date.now() + 2_000) / STEP) - 1)
      if (step <= Math.floor(Date.now() / STEP) + 1) {
        this.#last = step
        return codeAt(this.#secret, step)
      }
      await sleep(500)
    }
  }

  // Six digits that are wrong now and soon.
  wrongCode() {
    const now = Math.floor(Date.now() / STEP)
    const near = new Set([-4, -3, -2, -1, 0, 1, 2, 3, 4].map((offset) => codeAt(this.#secret, now + offset)))
    let number = 0
    while (near.has(String(number).padStart(6, "0"))) number += 1
    return String(number).padStart(6, "0")
  }
}
