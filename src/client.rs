//! Who sent a request, as far as it says so itself: for audit events and lists of sessions, never for decisions.

use std::{fmt, net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderName, header};
use serde::{Deserialize, Serialize};

/// The client of a request: its software, its address and the request's id.
///
/// Everything but the address is what the client says. Show it to users, write it into logs, and decide nothing by it. The address is known
/// only if the application says how: see [`StepUpBuilder::client_address`](crate::StepUpBuilder::client_address).
///
/// ```
/// use http::HeaderMap;
/// use tower_step_up::client::Client;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("user-agent", "Mozilla/5.0 (X11; Linux x86_64)".parse()?);
/// headers.insert("x-forwarded-for", "192.0.2.7".parse()?); // anybody can send this
/// let client = Client::of(&headers).with_address("198.51.100.4".parse()?);
/// assert_eq!(client.user_agent(), Some("Mozilla/5.0 (X11; Linux x86_64)"));
/// assert_eq!(client.address(), Some("198.51.100.4".parse()?));
/// assert_eq!(client.request_id(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Client {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<Arc<str>>,
    #[serde(rename = "client_address", skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<Arc<str>>,
}

/// A client as JSON has it. Wherever the JSON was kept, what is read from it is bounded like what a request says.
#[derive(Deserialize)]
struct Written {
    user_agent: Option<String>,
    client_address: Option<IpAddr>,
    request_id: Option<String>,
}

impl From<Written> for Client {
    fn from(Written { user_agent, client_address, request_id }: Written) -> Self {
        Self {
            user_agent: user_agent.and_then(|text| printable(text.as_bytes())),
            address: client_address.map(|address| address.to_canonical()),
            request_id: request_id.and_then(|text| identifier(&text)),
        }
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

impl Client {
    /// The longest user agent that is kept. A longer one is cut.
    pub const MAX_USER_AGENT: usize = 512;

    /// The longest request id that is believed. A longer one is dropped: a part of an id names nothing.
    pub const MAX_REQUEST_ID: usize = 128;

    /// What the headers say: `User-Agent` and `X-Request-ID`, without an address.
    ///
    /// Of the user agent, everything but printable ASCII becomes `?`. A request id has letters, digits and `-_.:+/=@`; any other is dropped.
    pub fn of(headers: &HeaderMap) -> Self {
        Self {
            user_agent: headers.get(header::USER_AGENT).and_then(|value| printable(value.as_bytes())),
            address: None,
            request_id: headers.get(REQUEST_ID).and_then(|value| identifier(value.to_str().ok()?)),
        }
    }

    /// The same client at this address. An IPv4 address that is written as IPv6 becomes IPv4.
    #[must_use]
    pub const fn with_address(mut self, address: IpAddr) -> Self {
        self.address = Some(address.to_canonical());
        self
    }

    /// Software and address alone, which stay the same from one request to the next; `None` if neither is known.
    pub(crate) fn device(&self) -> Option<Self> {
        let device = Self { request_id: None, ..self.clone() };
        (device != Self::default()).then_some(device)
    }

    /// The software, as it calls itself: at most [`MAX_USER_AGENT`](Self::MAX_USER_AGENT) characters of printable ASCII.
    pub fn user_agent(&self) -> Option<&str> {
        self.user_agent.as_deref()
    }

    /// The address, if the application says how to know it.
    pub const fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// The id of the request, to find it in the logs of a proxy. If no proxy sets it, the client may have chosen it.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }
}

impl fmt::Display for Client {
    /// The address and the user agent, as far as they are known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, &self.user_agent) {
            (Some(address), Some(agent)) => write!(f, "{agent} at {address}"),
            (Some(address), None) => address.fmt(f),
            (None, Some(agent)) => f.write_str(agent),
            (None, None) => f.write_str("unknown"),
        }
    }
}

/// What is made of its own result is the same again.
fn printable(bytes: &[u8]) -> Option<Arc<str>> {
    let shown = |&byte: &u8| if matches!(byte, b' '..=b'~') { char::from(byte) } else { '?' };
    let text: String = bytes.trim_ascii().iter().take(Client::MAX_USER_AGENT).map(shown).collect();
    let text = text.trim_end();
    (!text.is_empty()).then(|| text.into())
}

