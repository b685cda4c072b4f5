//! Bodies that are held back while something changes.

use std::{
    convert::Infallible,
    fmt::{self, Debug},
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, header, response::Parts};
use http_body::{Body, Frame, SizeHint};
use tower_service::Service;

use super::{
    Attacks,
    attacks::report,
    request::{Route, Sent, TRANSPORTS, name_of, reaches_the_handler, seen},
    sessions::exchange_credentials,
};
use crate::store::Revocation;

type Meanwhile = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A request body that comes late: what [`Attacks::assert_judged_after_body`] sends. Make your own type of body from it.
pub struct HeldBody {
    /// What happens between the first time that somebody waits for the body and its arrival.
    meanwhile: Option<Meanwhile>,
    whole: Option<Bytes>,
    asked_for: Arc<AtomicBool>,
}

impl Debug for HeldBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldBody").field("asked_for", &self.asked_for).finish_non_exhaustive()
    }
}

impl Body for HeldBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.asked_for.store(true, Ordering::SeqCst);
        if let Some(meanwhile) = &mut self.meanwhile {
            ready!(meanwhile.as_mut().poll(cx));
            self.meanwhile = None;
        }
        Poll::Ready(self.whole.take().map(|whole| Ok(Frame::data(whole))))
    }

    fn is_end_stream(&self) -> bool {
        self.whole.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.whole.as_ref().map_or(0, |whole| u64::try_from(whole.len()).unwrap_or(u64::MAX)))
    }
}

impl<S> Attacks<S> {
    /// Holds the body of a request back, and ends the session before it comes. Panics if any of these routes, `(method, path)`, still does
    /// what the body asks for.
    ///
    /// A guard and an extractor before the body decide when the head arrives, so a route that must notice takes
    /// [`Fresh`](crate::extract::Fresh), or judges [anew](crate::SessionContext::anew).
    ///
    /// `sent` is the media type and the body that an honest user sends there: such a request is let in first, with a session that lives.
    /// `make_body` makes your service's type of body, under axum `Body::new`.
    ///
    #[cfg_attr(feature = "axum", doc = "```")]
    #[cfg_attr(not(feature = "axum"), doc = "```ignore")]
    /// # use axum::{Json, Router, body::Body, routing::put};
    /// # use tower_step_up::{SigningKey, StepUp, Subject, factor::Totp, store::MemoryStore};
    /// use tower_step_up::{Aal2, extract::Fresh, test_util::Attacks};
    ///
    /// async fn set_limit(Fresh(user, Json(limit)): Fresh<Aal2, Json<u64>>) -> String {
    ///     format!("{} sets the limit to {limit}", user.subject())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let step_up = StepUp::builder("https://bank.example")
    /// #     .signing_key(SigningKey::generate("2026-11")?)
    /// #     .store(MemoryStore::default())
    /// #     .factor(Totp::new("Example Bank"))
    /// #     .build()?;
    /// let app = Router::new().route("/limit", put(set_limit)).layer(step_up.layer()).into_service::<Body>();
    /// let attacks = Attacks::new(&step_up, app, Subject::new("alice")?);
    /// attacks.assert_judged_after_body(&[("PUT", "/limit")], ("application/json", "7"), Body::new).await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// A route lets the ended session in or refuses the live one, or does not wait for its body; the service or the store fails; or there
    /// are no routes.
    #[allow(clippy::expect_used, reason = "it is an assertion")]
    pub async fn assert_judged_after_body<ReqBody, ResBody>(
        &self,
        routes: &[(&str, &str)],
        sent: (&str, &str),
        make_body: impl Fn(HeldBody) -> ReqBody,
    ) where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        S::Error: Debug,
    {
        assert!(!routes.is_empty(), "there are no routes to try");
        let mut found = Vec::new();
        for &route in routes {
            for transport in TRANSPORTS {
                let nothing = || make_body(HeldBody { meanwhile: None, whole: None, asked_for: Arc::default() });
                let (begun, before) = self.begin_trial(nothing).await.expect("the store failed");
                let session = begun.by(transport);
                let honest = self.late(route, sent, session, &make_body, None).await;
                let step_up = self.step_up.clone();
                let (subject, id) = (self.subject.clone(), begun.signed_in.session().id());
                let revoke: Meanwhile = Box::pin(async move {
                    step_up.revoke(&subject, Revocation::One(id)).await.expect("the store failed");
                });
                let late = self.late(route, sent, session, &make_body, Some(revoke)).await;
                found.extend(complaint(route, session, &honest, &late));
                exchange_credentials(&self.step_up, &self.subject, before).await.expect("the store failed");
            }
        }
        report("bodies that are held back are not judged when they come", &found);
    }

    /// Sends a request whose body comes after this, and returns the head of the answer, and whether the body was asked for.
    #[allow(clippy::panic, reason = "it is an assertion")]
    async fn late<ReqBody, ResBody>(
        &self,
        (method, path): Route<'_>,
        (media_type, body): (&str, &str),
        session: Sent<'_>,
        make_body: impl Fn(HeldBody) -> ReqBody,
        meanwhile: Option<Meanwhile>,
    ) -> (Parts, bool)
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        S::Error: Debug,
    {
        let asked_for = Arc::new(AtomicBool::new(false));
        let whole = Some(Bytes::copy_from_slice(body.as_bytes()));
        let held = HeldBody { meanwhile, whole, asked_for: Arc::clone(&asked_for) };
        let request = self.head((method, path), Some(session)).header(header::CONTENT_TYPE, media_type);
        let request = request.body(make_body(held)).unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let answer = self.send(request).await.into_parts().0;
        (answer, asked_for.load(Ordering::SeqCst))
    }
}

fn complaint(
    (method, path): Route<'_>,
    session: Sent<'_>,
    (honest, _): &(Parts, bool),
    (late, asked_for): &(Parts, bool),
) -> Option<String> {
    let way = name_of(session.transport);
    let (who, answer, should) = if !reaches_the_handler(honest) {
        ("two factors", honest, "let in")
    } else if !asked_for {
        ("a body that is held back", late, "wait for its body")
    } else if !session.has_ended(late) {
        ("a session that was revoked before its body came", late, "be dead")
    } else {
        return None;
    };
    Some(format!("{method} {path} with {who}, {way}: {}, should {should}", seen(answer)))
}
