//! Asks Kratos whose session it is: `GET /sessions/whoami`, one bounded request over a kept connection.

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use reqwest::{Client, Response, redirect};
use url::Url;

use crate::{credential::Credential, failure::Failure, session};

/// The longest answer that is read. Traits are the application's own, and some put pictures there.
pub(crate) const LONGEST: usize = 1024 * 1024;

/// Go's servers keep idle connections for two minutes. A connection that both sides may close at any moment costs a request now and then.
const IDLE: Duration = Duration::from_secs(30);

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What Kratos says.
pub(crate) enum Answer {
    /// The JSON of a session.
    Session(Vec<u8>),
    NoSession,
    /// There is a session, and it is not shown before the second factor is proven.
    SecondFactorRequired,
}

pub(crate) struct Whoami {
    client: Client,
    url: Url,
    timeout: Duration,
}

impl Whoami {
    /// `url` is that of the endpoint.
    pub(crate) fn new(url: Url, timeout: Duration) -> Result<Self, String> {
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            // What the environment names must not see sessions.
            .no_proxy()
            .referer(false)
            .https_only(url.scheme() == "https")
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| Failure::unreachable(&error))
            .map_err(|failure| format!("the HTTP client cannot be made: {failure}"))?;
        Ok(Self { client, url, timeout })
    }

    /// Asks within the time limit, from the first byte of the connection to the last of the answer.
    pub(crate) async fn ask(&self, credential: Credential) -> Result<Answer, Failure> {
        tokio::time::timeout(self.timeout, self.unlimited(credential)).await.map_err(|_| Failure::Slow(self.timeout))?
    }

    async fn unlimited(&self, credential: Credential) -> Result<Answer, Failure> {
        let Credential { name, value } = credential;
        let request = self.client.get(self.url.clone()).header(header::ACCEPT, JSON).header(name, value);
        let response = request.send().await.map_err(|error| Failure::unreachable(&error))?;
        match response.status() {
            StatusCode::OK => Ok(Answer::Session(body(response).await?)),
            // Read to its end, so that the connection is used again.
            StatusCode::UNAUTHORIZED => body(response).await.map(|_| Answer::NoSession),
            StatusCode::FORBIDDEN if session::wants_second_factor(&body(response).await?) => {
                Ok(Answer::SecondFactorRequired)
            }
            StatusCode::FORBIDDEN => Err(Failure::Forbidden),
            status if status.is_redirection() => Err(Failure::Redirect(status.as_u16())),
            status => Err(Failure::Status(status.as_u16())),
        }
    }
}

async fn body(mut response: Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Failure::broken(&error))? {
        if body.len().saturating_add(chunk.len()) > LONGEST {
            return Err(Failure::TooLarge(LONGEST));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
