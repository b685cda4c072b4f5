// Compiles the package for `import` and for `require`.
import { execFileSync } from "node:child_process"
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { join } from "node:path"

const here = import.meta.dirname
const manifest = createRequire(import.meta.url).resolve("typescript/package.json")
const compile = (...options) =>
  execFileSync(process.execPath, [join(manifest, "../bin/tsc"), "--project", ...options], { cwd: here, stdio: "inherit" })

rmSync(join(here, "dist"), { recursive: true, force: true })
compile(".")
// What the sources are, their nearest package.json says. So the second time they stand beside one that says CommonJS.
const sources = join(here, "dist/cjs-src")
mkdirSync(sources, { recursive: true })
cpSync(join(here, "src"), sources, { recursive: true })
writeFileSync(join(sources, "package.json"), '{ "type": "commonjs" }\n')
writeFileSync(
  join(sources, "tsconfig.json"),
  JSON.stringify({ extends: "../../tsconfig.json", compilerOptions: { rootDir: ".", outDir: "../cjs" }, include: ["."] }),
)
compile("dist/cjs-src")
rmSync(sources, { recursive: true })
writeFileSync(join(here, "dist/cjs/package.json"), '{ "type": "commonjs" }\n')
