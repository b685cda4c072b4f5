//! The adapters by themselves: what they find in a request, before and after a handler changed it.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
};

use axum::{Router, body::Body, extract::Request, http::StatusCode, routing::get};
use axum_login::{AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend};
use serde_json::json;
use time::OffsetDateTime;
use tower::ServiceExt;
use tower_sessions_0_14::{Expiry, MemoryStore, Session, SessionManagerLayer};
use tower_step_up::{
    Method, Subject,
    clock::Timestamp,
    source::{Head, HostLook, HostSession, HostSessions, HostState, HostUser, SourceError},
};
use tower_step_up_sessions::{AxumLogin, TowerSessions};

use crate::host::{Backend, HostStore, Never, User};

const NOTE: &str = "tower-step-up";
const DATA: &str = "axum-login.data";

fn found(look: HostLook) -> Box<dyn HostSession> {
    match look {
        HostLook::Session(session) => session,
        other => panic!("{other:?}"),
    }
}

fn help(look: &HostLook) -> &'static str {
    match look {
        HostLook::Miswired(help) => help,
        other => panic!("{other:?}"),
    }
}

fn name(state: &HostState) -> &str {
    state.user.as_ref().map_or("nobody", |user| user.subject.as_str())
}

/// Who is signed in, the note, and whether there is a session.
fn seen(state: &HostState) -> (&str, Option<&str>, bool) {
    (name(state), state.note.as_deref(), state.exists)
}

/// A store with a session that has these values.
async fn with(values: &[(&str, serde_json::Value)]) -> (HostStore, String) {
    let store = HostStore::default();
    let session = Session::new(None, Arc::new(store.clone()), None);
    for (key, value) in values {
        session.insert_value(key, value.clone()).await.unwrap();
    }
    session.save().await.unwrap();
    (store, session.id().unwrap().to_string())
}

/// What axum-login keeps of kim.
fn data(hash: &str) -> (&'static str, serde_json::Value) {
    (DATA, json!({ "user_id": "kim", "auth_hash": hash.as_bytes() }))
}

/// Runs this as the handler of a request with that cookie, inside of axum-login.
async fn inside<F, U>(store: &HostStore, backend: &Backend, cookie: Option<&str>, run: F)
where
    F: Fn(AuthSession<Backend>, Box<dyn HostSession>) -> U + Clone + Send + Sync + 'static,
    U: Future<Output = ()> + Send,
{
    inside_expiring(store, backend, cookie, Expiry::OnSessionEnd, run).await;
}

async fn inside_expiring<F, U>(store: &HostStore, backend: &Backend, cookie: Option<&str>, expiry: Expiry, run: F)
where
    F: Fn(AuthSession<Backend>, Box<dyn HostSession>) -> U + Clone + Send + Sync + 'static,
    U: Future<Output = ()> + Send,
{
    let layer = SessionManagerLayer::new(store.clone()).with_expiry(expiry);
    let layer = AuthManagerLayerBuilder::new(backend.clone(), layer).build();
    let handler = async move |request: Request| {
        let session = found(AxumLogin::<Backend>::new().look(Head::from(&request)));
        run(request.extensions().get::<AuthSession<Backend>>().unwrap().clone(), session).await;
    };
    send(Router::new().route("/", get(handler)).layer(layer), cookie).await;
}

async fn send(app: Router, cookie: Option<&str>) {
    let mut request = Request::get("/");
    if let Some(cookie) = cookie {
        request = request.header("cookie", format!("id={cookie}"));
    }
    let answer = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "the handler ran to its end");
}

#[tokio::test]
async fn who_is_signed_in_is_known_without_waiting() {
    let (store, cookie) = with(&[data("kim-password"), (NOTE, json!("a note"))]).await;
    inside(&store, &Backend::default(), Some(&cookie.clone()), move |_, session| {
        let cookie = cookie.clone();
        async move {
            let known = session.recall().unwrap();
            assert_eq!(seen(&known), ("kim", Some("a note"), true));
            let user = known.user.unwrap();
            assert_eq!(user.method, Method::Password);
            assert_eq!(user.stamp, b"kim-password");
            assert_eq!((user.proven_at, user.expires_at), (None, None), "axum-login does not know");
            assert_eq!(session.id(), Some(cookie));
            assert!(!session.is_modified());
            assert_eq!(name(&session.state().await.unwrap()), "kim");
        }
    })
    .await;
    assert_eq!((store.take_loads(), store.take_saves()), (1, 1), "read once for axum-login, written by the test alone");
}

