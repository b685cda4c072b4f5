// A front end of one's own, which asks the bank by `step-up-fetch` in each of its ways.
import { useState } from "react"
import { createRoot } from "react-dom/client"
import { popup, redirect, stepUpDone, stepUpFetch } from "step-up-fetch"
import { useStepUp } from "step-up-fetch/react"

const asJson = { headers: { Accept: "application/json" } }
const inPopup = popup("/ui/fetch/done")

// A modal that confirms with a code of the app, by the endpoints for single-page applications.
function Modal({ challenge, done, cancel }) {
  const [wrong, setWrong] = useState(false)
  const confirm = async (event) => {
    event.preventDefault()
    const code = new FormData(event.target).get("code")
    const begin = new URL(challenge.url)
    const flow = await (await fetch(begin.pathname + begin.search, asJson)).json()
    const csrf_token = flow.ui.nodes.find(({ attributes }) => attributes.name === "csrf_token").attributes.value
    const answer = await fetch(new URL(flow.ui.action).pathname + `?flow=${flow.id}`, {
      method: "POST",
      headers: { ...asJson.headers, "Content-Type": "application/json" },
      body: JSON.stringify({ method: "totp", totp_code: code, csrf_token }),
    })
    answer.ok ? done() : setWrong(true)
  }
  return (
    <form id="dialog" role="dialog" onSubmit={confirm}>
      <label>
        {wrong ? "Wrong code" : challenge.id} <input name="code" />
      </label>
      <button>Confirm</button>
      <button type="button" id="cancel" onClick={cancel}>
        Cancel
      </button>
    </form>
  )
}

function Page() {
  const [said, setSaid] = useState("")
  const modal = useStepUp()
  const ask = (get) => async () => {
    setSaid("")
    try {
      const answers = await get()
      setSaid(JSON.stringify(answers.map(({ status }) => status)))
    } catch (error) {
      setSaid(error.name)
    }
  }
  const aborted = new AbortController()
  const get = (path, stepUp, init) => stepUpFetch(path, { ...asJson, ...init, stepUp })
  const send = (path, form, stepUp) => get(path, stepUp, { method: "POST", body: new URLSearchParams(form) })
  const ways = {
    redirect: () => Promise.all([get("/payments", redirect())]),
    popup: () => Promise.all([get("/payments", inPopup)]),
    parallel: () => Promise.all([get("/payments", inPopup), get("/transfer", inPopup), get("/payments", inPopup)]),
    post: () => Promise.all([send("/transfer", { to: "bob", amount: "5" }, inPopup)]),
    abort: () => Promise.all([get("/payments", inPopup, { signal: aborted.signal }), new Promise((done) => setTimeout(() => done(aborted.abort()), 300))]),
    modal: () => Promise.all([modal.fetch("/payments", asJson)]),
    open: () => Promise.all([get("/account", inPopup), get("/no-such-page", inPopup)]),
  }
  return (
    <main>
      {Object.entries(ways).map(([name, way]) => (
        <button key={name} id={name} onClick={ask(way)}>
          {name}
        </button>
      ))}
      {modal.challenge && <Modal {...modal} />}
      <output>{said}</output>
    </main>
  )
}

function Done() {
  return (
    <main>
      <button id="tell" onClick={() => stepUpDone({ cancelled: location.hash === "#cancelled" })}>
        Go on
      </button>
    </main>
  )
}

// The page closes itself; for those who changed their mind there is a button.
if (location.pathname === "/ui/fetch/done" && location.hash !== "#cancelled") stepUpDone()
createRoot(document.getElementById("root")).render(location.pathname === "/ui/fetch/done" ? <Done /> : <Page />)
