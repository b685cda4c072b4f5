//! What each call of a step-up costs the database. Which calls a request makes is pinned in `tests/flows/store_calls.rs`.

use tower_step_up::{
    Aal, Method,
    aal::{CredentialId, Proof},
    session::StoredSession,
    standing::CredentialSummary,
    store::{
        AttemptKey, AttemptPolicy, Completed, Completion, Credential, CredentialChange, FlowStore as _, Rotation,
        SqlStore, SubjectStore as _, Written,
    },
};

use crate::sql::{HOUR, NOW, flow, kim, step};

/// Makes the calls of several step-ups, and returns what each call of the last one has cost.
async fn costs(store: &SqlStore, mut cost: impl FnMut() -> usize) -> Vec<(&'static str, usize)> {
    let summary = CredentialSummary { id: CredentialId::random(), method: Method::Totp, aal: Aal::Aal2 };
    let app = Credential::new(summary, NOW).with_data(vec![7]);
    let mut enrolment = Completion::new(kim(), NOW);
    enrolment.credentials = vec![CredentialChange::Add(app.clone())];
    assert_eq!(store.complete(&enrolment).await.unwrap(), Completed::Done);
    let (key, policy) = (AttemptKey { subject: kim(), method: Method::Totp }, AttemptPolicy::default());
    let mut costs = Vec::new();
    for round in 1..4 {
        let old = StoredSession::new(kim(), Proof::new(Method::Password, Aal::Aal1, NOW), NOW, HOUR);
        store.create_session(&old).await.unwrap();
        costs.clear();
        cost();
        let mut note = |call| costs.push((call, cost()));

        assert!(store.standing(&kim(), old.id()).await.unwrap().is_some());
        note("standing");
        assert_eq!(store.credentials(&kim()).await.unwrap().len(), 1);
        note("credentials");
        let flow = flow(Some(old.binding()));
        store.create_flow(&flow, 5, NOW).await.unwrap();
        note("create_flow");

        assert!(store.flow(flow.id).await.unwrap().is_some());
        note("flow");
        assert_eq!(store.touch_flow(&flow).await.unwrap(), Written::Done);
        note("touch_flow");
        assert!(store.begin_attempt(&key, &policy, NOW).await.unwrap().is_allowed());
        note("begin_attempt");
        let mut completion = step(&app, round);
        let new = old.renewed(Proof::new(Method::Totp, Aal::Aal2, NOW), NOW, HOUR, None);
        completion.rotate = Some(Rotation { old: old.id(), new });
        (completion.flow, completion.reset) = (Some(flow), vec![key.clone()]);
        completion.raise_steps = vec![(CredentialId::random(), 1)];
        assert_eq!(store.complete(&completion).await.unwrap(), Completed::Done);
        note("complete");
    }
    costs
}

/// A begin makes three of these calls and a submit four. Transactions would show: `BEGIN` and `COMMIT` are statements too.
#[cfg(all(unix, feature = "postgres"))]
#[tokio::test(flavor = "multi_thread")]
async fn each_call_is_one_statement_on_postgres() {
    use std::time::Duration;

    let Some(server) = crate::servers::postgres::Postgres::shared() else { return };
    let counter = statements::Counter::before(server.port()).await;
    let url = server.url().replace(&format!(":{}/", server.port()), &format!(":{}/", counter.port));
    let one = sqlx::postgres::PgPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(5));
    let store = SqlStore::from_pool(one.connect(&format!("{url}&sslmode=disable")).await.unwrap()).await.unwrap();
    let costs = costs(&store, || counter.take()).await;
    let calls = ["standing", "credentials", "create_flow", "flow", "touch_flow", "begin_attempt", "complete"];
    assert_eq!(costs, calls.map(|call| (call, 1)));
}

/// What is written is on the disk once a call returns, and waiting for the disk is most of its time.
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_call_commits_once_at_most_on_sqlite() {
    let directory = crate::sqlite::Directory::new();
    let store = directory.store().await;
    let log = directory.file().with_extension("db-wal");
    let mut before = 0;
    let costs = costs(&store, || {
        let now = commits(&std::fs::read(&log).unwrap());
        now - std::mem::replace(&mut before, now)
    })
    .await;
    let expected = [
        ("standing", 0),
        ("credentials", 0),
        ("create_flow", 1),
        ("flow", 0),
        ("touch_flow", 1),
        ("begin_attempt", 1),
        ("complete", 1),
    ];
    assert_eq!(costs, expected);
}

/// The frames of a write-ahead log that end a transaction: they say how large the database is then.
#[cfg(feature = "sqlite")]
pub(crate) fn commits(log: &[u8]) -> usize {
    const HEADER: usize = 32;
    const FRAME: usize = 24;
    let page = usize::try_from(u32::from_be_bytes(log[8..12].try_into().unwrap())).unwrap();
    log[HEADER..].chunks_exact(FRAME + page).filter(|frame| frame[4..8] != [0; 4]).count()
}

/// Counts the statements that go to a server.
#[cfg(all(unix, feature = "postgres"))]
mod statements {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
        net::{TcpListener, TcpStream},
    };

    pub(super) struct Counter {
        pub(super) port: u16,
        statements: Arc<AtomicUsize>,
    }

    impl Counter {
        pub(super) async fn before(port: u16) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let counter =
                Self { port: listener.local_addr().unwrap().port(), statements: Arc::<AtomicUsize>::default() };
            let statements = Arc::clone(&counter.statements);
            tokio::spawn(async move {
                while let Ok((client, _)) = listener.accept().await {
                    let (mut from_client, mut to_client) = client.into_split();
                    let (mut from_server, to_server) =
                        TcpStream::connect(("127.0.0.1", port)).await.unwrap().into_split();
                    let statements = Arc::clone(&statements);
                    tokio::spawn(async move { copy(&mut from_server, &mut to_client).await });
                    tokio::spawn(async move { forward(&mut from_client, to_server, &statements).await });
                }
            });
            counter
        }

        /// How many there were since the last time.
        pub(super) fn take(&self) -> usize {
            self.statements.swap(0, Ordering::SeqCst)
        }
    }

    /// Each message is its kind, its length with that of the length, and the rest. The first has no kind.
    async fn forward(
        from: &mut (impl tokio::io::AsyncRead + Unpin),
        mut to: impl tokio::io::AsyncWrite + Unpin,
        statements: &AtomicUsize,
    ) -> std::io::Result<()> {
        let mut first = true;
        loop {
            let mut message = Vec::new();
            if !std::mem::take(&mut first) {
                message.push(from.read_u8().await?);
            }
            // Execute, and a query without parameters.
            if matches!(message.first(), Some(b'E' | b'Q')) {
                statements.fetch_add(1, Ordering::SeqCst);
            }
            let length = from.read_u32().await?;
            message.extend(length.to_be_bytes());
            let start = message.len();
            message.resize(start + usize::try_from(length).unwrap() - 4, 0);
            from.read_exact(&mut message[start..]).await?;
            to.write_all(&message).await?;
        }
    }
}
