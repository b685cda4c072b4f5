//! Access tokens as a source of sessions.

use std::sync::Arc;

use aws_lc_rs::digest;
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower_step_up::{
    Aal, Shortfall,
    clock::Timestamp,
    session::Session,
    source::{
        Clue, Evidence, Head, Look, Recalled, Remedy, SessionSource, SourceError, SourceFuture, Transport, Unmet,
    },
    standing::{Enrolled, Standing},
};

use crate::{
    access_tokens::AccessTokens,
    assurance::Assurance,
    jwk::KeySet,
    keys::{Keys, Next},
    token::{Refused, Rules, Token},
};

/// How many tokens are remembered.
const REMEMBERED: usize = 10_000;

/// Everything that a configured source works with.
pub(crate) struct Live {
    rules: Rules,
    assurance: Assurance,
    keys: Keys,
    /// By the hash of the token, so that memory has no tokens.
    verified: quick_cache::sync::Cache<[u8; 32], Verified>,
}

/// A token whose signature is good by these keys.
#[derive(Clone)]
struct Verified {
    evidence: Arc<Evidence>,
    keys: Arc<KeySet>,
}

/// The credentials are not a bearer token, but meant for us.
struct OtherScheme;

impl Live {
    pub(crate) fn new(rules: Rules, assurance: Assurance, keys: Keys) -> Self {
        let assurance = assurance.issued_by(&rules.issuer);
        Self { rules, assurance, keys, verified: quick_cache::sync::Cache::new(REMEMBERED) }
    }

    /// A token that was verified before, by the keys that still hold.
    fn remembered(&self, hash: &[u8; 32]) -> Option<Arc<Evidence>> {
        let keys = self.keys.usable()?;
        let verified = self.verified.get(hash)?;
        Arc::ptr_eq(&verified.keys, &keys).then_some(verified.evidence)
    }

    /// What the token says, if its signature is good.
    fn claimed(&self, token: &Token<'_>, now: Timestamp) -> Result<Evidence, Refused> {
        let accepted = self.rules.accept(token, now)?;
        let Rules { leeway, .. } = &self.rules;
        let proofs = self.assurance.proofs(token.claims(), now, *leeway).ok_or(Refused::AuthTime)?;
        // `iat` says when the token was made, not when the user first signed in, which nobody says.
        let session = Session::external(accepted.subject, proofs).with_expires_at(accepted.ends_at);
        Ok(Evidence::new(session, Standing::external(Enrolled::Unknown).leeway(*leeway)))
    }

    fn verify(
        &self,
        hash: [u8; 32],
        token: &Token<'_>,
        claimed: Evidence,
        keys: Arc<KeySet>,
    ) -> Result<Arc<Evidence>, Refused> {
        if !keys.has_signed(token.wanted()?, token.message, &token.signature) {
            return Err(Refused::Signature);
        }
        let evidence = Arc::new(claimed);
        self.verified.insert(hash, Verified { evidence: Arc::clone(&evidence), keys });
        Ok(evidence)
    }

    /// Without waiting; `None` if the issuer must be asked first.
    fn known(&self, bytes: &[u8], now: Timestamp) -> Option<Result<Arc<Evidence>, Refused>> {
        let hash = hash(bytes);
        if let Some(evidence) = self.remembered(&hash) {
            return Some(Ok(evidence));
        }
        let judged = || -> Result<Option<Arc<Evidence>>, Refused> {
            let token = Token::parse(bytes)?;
            let claimed = self.claimed(&token, now)?;
            match self.keys.next(token.wanted()?) {
                Next::Use { .. } => {}
                Next::Absent => return Err(Refused::UnknownKey),
                Next::Ask | Next::Unavailable => return Ok(None),
            }
            let Some(keys) = self.keys.usable() else { return Ok(None) };
            self.verify(hash, &token, claimed, keys).map(Some)
        };
        judged().transpose()
    }

