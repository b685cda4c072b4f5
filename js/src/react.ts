import { useCallback, useEffect, useRef, useState } from "react"
import { stepUpFetch, StepUpCancelled, type Challenge, type StepUp } from "./index.js"

/** What {@link useStepUp} gives. */
export interface UseStepUp {
  /** As `stepUpFetch`; a challenge shows in `challenge` until it is done or cancelled. */
  fetch: (input: RequestInfo | URL, init?: RequestInit) => Promise<Response>
  /** What the user is to prove now. */
  challenge: Challenge | undefined
  /** The user has proven it: the request is repeated, with these headers if there are new ones. */
  done: (headers?: HeadersInit) => void
  /** The user does not want to: the request rejects with a `StepUpCancelled`. */
  cancel: () => void
}

interface Waiting {
  challenge: Challenge
  resolve: (headers?: HeadersInit) => void
  reject: (reason: unknown) => void
}

/** For a step-up in a part of one's own page: a modal, for example. What waits when the component goes away is cancelled. */
export function useStepUp(): UseStepUp {
  const [challenge, setChallenge] = useState<Challenge>()
  const waiting = useRef<Waiting>(undefined)
  const end = useCallback((settle: (waiting: Waiting) => void) => {
    const ended = waiting.current
    waiting.current = undefined
    setChallenge(undefined)
    if (ended) settle(ended)
  }, [])
  const cancel = useCallback(() => end(({ reject }) => reject(new StepUpCancelled())), [end])
  const done = useCallback((headers?: HeadersInit) => end(({ resolve }) => resolve(headers)), [end])
  const stepUp = useCallback<StepUp>(
    (challenge, signal) =>
      new Promise<HeadersInit | void>((resolve, reject) => {
        waiting.current = { challenge, resolve, reject }
        setChallenge(challenge)
        signal?.addEventListener("abort", () => end(({ reject }) => reject(signal.reason)), { once: true })
      }),
    [end],
  )
  useEffect(() => cancel, [cancel])
  const fetch = useCallback<UseStepUp["fetch"]>((input, init) => stepUpFetch(input, { ...init, stepUp }), [stepUp])
  return { fetch, challenge, done, cancel }
}
