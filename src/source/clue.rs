use std::{any::Any, fmt, ops::Range, sync::Arc};

use http::HeaderValue;

pub use crate::session::cookie::Transport;

/// What a request brings, not yet examined and cheap to keep. `Debug` hides it.
#[derive(Clone)]
pub struct Clue {
    kind: Kind,
    transport: Transport,
}

#[derive(Clone)]
enum Kind {
    /// A part of a header. The value shares the bytes of the request.
    Header {
        value: HeaderValue,
        part: Range<usize>,
    },
    Value(Arc<dyn Any + Send + Sync>),
}

impl Clue {
    /// A header's whole value.
    pub fn from_header(value: &HeaderValue, transport: Transport) -> Self {
        Self::from_part_of_header(value, 0..value.len(), transport)
    }

    /// A part of a header's value, such as one cookie of several.
    pub fn from_part_of_header(value: &HeaderValue, part: Range<usize>, transport: Transport) -> Self {
        Self { kind: Kind::Header { value: value.clone(), part }, transport }
    }

    /// Anything else, such as a session that another layer has put into the request's extensions.
    pub fn from_value(value: impl Any + Send + Sync, transport: Transport) -> Self {
        Self { kind: Kind::Value(Arc::new(value)), transport }
    }

    /// The part of the header; `None` if the clue is not a header.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.kind {
            Kind::Header { value, part } => value.as_bytes().get(part.clone()),
            Kind::Value(_) => None,
        }
    }

    /// The value, if the clue was made from one of this type.
    pub fn downcast_ref<T: Any>(&self) -> Option<&T> {
        match &self.kind {
            Kind::Header { .. } => None,
            Kind::Value(value) => value.downcast_ref(),
        }
    }

    /// How it travelled.
    pub const fn transport(&self) -> Transport {
        self.transport
    }
}

impl fmt::Debug for Clue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clue").field("transport", &self.transport).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clue_is_a_part_of_a_header_or_a_value_and_shows_neither() {
        let header = HeaderValue::from_static("a=b; session=secret; c=d");
        let part = Clue::from_part_of_header(&header, 13..19, Transport::Cookie);
        assert_eq!((part.bytes(), part.downcast_ref::<u32>()), (Some(&b"secret"[..]), None));
        let whole = Clue::from_header(&header, Transport::Header);
        assert_eq!(whole.bytes(), Some(header.as_bytes()));
        assert_eq!(Clue::from_part_of_header(&header, 13..190, Transport::Cookie).bytes(), None);
        let value = Clue::from_value(7_u32, Transport::Cookie);
        assert_eq!((value.bytes(), value.downcast_ref(), value.downcast_ref::<u8>()), (None, Some(&7_u32), None));
        assert_eq!(format!("{part:?}"), "Clue { transport: Cookie, .. }");
    }
}
