import react from "@vitejs/plugin-react"
import { defineConfig } from "vite"

export default defineConfig({
  root: "app",
  base: "/ui/",
  plugins: [react()],
  // The package beside, as it is built.
  resolve: {
    alias: [
      { find: /^step-up-fetch$/, replacement: new URL("../../js/dist/esm/index.js", import.meta.url).pathname },
      { find: /^step-up-fetch\/react$/, replacement: new URL("../../js/dist/esm/react.js", import.meta.url).pathname },
    ],
    dedupe: ["react"],
  },
  // Beside the packages, which nobody commits.
  build: { outDir: "../node_modules/.built", emptyOutDir: true, chunkSizeWarningLimit: 20_000, rolldownOptions: { input: ["app/index.html", "app/fetch.html"] } },
})
