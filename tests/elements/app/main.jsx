// A front end as Ory's documentation has it: pages `login` and `settings`, drawn by Elements from flows that the SDK reads.
//
// Nothing here knows `tower-step-up`. What cannot be seen here is not seen by users of Elements.
import { Configuration, FrontendApi, handleFlowError } from "@ory/client-fetch"
import { SessionProvider } from "@ory/elements-react/client"
import { Login, Settings } from "@ory/elements-react/theme"
import "@ory/elements-react/theme/styles.css"
import { useEffect, useState } from "react"
import { createRoot } from "react-dom/client"

const base = window.location.origin
const config = {
  sdk: { url: base },
  project: {
    name: "Example Bank",
    default_locale: "en",
    default_redirect_url: `${base}/`,
    error_ui_url: `${base}/self-service/errors`,
    login_ui_url: `${base}/ui/login`,
    registration_ui_url: `${base}/ui/registration`,
    recovery_ui_url: `${base}/ui/recovery`,
    verification_ui_url: `${base}/ui/verification`,
    settings_ui_url: `${base}/ui/settings`,
    registration_enabled: false,
    recovery_enabled: false,
    verification_enabled: false,
  },
}
const api = new FrontendApi(
  new Configuration({ basePath: base, credentials: "include", headers: { Accept: "application/json" } }),
)
const query = new URLSearchParams(window.location.search)
const parameter = (name) => query.get(name) ?? undefined

// Each page reads the flow that its address names, and begins one where it names none.
const pages = {
  login: {
    Form: Login,
    read: (id) => api.getLoginFlow({ id }),
    begin: () =>
      api.createBrowserLoginFlow({
        aal: parameter("aal"),
        refresh: query.get("refresh") === "true",
        returnTo: parameter("return_to"),
      }),
  },
  settings: {
    Form: Settings,
    read: (id) => api.getSettingsFlow({ id }),
    begin: () => api.createBrowserSettingsFlow({ returnTo: parameter("return_to") }),
  },
}

function Page({ name }) {
  const { Form, read, begin } = pages[name]
  const [flow, setFlow] = useState()
  const [trouble, setTrouble] = useState()
  useEffect(() => {
    const show = (flow) => {
      query.set("flow", flow.id)
      window.history.replaceState(null, "", `?${query}`)
      setFlow(flow)
    }
    const restart = (id) => {
      if (id) query.set("flow", id)
      else query.delete("flow")
      window.location.search = query
    }
    // A form belongs to the session that began it, so that who signs in anew gets a new one.
    const signIn = () => {
      query.delete("flow")
      const here = `${base}${window.location.pathname}?${query}`
      window.location.assign(`${base}/self-service/login/browser?return_to=${encodeURIComponent(here)}`)
    }
    const id = query.get("flow")
    const call = id ? read(id) : begin()
    call
      .then(show)
      .catch(handleFlowError({ onRestartFlow: restart, onValidationError: show, onRedirect: (url) => window.location.assign(url) }))
      .catch((error) => (error.response?.status === 401 ? signIn() : setTrouble(String(error))))
  }, [])
  if (trouble) return <p data-testid="trouble">{trouble}</p>
  return flow ? <Form flow={flow} config={config} /> : <p>…</p>
}

createRoot(document.getElementById("root")).render(
  <SessionProvider baseUrl={base}>
    <Page name={window.location.pathname.split("/").at(-1)} />
  </SessionProvider>,
)
