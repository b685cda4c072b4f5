// The package as npm packs it: what is in it, how small it is, and that both kinds of modules and their types work.
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, describe, test } from "node:test"
import { gzipSync } from "node:zlib"

const here = join(import.meta.dirname, "..")

describe("the package", () => {
  let folder, installed, packed
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "step-up-fetch-"))
    const told = execFileSync("npm", ["pack", "--json", "--pack-destination", folder], { cwd: here, encoding: "utf8" })
    packed = JSON.parse(told)[0]
    installed = join(folder, "node_modules/step-up-fetch")
    mkdirSync(installed, { recursive: true })
    execFileSync("tar", ["--extract", "--strip-components=1", "--directory", installed, "--file", join(folder, packed.filename)])
    symlinkSync(join(here, "node_modules/react"), join(folder, "node_modules/react"))
  })
  after(() => rmSync(folder, { recursive: true }))

  const run = (file, source) => {
    writeFileSync(join(folder, file), source)
    return execFileSync(process.execPath, [file], { cwd: folder, encoding: "utf8" }).trim()
  }

  test("has what it needs and nothing else", () => {
    const files = packed.files.map(({ path }) => path).sort()
    const modules = ["cjs", "esm"].flatMap((kind) => ["index", "react"].map((name) => `dist/${kind}/${name}`))
    const expected = ["README.md", "dist/cjs/package.json", "package.json", ...modules.flatMap((name) => [`${name}.d.ts`, `${name}.js`])]
    assert.deepEqual(files, expected.sort())
    assert.equal(JSON.parse(readFileSync(join(installed, "package.json"))).dependencies, undefined)
  })

  test("is smaller than 3 kB", () => {
    const size = (name) => gzipSync(readFileSync(join(installed, `dist/esm/${name}.js`))).length
    assert.ok(size("index") < 3000, `${size("index")} bytes, compressed`)
    assert.ok(size("react") < 1000, `${size("react")} bytes, compressed`)
  })

  test("is imported and required", () => {
    const names = "Object.keys(all).sort().join()"
    const expected = "StepUpCancelled,challengeOf,popup,redirect,stepUpDone,stepUpFetch"
    assert.equal(run("a.mjs", `import * as all from "step-up-fetch"; console.log(${names})`), expected)
    assert.equal(run("a.cjs", `const all = require("step-up-fetch"); console.log(${names})`), expected)
    assert.equal(run("r.mjs", `import { useStepUp } from "step-up-fetch/react"; console.log(typeof useStepUp)`), "function")
    assert.equal(run("r.cjs", `console.log(typeof require("step-up-fetch/react").useStepUp)`), "function")
  })

  test("has types for both", () => {
    const use = `const answer: Promise<Response> = stepUpFetch("/x", { method: "POST", stepUp: popup("/done") })
      // @ts-expect-error
      stepUpFetch("/x", { stepUp: 5 })
      void answer`
    writeFileSync(join(folder, "t.mts"), `import { popup, stepUpFetch } from "step-up-fetch"\n${use}`)
    writeFileSync(join(folder, "t.cts"), `import { popup, stepUpFetch } from "step-up-fetch"\n${use}`)
    const options = ["--noEmit", "--strict", "--module", "nodenext", "--lib", "ES2022,DOM,DOM.Iterable", "--types", ""]
    execFileSync(join(here, "node_modules/.bin/tsc"), [...options, "t.mts", "t.cts"], { cwd: folder, encoding: "utf8" })
  })
})
