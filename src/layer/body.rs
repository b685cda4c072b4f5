//! How the outer layer makes the body of a challenge. It keeps the type of the response's body.

use bytes::Bytes;

mod sealed {
    pub trait Sealed {}
}

/// Makes the body of a challenge: [`FromBytes`] or [`BodyWith`].
pub trait MakeBody<B>: sealed::Sealed {
    /// Makes a body of these bytes.
    fn make_body(&self, bytes: Bytes) -> B;
}

/// Makes bodies with `From<Bytes>`, such as those of axum and `http_body_util::Full`.
#[derive(Clone, Copy, Debug, Default)]
pub struct FromBytes;

impl sealed::Sealed for FromBytes {}

impl<B: From<Bytes>> MakeBody<B> for FromBytes {
    fn make_body(&self, bytes: Bytes) -> B {
        bytes.into()
    }
}

/// Makes bodies with a function: see [`StepUpLayer::body_with`](super::StepUpLayer::body_with).
#[derive(Clone, Copy)]
pub struct BodyWith<F>(pub(super) F);

impl<F> std::fmt::Debug for BodyWith<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BodyWith(..)")
    }
}

impl<F> sealed::Sealed for BodyWith<F> {}

impl<B, F: Fn(Bytes) -> B> MakeBody<B> for BodyWith<F> {
    fn make_body(&self, bytes: Bytes) -> B {
        (self.0)(bytes)
    }
}
