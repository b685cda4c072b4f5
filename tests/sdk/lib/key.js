// A security key in software: ES256, without attestation, touched at once.
import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto"

const sha256 = (data) => createHash("sha256").update(data).digest()

const PRESENT = 0x01
const HAS_KEY = 0x40

// What an attestation needs of CBOR: numbers, bytes, texts and maps, in the order in which they are given.
function cbor(value) {
  if (typeof value === "number") return value < 0 ? head(1, -1 - value) : head(0, value)
  if (typeof value === "string") return Buffer.concat([head(3, value.length), Buffer.from(value)])
  if (Buffer.isBuffer(value)) return Buffer.concat([head(2, value.length), value])
  return Buffer.concat([head(5, value.size), ...[...value].flatMap(([key, inner]) => [cbor(key), cbor(inner)])])
}

function head(major, number) {
  if (number < 24) return Buffer.from([(major << 5) | number])
  if (number < 256) return Buffer.from([(major << 5) | 24, number])
  return Buffer.from([(major << 5) | 25, number >> 8, number & 255])
}

export class SecurityKey {
  #pair = generateKeyPairSync("ec", { namedCurve: "P-256" })
  #count = 0
  id = randomBytes(32)

  #data(rpId, flags, attested = Buffer.alloc(0)) {
    this.#count += 1
    const count = Buffer.alloc(4)
    count.writeUInt32BE(this.#count)
    return Buffer.concat([sha256(rpId), Buffer.from([flags]), count, attested])
  }

  #answer(response) {
    const id = this.id.toString("base64url")
    const encoded = Object.entries(response).map(([name, bytes]) => [name, Buffer.from(bytes).toString("base64url")])
    return JSON.stringify({ id, rawId: id, type: "public-key", response: Object.fromEntries(encoded) })
  }

  // What `navigator.credentials.create` answers to these options.
  create({ publicKey }, origin) {
    const clientDataJSON = JSON.stringify({ type: "webauthn.create", challenge: publicKey.challenge, origin })
    const { x, y } = this.#pair.publicKey.export({ format: "jwk" })
    const coordinate = (text) => Buffer.from(text, "base64url")
    const key = cbor(new Map([[1, 2], [3, -7], [-1, 1], [-2, coordinate(x)], [-3, coordinate(y)]]))
    const attested = Buffer.concat([Buffer.alloc(16), Buffer.from([0, this.id.length]), this.id, key])
    const authData = this.#data(publicKey.rp.id, PRESENT | HAS_KEY, attested)
    const attestationObject = cbor(new Map([["fmt", "none"], ["attStmt", new Map()], ["authData", authData]]))
    return this.#answer({ attestationObject, clientDataJSON })
  }

  // What `navigator.credentials.get` answers.
  get({ publicKey }, origin) {
    const clientDataJSON = JSON.stringify({ type: "webauthn.get", challenge: publicKey.challenge, origin })
    const authenticatorData = this.#data(publicKey.rpId, PRESENT)
    const signature = sign("sha256", Buffer.concat([authenticatorData, sha256(clientDataJSON)]), this.#pair.privateKey)
    return this.#answer({ authenticatorData, clientDataJSON, signature })
  }
}
