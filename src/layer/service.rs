use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, Request, Response};
use tower_service::Service;

use super::{ResponseBody, ResponseFuture};
use crate::context::{Found, SessionContext, read};
use crate::{
    audit::AuditEventKind,
    clock::Timestamp,
    engine::Engine,
    session::{
        cookie::{Presented, Transport, presented},
        token::Verified,
    },
    step_up::StepUp,
};

/// The service that [`StepUpLayer`](super::StepUpLayer) makes.
#[derive(Clone, Debug)]
pub struct StepUpService<S> {
    inner: S,
    step_up: StepUp,
}

impl<S> StepUpService<S> {
    pub(super) const fn new(inner: S, step_up: StepUp) -> Self {
        Self { inner, step_up }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for StepUpService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let step_up = self.step_up.clone();
        let now = step_up.engine().now();
        let path_and_query = request.uri().path_and_query().cloned();
        let (search, transport) = search(step_up.engine(), request.headers(), now);
        match search {
            Search::Ended(found) => {
                let context = SessionContext::new(step_up, found, transport, now, path_and_query, false);
                request.extensions_mut().insert(context.clone());
                ResponseFuture::called(self.inner.call(request), context)
            }
            Search::AskStore(verified) => {
                // The clone was never polled ready, so it stays behind and the ready one goes along.
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                let read = Box::pin(async move {
                    let found = read(step_up.engine(), verified.id, &verified.subject, now).await;
                    SessionContext::new(step_up, found, transport, now, path_and_query, true)
                });
                ResponseFuture::reading(read, ready, request)
            }
        }
    }
}

enum Search {
    Ended(Found),
    AskStore(Arc<Verified>),
}

/// As far as it goes without waiting: headers, signature, cache.
fn search(inner: &Engine, headers: &HeaderMap, now: Timestamp) -> (Search, Option<Transport>) {
    match presented(headers, &inner.cookies.session, |token| inner.keys.recognises(token)) {
        Presented::Nothing => (Search::Ended(Found::Nothing), None),
        Presented::Unusable(transport) => {
            inner.audit.record_anonymous(now, AuditEventKind::CredentialsRefused);
            (Search::Ended(Found::Ambiguous), Some(transport))
        }
        Presented::Token(token, transport) => {
            let search = match inner.keys.verify(token, now) {
                Err(_) => Search::Ended(Found::Nothing),
                Ok(verified) => match inner.cached_session(verified.id, &verified.subject, now) {
                    Some(authenticated) => Search::Ended(Found::Session(authenticated)),
                    None => Search::AskStore(verified),
                },
            };
            (search, Some(transport))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::ready, sync::atomic::Ordering::Relaxed};

    use tower::{Service as _, ServiceBuilder, service_fn};

    use super::*;
    use crate::{
        aal::Method, factor::Totp, guard::RequireAal2, session::SigningKey, session::Subject, store::MemoryStore,
    };

    /// Whatever a request carries, at most one signature is verified for it, and none if its token is known.
    #[tokio::test]
    async fn a_request_costs_one_verification_at_most() {
        let step_up = StepUp::builder("https://bank.example")
            .signing_key(SigningKey::hs256("new", [8; 32]).unwrap())
            .signing_key(SigningKey::hs256("old", [7; 32]).unwrap())
            .store(MemoryStore::default())
            .factor(Totp::new("Example Bank"))
            .build()
            .unwrap();
        let kim = step_up.sign_in(Subject::new("kim").unwrap(), Method::Password).await.unwrap();
        let good = kim.token().as_str();
        let (message, _) = good.rsplit_once('.').unwrap();
        let (header, _) = message.split_once('.').unwrap();
        let forged = |mark: char| format!("{message}.{}", mark.to_string().repeat(43));
        let (one, two, nonsense) = (forged('A'), forged('B'), format!("{header}.e30.{}", "C".repeat(43)));
        let cookie = |token: &str| format!("a=b; __Host-step_up_session={token}; c=d");
        let both = format!("{}; {}", cookie(&one), cookie(&two));
        let bearer = |token: &str| format!("Bearer {token}");
        let inner = service_fn(|_: Request<String>| ready(Ok::<_, Infallible>(Response::new(String::new()))));
        let mut service = ServiceBuilder::new().layer(step_up.layer()).layer(RequireAal2).service(inner);
        for (headers, expected) in [
            (vec![("cookie", cookie(good))], 1),
            (vec![("cookie", cookie(good))], 0),
            (vec![("authorization", bearer(good)), ("x-session-token", good.to_owned())], 0),
            (vec![("cookie", cookie(&one))], 1),
            (vec![("cookie", cookie(&one))], 1),
            (vec![("cookie", cookie(&nonsense))], 1),
            (vec![("cookie", both)], 0),
            (vec![("cookie", cookie(&one)), ("cookie", cookie(&two))], 0),
            (vec![("cookie", cookie(&one)), ("authorization", bearer(&two))], 0),
            (vec![("cookie", cookie(&one)), ("authorization", bearer(&one))], 1),
            (vec![("cookie", cookie("garbage")), ("authorization", bearer(&two))], 1),
            (vec![("x-session-token", two.clone()), ("cookie", cookie(good)), ("authorization", bearer(&one))], 1),
        ] {
            let mut request = Request::new(String::new());
            for (name, value) in &headers {
                request.headers_mut().append(*name, value.parse().unwrap());
            }
            let before = step_up.engine().keys.verifications.load(Relaxed);
            service.call(request).await.unwrap();
            assert_eq!(step_up.engine().keys.verifications.load(Relaxed) - before, expected, "{headers:?}");
        }
    }
}