#[tokio::test]
async fn a_task_that_has_done_much_need_not_wait_either() {
    let (store, cookie) = with(&[data("kim-password")]).await;
    let layer = AuthManagerLayerBuilder::new(Backend::default(), SessionManagerLayer::new(store)).build();
    let handler = get(async |request: Request| {
        let session = request.extensions().get::<Session>().unwrap();
        // Uses up what tokio lets a task do at once.
        let mut context = Context::from_waker(Waker::noop());
        while pin!(session.get_value("basket")).poll(&mut context).is_ready() {}
        let session = found(AxumLogin::<Backend>::new().look(Head::from(&request)));
        assert_eq!(name(&session.recall().unwrap()), "kim");
    });
    send(Router::new().route("/", handler).layer(layer), Some(&cookie)).await;
}

/// Something outside of ours has the session in its hands.
#[tokio::test]
async fn a_session_in_use_is_read_later() {
    for known in [true, false] {
        let (store, cookie) = with(&[data("kim-password")]).await;
        store.saves_wait();
        let backend = Backend::default();
        if !known {
            backend.delete("kim");
        }
        let layer = SessionManagerLayer::new(store.clone());
        let layer = AuthManagerLayerBuilder::new(backend, layer).build();
        let handler = get(async move |request: Request| {
            let mut auth = request.extensions().get::<AuthSession<Backend>>().unwrap().clone();
            let host = auth.session.clone();
            let mut saving = pin!(host.save());
            assert!(saving.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            let session = found(AxumLogin::<Backend>::new().look(Head::from(&request)));
            assert!(session.recall().is_none());
            saving.await.unwrap();
            let expected = if known { "kim" } else { "nobody" };
            assert_eq!(name(&session.state().await.unwrap()), expected);
            auth.login(&auth.backend.user("lee").unwrap()).await.unwrap();
            if known {
                assert_eq!(name(&session.state().await.unwrap()), "lee");
            } else {
                // Whether it is the deleted one cannot be told any more.
                session.state().await.unwrap_err();
            }
        });
        send(Router::new().route("/", handler).layer(layer), Some(&cookie)).await;
    }
}

#[tokio::test]
async fn without_a_session_there_is_nothing_to_keep_a_note_in() {
    let (store, backend) = (HostStore::default(), Backend::default());
    let unknown = "AAAAAAAAAAAAAAAAAAAAAA";
    for cookie in [None, Some(unknown), Some("nonsense")] {
        inside(&store, &backend, cookie, async |_, session| {
            for state in [session.recall().unwrap(), session.state().await.unwrap()] {
                assert_eq!(seen(&state), ("nobody", None, false));
            }
            assert_eq!(session.id(), None);
        })
        .await;
    }
    assert_eq!(store.take_saves(), 0);
}

#[tokio::test]
async fn a_login_is_seen_in_the_record_though_the_handler_has_a_clone() {
    let (store, cookie) = with(&[("basket", json!(3))]).await;
    for cookie in [None, Some(cookie.as_str())] {
        inside(&store, &Backend::default(), cookie, async |mut auth, session| {
            assert_eq!(name(&session.recall().unwrap()), "nobody");
            auth.login(&auth.backend.user("kim").unwrap()).await.unwrap();
            assert!(session.is_modified());
            let state = session.state().await.unwrap();
            assert_eq!(seen(&state), ("kim", None, true));
            assert_eq!(session.id(), None, "the id is new when it is saved");
        })
        .await;
    }
}

#[tokio::test]
async fn a_logout_is_seen_and_leaves_nothing() {
    let (store, cookie) = with(&[data("kim-password"), (NOTE, json!("a note"))]).await;
    inside(&store, &Backend::default(), Some(&cookie), async |mut auth, session| {
        auth.logout().await.unwrap();
        assert!(session.is_modified());
        let state = session.state().await.unwrap();
        assert_eq!(seen(&state), ("nobody", None, false));
    })
    .await;
    assert!(store.record(&cookie).await.is_none());
}

#[tokio::test]
async fn whom_an_outer_layer_has_signed_out_is_nobody() {
    let (store, cookie) = with(&[data("kim-password")]).await;
    let layer = AuthManagerLayerBuilder::new(Backend::default(), SessionManagerLayer::new(store)).build();
    let handler = get(async |request: Request| {
        request.extensions().get::<Session>().unwrap().flush().await.unwrap();
        let session = found(AxumLogin::<Backend>::new().look(Head::from(&request)));
        assert_eq!(seen(&session.recall().unwrap()), ("nobody", None, false));
    });
    send(Router::new().route("/", handler).layer(layer), Some(&cookie)).await;
}

#[tokio::test]
async fn another_user_and_another_password_are_seen() {
    let (store, cookie) = with(&[data("kim-password")]).await;
    inside(&store, &Backend::default(), Some(&cookie), async |mut auth, session| {
        auth.login(&User { name: "kim".to_owned(), password: "new".to_owned() }).await.unwrap();
        assert_eq!(session.state().await.unwrap().user.unwrap().stamp, b"new");
        auth.login(&auth.backend.user("lee").unwrap()).await.unwrap();
        assert_eq!(name(&session.state().await.unwrap()), "lee");
    })
    .await;
}

#[tokio::test]
async fn a_deleted_user_is_nobody_until_somebody_signs_in() {
    let (store, cookie) = with(&[data("kim-password"), (NOTE, json!("a note"))]).await;
    let backend = Backend::default();
    backend.delete("kim");
    inside(&store, &backend, Some(&cookie), async |mut auth, session| {
        let known = session.recall().unwrap();
        assert_eq!(seen(&known), ("nobody", Some("a note"), true));
        auth.session.insert("counter", 1).await.unwrap();
        assert_eq!(name(&session.state().await.unwrap()), "nobody", "a change of something else is no login");
        auth.login(&auth.backend.user("lee").unwrap()).await.unwrap();
        assert_eq!(name(&session.state().await.unwrap()), "lee");
    })
    .await;
}

#[tokio::test]
async fn a_changed_password_elsewhere_has_ended_the_session_before() {
    let (store, cookie) = with(&[data("kim-password"), (NOTE, json!("a note"))]).await;
    let backend = Backend::default();
    backend.set_password("kim", "new");
    inside(&store, &backend, Some(&cookie), async |_, session| {
        for state in [session.recall().unwrap(), session.state().await.unwrap()] {
            assert_eq!(seen(&state), ("nobody", None, false));
        }
    })
    .await;
    assert!(store.record(&cookie).await.is_none());
}

#[tokio::test]
async fn what_is_broken_is_an_error_and_not_nobody() {
    for broken in [
        (NOTE, json!(7)),
        (DATA, json!({ "user_id": "", "auth_hash": b"kim-password" })),
        (DATA, json!({ "user_id": 7, "auth_hash": [] })),
    ] {
        let (store, cookie) = with(&[data("kim-password")]).await;
        inside(&store, &Backend::default(), Some(&cookie), move |auth, session| {
            let (key, value) = broken.clone();
            async move {
                auth.session.insert_value(key, value).await.unwrap();
                session.state().await.unwrap_err();
            }
        })
        .await;
    }
    let (store, cookie) = with(&[data("kim-password"), (NOTE, json!(7))]).await;
    inside(&store, &Backend::default(), Some(&cookie), async |_, session| {
        assert!(session.recall().is_none());
        session.state().await.unwrap_err();
    })
    .await;
}

#[tokio::test]
async fn a_note_is_saved_with_the_rest_and_an_end_leaves_nothing() {
    let (store, cookie) = with(&[data("kim-password"), ("basket", json!(3))]).await;
    store.take_saves();
    inside(&store, &Backend::default(), Some(&cookie), async |auth, session| {
        session.keep_note("first".to_owned()).await.unwrap();
        session.keep_note("second".to_owned()).await.unwrap();
        auth.session.insert("basket", 4).await.unwrap();
        assert_eq!(session.state().await.unwrap().note.as_deref(), Some("second"));
    })
    .await;
    assert_eq!(store.take_saves(), 1);
    let record = store.record(&cookie).await.unwrap();
    assert_eq!((&record.data[NOTE], &record.data["basket"]), (&json!("second"), &json!(4)));

    inside(&store, &Backend::default(), Some(&cookie), async |_, session| {
        session.end().await.unwrap();
        assert!(!session.state().await.unwrap().exists);
    })
    .await;
    assert!(store.record(&cookie).await.is_none());
    assert_eq!(store.take_saves(), 0);
}

#[tokio::test]
async fn only_a_fixed_end_is_known() {
    let at = OffsetDateTime::from_unix_timestamp(4_000_000_000).unwrap();
    let inactive = Expiry::OnInactivity(time::Duration::hours(1));
    for (expiry, known) in [
        (Expiry::OnSessionEnd, None),
        (inactive, None),
        (Expiry::AtDateTime(at), Some(Timestamp::from_unix_seconds(4_000_000_000))),
    ] {
        let (store, cookie) = with(&[data("kim-password")]).await;
        inside_expiring(&store, &Backend::default(), Some(&cookie), expiry, move |_, session| async move {
            assert_eq!(session.recall().unwrap().user.unwrap().expires_at, known);
        })
        .await;
    }
}

/// What the look finds in a request behind these layers.
async fn look_in<L>(sessions: L, layers: impl FnOnce(Router) -> Router, cookie: Option<&str>) -> &'static str
where
    L: HostSessions,
{
    let found = Arc::new(std::sync::Mutex::new(""));
    let (sessions, told) = (Arc::new(sessions), Arc::clone(&found));
    let handler = get(async move |request: Request| {
        *told.lock().unwrap() = help(&sessions.look(Head::from(&request)));
    });
    send(layers(Router::new().route("/", handler)), cookie).await;
    *found.lock().unwrap()
}

#[derive(Clone, Debug)]
struct OtherBackend;

impl AuthnBackend for OtherBackend {
    type User = User;
    type Credentials = ();
    type Error = Never;

    async fn authenticate(&self, (): ()) -> Result<Option<User>, Never> {
        Ok(None)
    }

    async fn get_user(&self, _: &<User as AuthUser>::Id) -> Result<Option<User>, Never> {
        Ok(None)
    }
}

#[tokio::test]
async fn each_wrong_wiring_says_which_line_to_change() {
    let sessions = || SessionManagerLayer::new(MemoryStore::default());
    let here = AxumLogin::<Backend>::new;

    let help = look_in(here(), |app| app, None).await;
    assert!(help.contains("`.layer(auth_layer)` after `.layer(step_up.layer())`"), "{help}");

    let help = look_in(here(), |app| app.layer(sessions()), None).await;
    assert!(help.contains("`AxumLogin::<Backend>::new()`"), "{help}");
    let other = AuthManagerLayerBuilder::new(OtherBackend, sessions()).build();
    let help = look_in(here(), |app| app.layer(other), None).await;
    assert!(help.contains("name the backend"), "{help}");

    let (store, cookie) = with(&[("mine", data("kim-password").1)]).await;
    let layer = AuthManagerLayerBuilder::new(Backend::default(), SessionManagerLayer::new(store));
    let layer = layer.with_data_key("mine").build();
    let help = look_in(here(), |app| app.layer(layer.clone()), Some(&cookie)).await;
    assert!(help.contains("`AxumLogin::data_key`"), "{help}");
    let named = get(async |request: Request| {
        let session = found(AxumLogin::<Backend>::new().data_key("mine").look(Head::from(&request)));
        assert_eq!(name(&session.recall().unwrap()), "kim");
    });
    send(Router::new().route("/", named).layer(layer), Some(&cookie)).await;

    let own = TowerSessions::new(async |_: Session| Ok::<_, SourceError>(None));
    let help = look_in(own, |app| app, None).await;
    assert!(help.contains("`.layer(SessionManagerLayer::new(..))` after `.layer(step_up.layer())`"), "{help}");
    let newer = tower_sessions_0_15::MemoryStore::default();
    let newer = tower_sessions_0_15::SessionManagerLayer::new(newer);
    let own = TowerSessions::new(async |_: Session| Ok::<_, SourceError>(None));
    let help = look_in(own, |app| app.layer(newer), None).await;
    assert!(help.contains("of this version of tower-sessions"), "{help}");
}

#[tokio::test]
async fn the_method_is_the_one_that_was_named() {
    let (store, cookie) = with(&[data("kim-password")]).await;
    let layer = AuthManagerLayerBuilder::new(Backend::default(), SessionManagerLayer::new(store)).build();
    let handler = get(async |request: Request| {
        let sessions = AxumLogin::<Backend>::default().method(Method::Oidc);
        let session = found(sessions.look(Head::from(&request)));
        assert_eq!(session.recall().unwrap().user.unwrap().method, Method::Oidc);
    });
    send(Router::new().route("/", handler).layer(layer), Some(&cookie)).await;
}

/// The same for each version of tower-sessions.
macro_rules! tower_sessions {
    ($module:ident, $tower_sessions:ident) => {
        mod $module {
            use super::*;
            use $tower_sessions::{Expiry, MemoryStore, Session, SessionManagerLayer};

            async fn user(session: Session) -> Result<Option<HostUser>, SourceError> {
                let Some(user) = session.get::<String>("user").await? else { return Ok(None) };
                Ok(Some(HostUser::new(Subject::new(user)?)))
            }

            async fn inside<F, U>(store: &MemoryStore, cookie: Option<&str>, expiry: Expiry, run: F)
            where
                F: Fn(Session, Box<dyn HostSession>) -> U + Clone + Send + Sync + 'static,
                U: Future<Output = ()> + Send,
            {
                let handler = async move |request: Request| {
                    let session = found(TowerSessions::new(user).look(Head::from(&request)));
                    run(request.extensions().get::<Session>().unwrap().clone(), session).await;
                };
                let layer = SessionManagerLayer::new(store.clone()).with_expiry(expiry);
                send(Router::new().route("/", get(handler)).layer(layer), cookie).await;
            }

            #[tokio::test]
            async fn sessions_of_tower_sessions() {
                let store = MemoryStore::default();
                let session = Session::new(None, Arc::new(store.clone()), None);
                session.insert("user", "kim").await.unwrap();
                session.save().await.unwrap();
                let cookie = session.id().unwrap().to_string();
                let id = cookie.clone();
                inside(&store, Some(&cookie), Expiry::OnSessionEnd, move |host, session| {
                    let id = id.clone();
                    async move {
                        assert!(session.recall().is_none(), "it is not read before somebody asks");
                        assert_eq!(session.id(), Some(id));
                        let state = session.state().await.unwrap();
                        assert_eq!(seen(&state), ("kim", None, true));
                        assert!(!session.is_modified());
                        session.keep_note("a note".to_owned()).await.unwrap();
                        assert_eq!(host.get::<String>(NOTE).await.unwrap().unwrap(), "a note");
                        assert!(session.is_modified());
                    }
                })
                .await;
                let at = OffsetDateTime::from_unix_timestamp(4_000_000_000).unwrap();
                inside(&store, Some(&cookie), Expiry::AtDateTime(at), async |host, session| {
                    let state = session.state().await.unwrap();
                    assert_eq!(state.note.as_deref(), Some("a note"));
                    let ends = Timestamp::from_unix_seconds(4_000_000_000);
                    assert_eq!(state.user.unwrap().expires_at, Some(ends));
                    host.insert("user", "lee").await.unwrap();
                    assert_eq!(name(&session.state().await.unwrap()), "lee");
                    session.end().await.unwrap();
                    let state = session.state().await.unwrap();
                    assert_eq!(seen(&state), ("nobody", None, false));
                })
                .await;
                inside(&store, Some(&cookie), Expiry::OnSessionEnd, async |_, session| {
                    assert!(!session.state().await.unwrap().exists, "it has ended");
                })
                .await;
            }

            #[tokio::test]
            async fn nobody_comes_without_a_cookie() {
                inside(&MemoryStore::default(), None, Expiry::OnSessionEnd, async |host, session| {
                    let known = session.recall().unwrap();
                    assert_eq!(seen(&known), ("nobody", None, false));
                    host.insert("user", "kim").await.unwrap();
                    let state = session.state().await.unwrap();
                    assert_eq!(seen(&state), ("kim", None, true));
                })
                .await;
            }

            #[tokio::test]
            async fn who_cannot_be_told_is_an_error() {
                inside(&MemoryStore::default(), None, Expiry::OnSessionEnd, async |host, session| {
                    host.insert("user", 7).await.unwrap();
                    session.state().await.unwrap_err();
                })
                .await;
            }
        }
    };
}

tower_sessions!(version_0_14, tower_sessions_0_14);
tower_sessions!(version_0_15, tower_sessions_0_15);

#[tokio::test]
async fn whom_an_outer_layer_signs_in_is_not_called_nobody() {
    let handler = async |request: Request| {
        let session = request.extensions().get::<Session>().unwrap().clone();
        session.insert("user", "kim").await.unwrap();
        let sessions = TowerSessions::new(async |session: Session| {
            Ok::<_, SourceError>(session.get::<Subject>("user").await?.map(HostUser::new))
        });
        let session = found(sessions.look(Head::from(&request)));
        assert!(session.recall().is_none());
        assert_eq!(name(&session.state().await.unwrap()), "kim");
    };
    let layer = SessionManagerLayer::new(MemoryStore::default());
    send(Router::new().route("/", get(handler)).layer(layer), None).await;
}
