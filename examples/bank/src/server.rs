//! The server of the bank, with limits of time. `axum::serve` has none: whoever holds heads or bodies back could use it up.

use std::{
    io,
    pin::pin,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::net::TcpListener;

/// How long a head may take, and how long a connection may be idle.
const HEAD: Duration = Duration::from_secs(10);

/// How long a request to the bank's own handlers may take, with its body. The forms of the crate have `body_timeout`.
const REQUEST: Duration = Duration::from_secs(15);

/// How long the requests that run may take at the end.
const LAST_REQUESTS: Duration = Duration::from_secs(30);

/// Serves until told to stop. The requests that run then are still answered.
pub(crate) async fn serve(listener: TcpListener, app: Router, stop: impl Future<Output = ()>) -> io::Result<()> {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let connections = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let stream = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::error!(%error, "a connection could not be accepted");
                    // Perhaps there are too many open files. Others may end until then.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            },
        };
        let connection = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app.clone()));
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    let stopped = Instant::now();
    if tokio::time::timeout(LAST_REQUESTS, connections.shutdown()).await.is_err() {
        tracing::warn!(waited = ?stopped.elapsed(), "requests were still running");
    }
    Ok(())
}

/// Gives a request up that takes too long: to a handler, a slow body is a slow request.
pub(crate) async fn in_time(request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(REQUEST, next.run(request)).await;
    answer.unwrap_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response())
}
