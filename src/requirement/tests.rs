use proptest::prelude::*;

use super::*;
use crate::{
    aal::{CredentialId, Method, Proof},
    session::{StoredSession, Subject},
    standing::CredentialSummary,
};

const DAY: Duration = Duration::from_secs(86_400);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds)
}

fn any_requirement() -> impl Strategy<Value = Requirement> {
    let level = prop::sample::select(&[RequiredAal::Aal1, RequiredAal::HighestAvailable, RequiredAal::Aal2][..]);
    let age = prop::option::of((0..400u64).prop_map(Duration::from_secs));
    (level, age).prop_map(|(level, max_age)| Requirement { level, max_age, methods: None })
}

/// A session whose password was proven at 1000 and its second factor, if at all, after that; and its standing.
fn any_session() -> impl Strategy<Value = (StoredSession, Standing)> {
    (prop::option::of(1000..1300i64), any::<bool>(), prop::option::of(1000..1300i64)).prop_map(
        |(second_factor, enrolled, password_again)| {
            let totp = CredentialSummary { id: CredentialId::random(), method: Method::Totp, aal: Aal::Aal2 };
            let password = |second| Proof::new(Method::Password, Aal::Aal1, at(second));
            let mut session = StoredSession::new(Subject::new("kim").unwrap(), password(1000), at(1000), DAY);
            if let Some(second) = second_factor {
                let proof = Proof::new(Method::Totp, Aal::Aal2, at(second)).with_credential(totp.id);
                session = session.renewed(proof, at(second), DAY, None);
            }
            if let Some(second) = password_again {
                session = session.renewed(password(second), at(second), DAY, None);
            }
            (session, Standing::new(if enrolled { vec![totp] } else { vec![] }))
        },
    )
}

fn session(password: i64, second_factor: i64) -> (StoredSession, Standing) {
    let totp = CredentialSummary { id: CredentialId::random(), method: Method::Totp, aal: Aal::Aal2 };
    let session = StoredSession::new(
        Subject::new("kim").unwrap(),
        Proof::new(Method::Password, Aal::Aal1, at(password)),
        at(password),
        DAY,
    )
    .renewed(
        Proof::new(Method::Totp, Aal::Aal2, at(second_factor)).with_credential(totp.id),
        at(second_factor),
        DAY,
        None,
    );
    (session, Standing::new(vec![totp]))
}

proptest! {
    #[test]
    fn a_stricter_requirement_never_passes_where_a_weaker_one_failed(
        (session, standing) in any_session(), weaker in any_requirement(), added in any_requirement(), now in 1000..2000i64,
    ) {
        let stricter = weaker.and(added);
        if weaker.check(session.as_ref(), &standing, at(now)).is_err() {
            prop_assert!(stricter.check(session.as_ref(), &standing, at(now)).is_err());
        }
    }

    #[test]
    fn combined_requirements_equal_the_strictest_of_both(one in any_requirement(), two in any_requirement()) {
        let both = one.and(two);
        prop_assert_eq!(both.level, one.level.max(two.level));
        prop_assert_eq!(both.max_age, [one.max_age, two.max_age].into_iter().flatten().min());
        prop_assert_eq!(both, two.and(one));
        prop_assert_eq!(both, both.and(one));
    }

    #[test]
    fn a_combination_passes_only_where_both_pass(
        (session, standing) in any_session(), one in any_requirement(), two in any_requirement(), now in 1000..2000i64,
    ) {
        if one.and(two).check(session.as_ref(), &standing, at(now)).is_ok() {
            prop_assert_eq!(one.check(session.as_ref(), &standing, at(now)), Ok(()));
            prop_assert_eq!(two.check(session.as_ref(), &standing, at(now)), Ok(()));
        }
    }

    #[test]
    fn max_age_ends_on_the_second(proven in 0..1_000_000i64, age in 0..100_000i64) {
        let (session, standing) = session(proven, proven);
        let required = Requirement::aal2().max_age(Duration::from_secs(u64::try_from(age).unwrap()));
        let check = |now| required.check(session.as_ref(), &standing, now);
        prop_assume!(at(proven + age + 1) < session.expires_at());
        prop_assert_eq!(check(at(proven + age)), Ok(()));
        let late = Timestamp::from_unix_milliseconds(at(proven + age).unix_milliseconds() + 1);
        let too_old = Err(Shortfall::TooOld { max_age: Duration::from_secs(u64::try_from(age).unwrap()), second_factor: true });
        prop_assert_eq!(check(late), too_old);
        prop_assert_eq!(check(at(proven + age + 1)), too_old);
    }
}

#[test]
fn levels_have_the_names_of_orys_required_aal() {
    for required in RequiredAal::ALL {
        assert_eq!(required.as_str().parse(), Ok(required));
        assert_eq!(serde_json::to_value(required).unwrap(), required.as_str());
    }
    assert!("strict".parse::<RequiredAal>().is_err());
}

#[test]
fn the_age_of_aal2_is_that_of_the_second_factor() {
    let (session, standing) = session(1000, 1100);
    let session = session.renewed(Proof::new(Method::Password, Aal::Aal1, at(5000)), at(5000), DAY, None);
    let required = |requirement: Requirement| {
        requirement.max_age(Duration::from_secs(300)).check(session.as_ref(), &standing, at(5001)).is_ok()
    };
    assert!(required(Requirement::aal1()));
    assert!(!required(Requirement::highest_available()));
    assert!(!required(Requirement::aal2()));
}

#[test]
fn shortfalls_say_what_to_do() {
    let (session, standing) = session(1000, 1100);
    let first_only = StoredSession::new(session.subject().clone(), session.proofs()[0].clone(), at(1000), DAY);
    let check = |requirement: Requirement, session, standing| {
        requirement.check(StoredSession::as_ref(session), standing, at(1200))
    };
    let none = Standing::new(vec![]);
    assert_eq!(check(Requirement::aal2(), &first_only, &standing), Err(Shortfall::LevelTooLow));
    assert_eq!(check(Requirement::highest_available(), &first_only, &standing), Err(Shortfall::LevelTooLow));
    assert_eq!(check(Requirement::aal2(), &first_only, &none), Err(Shortfall::NothingEnrolled));
    assert_eq!(check(Requirement::highest_available(), &first_only, &none), Ok(()));
    assert_eq!(check(Requirement::aal1(), &first_only, &standing), Ok(()));
    let ended = session.expires_at();
    assert_eq!(Requirement::aal1().check(session.as_ref(), &standing, ended), Err(Shortfall::NoSession));
}

#[test]
fn a_session_of_an_unknown_time_never_meets_an_age() {
    let proofs =
        vec![Proof::at_unknown_time(Method::Password, Aal::Aal1), Proof::at_unknown_time(Method::Totp, Aal::Aal2)];
    let session = Session::external(Subject::new("kim").unwrap(), proofs);
    let check =
        |requirement: Requirement, standing: &Standing| requirement.check(&session, standing, at(1_800_000_000));
    let forever = Duration::from_secs(u64::MAX);
    for enrolled in [Enrolled::Yes, Enrolled::No, Enrolled::Unknown] {
        let standing = Standing::external(enrolled);
        for requirement in [Requirement::aal1(), Requirement::aal2(), Requirement::highest_available()] {
            assert_eq!(check(requirement, &standing), Ok(()), "two factors, whenever");
            assert!(matches!(check(requirement.max_age(forever), &standing), Err(Shortfall::TooOld { .. })));
        }
        let lapsing = standing.second_factor_lifespan(Some(forever));
        assert!(check(Requirement::aal2(), &lapsing).is_err(), "it may have lapsed");
    }
}
