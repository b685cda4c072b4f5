//! A body that its sender holds back.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::{Notify, oneshot};

/// The whole body, in one piece, once it is sent.
pub struct Held {
    asked: Arc<Notify>,
    whole: Option<oneshot::Receiver<Bytes>>,
}

/// Who holds the body back.
pub struct Holder {
    asked: Arc<Notify>,
    whole: oneshot::Sender<Bytes>,
}

/// A body, and who holds it back.
pub fn held() -> (Held, Holder) {
    let (sender, whole) = oneshot::channel();
    let asked = Arc::new(Notify::new());
    (Held { asked: Arc::clone(&asked), whole: Some(whole) }, Holder { asked, whole: sender })
}

impl Holder {
    /// Until somebody waits for the body: by then the head was judged.
    pub async fn asked(&self) {
        tokio::time::timeout(Duration::from_secs(20), self.asked.notified()).await.expect("nobody asks for the body");
    }

    pub fn send(self, body: impl Into<Bytes>) {
        // Whoever waited may have given up.
        let _ = self.whole.send(body.into());
    }
}

impl Body for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(whole) = &mut self.whole else { return Poll::Ready(None) };
        match Pin::new(whole).poll(cx) {
            Poll::Ready(body) => {
                self.whole = None;
                Poll::Ready(Some(Ok(Frame::data(body.expect("the body was dropped")))))
            }
            Poll::Pending => {
                self.asked.notify_one();
                Poll::Pending
            }
        }
    }
}