fn identifier(text: &str) -> Option<Arc<str>> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:+/=@".contains(&byte);
    ((1..=Client::MAX_REQUEST_ID).contains(&text.len()) && text.bytes().all(fits)).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(name: HeaderName, value: &[u8]) -> Client {
        Client::of(&[(name, HeaderValue::from_bytes(value).unwrap())].into_iter().collect())
    }

    #[test]
    fn a_user_agent_is_printable_and_bounded() {
        for (sent, kept) in [
            (&b"curl/8.5"[..], Some("curl/8.5")),
            (b"  curl\t\xe2\x80\xae\xff ", Some("curl?????")),
            (b"  ", None),
            (b"", None),
        ] {
            assert_eq!(of(header::USER_AGENT, sent).user_agent(), kept);
        }
        let long = "x".repeat(Client::MAX_USER_AGENT + 1);
        assert_eq!(of(header::USER_AGENT, long.as_bytes()).user_agent(), Some(&long[1..]));
    }

    #[test]
    fn a_request_id_is_whole_or_missing() {
        let longest = "a".repeat(Client::MAX_REQUEST_ID);
        let good = ["0b6c8b3e-6f0c-4d53-a7b8-3a3f0e1f7d55", "Root=1-67891233-abcdef012345678912345678", &longest];
        for sent in good {
            assert_eq!(of(REQUEST_ID, sent.as_bytes()).request_id(), Some(sent));
        }
        for sent in ["", "a b", "a\"b", "{}", &format!("{longest}a"), "é"] {
            assert_eq!(of(REQUEST_ID, sent.as_bytes()).request_id(), None, "{sent}");
        }
    }

    #[test]
    fn what_is_read_back_is_as_it_was_and_bounded() {
        let cut = format!("{} {}", "x".repeat(Client::MAX_USER_AGENT - 1), "y");
        for agent in ["curl/8.5", &cut, "a\tb"] {
            let client = of(header::USER_AGENT, agent.as_bytes()).with_address("2001:db8::7".parse().unwrap());
            let written = serde_json::to_string(&client).unwrap();
            assert_eq!(serde_json::from_str::<Client>(&written).unwrap(), client, "{written}");
        }
        let forged = serde_json::json!({
            "user_agent": format!("\n\u{202e}{cut}"),
            "client_address": "::ffff:192.0.2.7",
            "request_id": "<script>",
        });
        let read: Client = serde_json::from_value(forged).unwrap();
        assert_eq!(read.user_agent(), Some(&*format!("???{}", "x".repeat(Client::MAX_USER_AGENT - 3))));
        assert_eq!((read.address(), read.request_id()), (Some("192.0.2.7".parse().unwrap()), None));
        assert!(serde_json::from_str::<Client>(r#"{"client_address":"here"}"#).is_err());
    }

    #[test]
    fn a_device_is_no_single_request() {
        let client = of(REQUEST_ID, b"one");
        assert_eq!((client.device(), Client::default().device()), (None, None));
        let both = [(header::USER_AGENT, "curl/8.5"), (REQUEST_ID, "one")];
        let both = both.map(|(name, value)| (name, HeaderValue::from_static(value)));
        assert_eq!(Client::of(&both.into_iter().collect()).device(), Some(of(header::USER_AGENT, b"curl/8.5")));
    }

    #[test]
    fn no_header_says_where_a_client_is() {
        for name in ["x-forwarded-for", "forwarded", "x-real-ip", "true-client-ip", "cf-connecting-ip"] {
            assert_eq!(of(HeaderName::from_static(name), b"192.0.2.7"), Client::default());
        }
        let mapped = Client::default().with_address("::ffff:192.0.2.7".parse().unwrap());
        assert_eq!(mapped.address(), Some("192.0.2.7".parse().unwrap()));
    }

    #[test]
    fn what_is_known_of_a_client_reads_well() {
        let agent = of(header::USER_AGENT, b"curl/8.5");
        let at = |client: Client| client.with_address("192.0.2.7".parse().unwrap()).to_string();
        assert_eq!((agent.to_string(), Client::default().to_string()), ("curl/8.5".into(), "unknown".into()));
        assert_eq!((at(agent), at(Client::default())), ("curl/8.5 at 192.0.2.7".into(), "192.0.2.7".into()));
    }
}
