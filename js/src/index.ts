/** What a server wants before it answers a request. */
export interface Challenge {
  /**
   * Why: `session_aal2_required` (a second factor), `session_refresh_required` (proven too long ago, or by another method),
   * `session_inactive` or `session_aal1_required` (nobody is signed in), or `insufficient_user_authentication` (RFC 9470).
   */
  readonly id: string
  /** The page on which the user proves it, if there is one. */
  readonly url?: string
  /** The authentication contexts that would do, for the authorization request (RFC 9470 section 3). */
  readonly acrValues?: readonly string[]
  /** How many seconds old the proof may be, for the authorization request. */
  readonly maxAge?: number
  /** The answer of the server. Its body can still be read. */
  readonly response: Response
}

/**
 * Lets the user prove what the challenge wants. It resolves when the request can be repeated, with headers to repeat it with if there are new
 * ones, such as another access token. It rejects if the user does not want to: with a {@link StepUpCancelled}.
 */
export type StepUp = (challenge: Challenge, signal: AbortSignal | undefined) => Promise<HeadersInit | void>

export interface StepUpInit extends RequestInit {
  /** How the user proves more: {@link redirect} by default. */
  stepUp?: StepUp
}

/** The user did not prove what the server wants. */
export class StepUpCancelled extends Error {
  override readonly name = "StepUpCancelled"

  constructor(message = "the step-up was cancelled", options?: ErrorOptions) {
    super(message, options)
  }
}

const CHALLENGES = new Set([
  "session_aal1_required",
  "session_aal2_required",
  "session_inactive",
  "session_refresh_required",
])

const RFC_9470 = "insufficient_user_authentication"

const CHANNEL = "step-up-fetch"

/** An address of a page: never a script. */
function pageOf(url: unknown): string | undefined {
  if (typeof url !== "string" || !URL.canParse(url, location.href)) return undefined
  const parsed = new URL(url, location.href)
  return parsed.protocol === "https:" || parsed.protocol === "http:" ? parsed.href : undefined
}

/** The challenge in a response; `undefined` if it is none. The response can still be read. */
export async function challengeOf(response: Response): Promise<Challenge | undefined> {
  if (response.status !== 401 && response.status !== 403) return undefined
  const bearer = response.headers.get("WWW-Authenticate") ?? ""
  const parameter = (name: string) => new RegExp(`[\\s,]${name}="?([^",]*)`, "i").exec(bearer)?.[1]
  let id = parameter("error") === RFC_9470 ? RFC_9470 : undefined
  let url: string | undefined
  if (/\bjson\b/.test(response.headers.get("Content-Type") ?? "")) {
    const body = await response.clone().json().catch(() => undefined)
    const told = body?.error?.id
    if (CHALLENGES.has(told)) {
      id = told
      url = pageOf(body.redirect_browser_to ?? body.error.details?.redirect_browser_to)
    }
  }
  if (!id) return undefined
  const acrValues = parameter("acr_values")?.split(" ").filter(Boolean)
  const age = parameter("max_age")
  return {
    id,
    response,
    ...(url && { url }),
    ...(acrValues?.length && { acrValues }),
    ...(age && Number.isFinite(+age) && { maxAge: +age }),
  }
}

function pageFor(challenge: Challenge, returnTo: string): string {
  if (!challenge.url) throw new StepUpCancelled("the server names no page for the step-up")
  const url = new URL(challenge.url)
  url.searchParams.set("return_to", new URL(returnTo, location.href).href)
  return url.href
}

/**
 * The whole window goes to the page of the step-up, and comes back to where it was. The promise stays open: the page is gone before anything
 * else happens, and what is typed into it is lost unless the application keeps it.
 */
export function redirect(returnTo?: string): StepUp {
  return (challenge) => {
    location.assign(pageFor(challenge, returnTo ?? location.href))
    return new Promise(() => {})
  }
}

/**
 * A window of its own for the step-up, so that this page stays. It comes back to `returnTo`, a page of the application's own origin that calls
 * {@link stepUpDone}. Where the browser opens no window, and where the user closes it, the step-up is cancelled.
 */
export function popup(returnTo: string, features = "popup,width=480,height=720"): StepUp {
  return (challenge, signal) => {
    const id = crypto.randomUUID()
    const back = new URL(returnTo, location.href)
    back.searchParams.set(CHANNEL, id)
    const opened = open(pageFor(challenge, back.href), "_blank", features)
    if (!opened) return Promise.reject(new StepUpCancelled("the browser opened no window"))
    const channel = new BroadcastChannel(CHANNEL)
    return new Promise<void>((resolve, reject) => {
      const watch = new AbortController()
      const end = (settle: () => void) => {
        watch.abort()
        channel.close()
        settle()
      }
      channel.onmessage = ({ data }) => {
        if (data?.id !== id) return
        end(data.cancelled ? () => reject(new StepUpCancelled()) : resolve)
      }
      // Pages with a Cross-Origin-Opener-Policy look closed from here while they are open. Who looks at this page again has left them.
      const left = () => {
        if (document.visibilityState !== "hidden" && opened.closed)
          setTimeout(() => watch.signal.aborted || end(() => reject(new StepUpCancelled("the window was closed"))), 500)
      }
      addEventListener("focus", left, watch)
      document.addEventListener("visibilitychange", left, watch)
      signal?.addEventListener("abort", () => end(() => reject(signal.reason)), watch)
    })
  }
}

/**
 * On the page to which a {@link popup} comes back: tells the page that waits, and closes the window. `cancelled`: the user did not want to.
 */
export function stepUpDone({ cancelled = false } = {}): void {
  const channel = new BroadcastChannel(CHANNEL)
  channel.postMessage({ id: new URLSearchParams(location.search).get(CHANNEL), cancelled })
  channel.close()
  close()
}

let running: Promise<HeadersInit | void> | undefined

/**
 * As `fetch`. If the server wants more proof, the user gives it, and the request is repeated once. Requests that are challenged meanwhile wait
 * for the same step-up.
 *
 * @throws {StepUpCancelled} the user did not prove it.
 */
export async function stepUpFetch(input: RequestInfo | URL, init: StepUpInit = {}): Promise<Response> {
  const { stepUp = redirect(), ...rest } = init
  const request = new Request(input, rest)
  let response = await fetch(request.clone())
  // The second time, the step-up of another request was not enough for this one.
  for (let joined = true; joined; ) {
    const challenge = await challengeOf(response)
    if (!challenge) return response
    joined = running !== undefined
    running ??= stepUp(challenge, request.signal).finally(() => (running = undefined))
    let headers
    try {
      headers = await unless(request.signal, running)
    } catch (reason) {
      // The request that began the step-up was given up, and this one was not.
      if (joined && !request.signal.aborted && !(reason instanceof StepUpCancelled)) continue
      throw reason
    }
    const again = new Request(request.clone())
    new Headers(headers ?? {}).forEach((value, name) => again.headers.set(name, value))
    response = await fetch(again)
  }
  return response
}

/** Waits, but no longer than the caller wants to. */
function unless<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    promise.then(resolve, reject)
    if (signal.aborted) reject(signal.reason)
    signal.addEventListener("abort", () => reject(signal.reason), { once: true })
  })
}