    async fn asked(&self, bytes: &[u8], now: Timestamp) -> Result<Result<Arc<Evidence>, Refused>, SourceError> {
        if let Some(known) = self.known(bytes, now) {
            return Ok(known);
        }
        let parsed = Token::parse(bytes).and_then(|token| self.claimed(&token, now).map(|claimed| (token, claimed)));
        let (token, claimed) = match parsed {
            Ok(parsed) => parsed,
            Err(refused) => return Ok(Err(refused)),
        };
        let wanted = match token.wanted() {
            Ok(wanted) => wanted,
            Err(refused) => return Ok(Err(refused)),
        };
        let Some(keys) = self.keys.ask(wanted).await? else { return Ok(Err(Refused::UnknownKey)) };
        Ok(self.verify(hash(bytes), &token, claimed, keys))
    }
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    let digest = digest::digest(&digest::SHA256, bytes);
    // Both have 32 bytes.
    hash.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

fn tell(refused: Refused) {
    tracing::debug!(target: "tower_step_up_oidc", reason = %refused, "an access token is refused");
}

impl AccessTokens {
    /// The claims of the request's token, once they are verified as for a guard; `None` if there is no valid token. For what the guards do not
    /// look at, such as the scope.
    ///
    /// ```
    /// use http::HeaderMap;
    /// use serde::Deserialize;
    /// use tower_step_up::{SessionContext, source::SourceError};
    /// use tower_step_up_oidc::AccessTokens;
    ///
    /// #[derive(Deserialize)]
    /// struct Scope {
    ///     scope: String,
    /// }
    ///
    /// async fn may_pay(tokens: &AccessTokens, headers: &HeaderMap, context: &SessionContext) -> Result<bool, SourceError> {
    ///     let claims: Option<Scope> = tokens.claims(headers, context.now()).await?;
    ///     Ok(claims.is_some_and(|claims| claims.scope.split(' ').any(|scope| scope == "payments")))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The keys of the issuer are not known, the source is misconfigured, or the claims are not of this type.
    pub async fn claims<T: DeserializeOwned>(
        &self,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Option<T>, SourceError> {
        let Look::Clue(clue) = presented(headers) else { return Ok(None) };
        let Some(bytes) = clue.bytes() else { return Ok(None) };
        match self.live()?.asked(bytes, now).await? {
            Ok(evidence) if evidence.session.expires_at().is_none_or(|end| now < end) => {
                let Ok(token) = Token::parse(bytes) else { return Ok(None) };
                Ok(serde_json::from_value(Value::Object(token.claims().clone())).map(Some)?)
            }
            Ok(_) | Err(_) => Ok(None),
        }
    }
}

/// The credentials in `Authorization` (RFC 6750 section 2.1). Tokens in a body or in an address are not read.
fn presented(headers: &HeaderMap) -> Look {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = all.next() else { return Look::Nothing };
    if all.next().is_some() {
        return Look::Ambiguous(Transport::Bearer);
    }
    let bytes = value.as_bytes();
    let space = bytes.iter().position(|&byte| byte == b' ').unwrap_or(bytes.len());
    let (scheme, rest) = bytes.split_at(space);
    if scheme.eq_ignore_ascii_case(b"bearer") {
        let blanks = rest.iter().take_while(|&&byte| byte == b' ').count();
        return Look::Clue(Clue::from_part_of_header(
            value,
            space.saturating_add(blanks)..bytes.len(),
            Transport::Bearer,
        ));
    }
    if scheme.eq_ignore_ascii_case(b"dpop") {
        return Look::Clue(Clue::from_value(OtherScheme, Transport::Bearer));
    }
    Look::Nothing
}

impl SessionSource for AccessTokens {
    fn check(&self) -> Result<(), SourceError> {
        self.live().map(drop).map_err(Into::into)
    }

    fn look(&self, head: Head<'_>) -> Look {
        presented(head.headers)
    }

    fn recall(&self, clue: &Clue, now: Timestamp) -> Recalled {
        let Some(bytes) = clue.bytes() else {
            tell(Refused::DPoPScheme);
            return Recalled::NoSession;
        };
        match self.live().ok().and_then(|live| live.known(bytes, now)) {
            Some(Ok(evidence)) => Recalled::Evidence(evidence),
            Some(Err(refused)) => {
                tell(refused);
                Recalled::NoSession
            }
            None => Recalled::Unknown,
        }
    }

    fn ask<'a>(&'a self, clue: &'a Clue, now: Timestamp) -> SourceFuture<'a, Option<Arc<Evidence>>> {
        Box::pin(async move {
            let Some(bytes) = clue.bytes() else { return Ok(None) };
            match self.live()?.asked(bytes, now).await? {
                Ok(evidence) => Ok(Some(evidence)),
                Err(refused) => {
                    tell(refused);
                    Ok(None)
                }
            }
        })
    }

    fn remedy(&self, unmet: &Unmet<'_>) -> Remedy {
        let Ok(live) = self.live() else { return Remedy::default() };
        let level = match unmet.shortfall {
            Shortfall::NoSession => {
                let refused = unmet.clue.and_then(|clue| match clue.bytes() {
                    Some(bytes) => Token::parse(bytes).and_then(|token| live.claimed(&token, unmet.now)).err(),
                    None => Some(Refused::DPoPScheme),
                });
                let told = refused.and_then(Refused::told);
                return told.map_or_else(Remedy::default, |told| Remedy::default().with_error_description(told));
            }
            // Nothing helps.
            Shortfall::NoMethodPossible => return Remedy::default(),
            Shortfall::TooOld { second_factor: false, .. } | Shortfall::MethodMissing { second_factor: false } => {
                Aal::Aal1
            }
            _ => Aal::Aal2,
        };
        let names = live.assurance.acr_values(level, &unmet.requirement);
        names.map_or_else(Remedy::default, |names| Remedy::default().with_acr_values(names))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn token_of(values: &[&'static str]) -> Option<Vec<u8>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
        }
        match presented(&headers) {
            Look::Clue(clue) => clue.bytes().map(<[u8]>::to_vec),
            _ => None,
        }
    }

    #[test]
    fn a_token_is_read_from_one_header_of_the_scheme() {
        for (values, expected) in [
            (&["Bearer a.b.c"][..], Some("a.b.c")),
            (&["bearer  a.b.c"], Some("a.b.c")),
            (&["BEARER a b"], Some("a b")),
            (&["Bearer"], Some("")),
            (&["Bearer "], Some("")),
            (&["Bearera.b.c"], None),
            (&["Basic a.b.c"], None),
            (&["DPoP a.b.c"], None),
            (&[""], None),
            (&[], None),
            (&["Bearer a", "Bearer a"], None),
            (&["Basic a", "Bearer a"], None),
        ] {
            assert_eq!(token_of(values).as_deref(), expected.map(str::as_bytes), "{values:?}");
        }
    }
}
