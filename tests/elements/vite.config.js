import react from "@vitejs/plugin-react"
import { defineConfig } from "vite"

export default defineConfig({
  root: "app",
  base: "/ui/",
  plugins: [react()],
  // Beside the packages, which nobody commits.
  build: { outDir: "../node_modules/.built", emptyOutDir: true, chunkSizeWarningLimit: 20_000 },
})
