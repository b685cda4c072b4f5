use proptest::prelude::*;

use super::*;
use crate::{
    aal::{CredentialId, DeviceNote, Method, Proof},
    session::{StoredSession, Subject},
    standing::CredentialSummary,
};

const DAY: Duration = Duration::from_secs(86_400);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds)
}

/// Two that users have, one that none has, and two that are proven elsewhere.
fn known_methods() -> [Method; 6] {
    let push = Method::custom("push").unwrap();
    [Method::Totp, Method::WebAuthn, push, Method::LookupSecret, Method::Oidc, Method::Password]
}

fn any_methods() -> impl Strategy<Value = Option<Methods>> {
    let some = prop::collection::vec(prop::sample::select(known_methods().to_vec()), 0..4);
    prop::option::of(some.prop_map(|methods| Methods::of(&methods)))
}

fn any_requirement() -> impl Strategy<Value = Requirement> {
    let level = prop::sample::select(&[RequiredAal::Aal1, RequiredAal::HighestAvailable, RequiredAal::Aal2][..]);
    let age = prop::option::of((0..400u64).prop_map(Duration::from_secs));
    (level, age, any_methods(), any::<bool>()).prop_map(|(level, max_age, methods, trusted_devices)| Requirement {
        level,
        max_age,
        methods,
        trusted_devices,
    })
}

/// A session whose password was proven at 1000, and others, if at all, after that; and its standing. Each factor may have been removed.
fn any_session() -> impl Strategy<Value = (StoredSession, Standing)> {
    let proofs = prop::collection::vec((0..6usize, 1000..1300i64, any::<bool>()), 0..6);
    (proofs, any::<[bool; 4]>()).prop_map(|(proofs, enrolled)| {
        let credentials = known_methods().map(|method| {
            let aal = if method == Method::Password { Aal::Aal1 } else { Aal::Aal2 };
            CredentialSummary { id: CredentialId::random(), method, aal }
        });
        let password = Proof::new(Method::Password, Aal::Aal1, at(1000));
        let mut session = StoredSession::new(Subject::new("kim").unwrap(), password, at(1000), DAY);
        for (which, second, vouched) in proofs {
            let CredentialSummary { id, method, aal } = credentials[which];
            let proof = Proof::new(method, aal, at(second));
            let proof = match method {
                Method::Password => proof,
                Method::Oidc => proof.with_provider("idp"),
                Method::WebAuthn if vouched => proof.with_provider("idp"),
                _ => proof.with_credential(id),
            };
            session = session.renewed(proof, at(second), DAY, None);
        }
        let known = credentials[..4].iter().zip(enrolled).filter(|(_, enrolled)| *enrolled);
        (session, Standing::new(known.map(|(credential, _)| *credential).collect()))
    })
}

/// The same with a note of a device until some time, and what the subject has as if the device was trusted then, was trusted with other factors, or was
/// forgotten.
fn any_session_on_a_device() -> impl Strategy<Value = (StoredSession, Standing)> {
    (any_session(), 1200..2100i64, any::<bool>(), any::<bool>()).prop_map(
        |((session, standing), until, known, same)| {
            let device =
                CredentialSummary { id: CredentialId::random(), method: Method::TRUSTED_DEVICE, aal: Aal::Aal0 };
            let others = Standing::new(vec![]).bound_factors();
            let factors = if same { standing.bound_factors() } else { others };
            let note = DeviceNote { device: device.id, until: at(until), factors }.to_proof();
            let session = session.renewed(note, at(1300), DAY, None);
            let known = standing.credentials().iter().copied().chain(known.then_some(device));
            (session, Standing::new(known.collect()))
        },
    )
}

/// The rule in other words.
fn passes(requirement: &Requirement, session: &StoredSession, standing: &Standing, now: Timestamp) -> bool {
    let counting: Vec<_> = standing.counting_proofs(session.as_ref(), now).cloned().collect();
    let has_second = standing.credentials().iter().any(|one| one.aal == Aal::Aal2);
    let two = match requirement.level {
        RequiredAal::Aal1 => false,
        RequiredAal::HighestAvailable => has_second,
        RequiredAal::Aal2 => true,
    };
    let bare = requirement.methods.is_none() && requirement.max_age.is_none() && requirement.trusted_devices;
    if !counting.is_empty() && two && bare && standing.is_on_trusted_device(session.as_ref(), now) {
        return true;
    }
    if counting.is_empty() || two && standing.level(session.as_ref(), now) != Aal::Aal2 {
        return false;
    }
    if requirement.methods.is_none() && requirement.max_age.is_none() {
        return true;
    }
    counting.iter().any(|proof| {
        (!two || proof.aal() == Aal::Aal2)
            && requirement.methods.is_none_or(|methods| methods.iter().any(|method| method == proof.method()))
            && requirement.max_age.is_none_or(|age| now.since(proof.completed_at().unwrap()) <= age)
    })
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
    fn a_session_passes_as_the_rule_says(
        (session, standing) in prop_oneof![any_session(), any_session_on_a_device()],
        requirement in any_requirement(),
        now in 1300..2000i64,
    ) {
        let found = requirement.check(session.as_ref(), &standing, at(now));
        prop_assert_eq!(found.is_ok(), passes(&requirement, &session, &standing, at(now)), "{:?}", found);
        let nobody = requirement.is_impossible();
        prop_assert_eq!(found == Err(Shortfall::NoMethodPossible), nobody);
        if nobody {
            return Ok(());
        }
        // Who is sent to enrol a factor has none that would do.
        if let (Err(Shortfall::MethodNotEnrolled), Some(methods)) = (found, requirement.methods()) {
            prop_assert!(!standing.credentials().iter().any(|one| methods.contains(one.method) && one.aal == Aal::Aal2));
        }
    }

    /// An age, methods, or the wish for none: then a trusted device changes nothing. Nor does it ever change what is said of the session.
    #[test]
    fn a_trusted_device_stands_for_nothing_but_a_second_factor(
        (session, standing) in any_session_on_a_device(), requirement in any_requirement(), now in 1300..2000i64,
    ) {
        let without = Standing::new(standing.credentials().to_vec());
        let (found, alone) = (requirement.check(session.as_ref(), &standing, at(now)), requirement.check(session.as_ref(), &without, at(now)));
        let takes = requirement.level != RequiredAal::Aal1
            && requirement.max_age.is_none()
            && requirement.methods.is_none()
            && requirement.trusted_devices;
        if takes && standing.is_on_trusted_device(session.as_ref(), at(now)) {
            prop_assert!(found.is_ok() || found == Err(Shortfall::NoSession));
        } else {
            prop_assert_eq!(found, alone);
        }
        for strict in [requirement.without_trusted_devices(), requirement.max_age(Duration::from_secs(300)), requirement.phishing_resistant()] {
            prop_assert_eq!(strict.check(session.as_ref(), &standing, at(now)), strict.check(session.as_ref(), &without, at(now)));
            let both = strict.and(requirement);
            prop_assert_eq!(both.check(session.as_ref(), &standing, at(now)), both.check(session.as_ref(), &without, at(now)));
        }
        prop_assert_eq!(standing.level(session.as_ref(), at(now)), without.level(session.as_ref(), at(now)));
        prop_assert_eq!(standing.second_factor_at(session.as_ref(), at(now)), without.second_factor_at(session.as_ref(), at(now)));
        prop_assert_eq!(standing.authenticated_at(session.as_ref(), at(now)), without.authenticated_at(session.as_ref(), at(now)));
        prop_assert_eq!(standing.enrolled(), without.enrolled());
    }

    /// A refusal that more enrolled factors could change is not believed of a remembered standing, unless one that would do is there already.
    #[test]
    fn what_depends_on_enrolment_is_asked_anew(
        (session, standing) in any_session(), requirement in any_requirement(), more in 0..4usize, now in 1300..2000i64,
    ) {
        let found = requirement.check(session.as_ref(), &standing, at(now));
        let method = known_methods()[more];
        let added = CredentialSummary { id: CredentialId::random(), method, aal: Aal::Aal2 };
        let known = standing.credentials().iter().copied().chain([added]).collect();
        let now_known = requirement.check(session.as_ref(), &Standing::new(known), at(now));
        if !requirement.depends_on_enrolment(found.as_ref().err(), &standing) {
            prop_assert_eq!(found, now_known);
        }
    }

    #[test]
    fn no_method_more_is_allowed_by_a_combination(one in any_requirement(), two in any_requirement(), three in any_requirement()) {
        let both = one.and(two);
        for method in known_methods() {
            let allows = |requirement: Requirement| requirement.methods.is_none_or(|methods| methods.contains(method));
            prop_assert_eq!(allows(both), allows(one) && allows(two));
        }
        prop_assert_eq!(both.and(three), one.and(two.and(three)));
        prop_assert_eq!(both.and(both), both);
    }

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

#[test]
fn methods_say_what_to_do() {
    const KEY: Requirement = Requirement::aal2().phishing_resistant();
    let (session, standing) = session(1000, 1100);
    let totp = standing.credentials()[0];
    let key = CredentialSummary { id: CredentialId::random(), method: Method::WebAuthn, aal: Aal::Aal2 };
    let both = Standing::new(vec![totp, key]);
    let check = |requirement: Requirement, session: &StoredSession, standing: &Standing| {
        requirement.check(session.as_ref(), standing, at(1200))
    };
    let missing = Err(Shortfall::MethodMissing { second_factor: true });
    assert_eq!(check(KEY, &session, &standing), Err(Shortfall::MethodNotEnrolled));
    assert_eq!(check(KEY, &session, &both), missing);
    assert_eq!(check(KEY.any_of([Method::Totp]), &session, &both), Err(Shortfall::NoMethodPossible));
    assert_eq!(check(Requirement::aal2().any_of([Method::Totp]), &session, &both), Ok(()));

    // Too low a level says so, if one of the methods is there to raise it with.
    let first_only = StoredSession::new(session.subject().clone(), session.proofs()[0].clone(), at(1000), DAY);
    assert_eq!(check(KEY, &first_only, &both), Err(Shortfall::LevelTooLow));
    assert_eq!(check(KEY, &first_only, &standing), Err(Shortfall::MethodNotEnrolled));
    assert_eq!(check(KEY, &first_only, &Standing::new(vec![])), Err(Shortfall::NothingEnrolled));
    // What a provider proves need not be enrolled here.
    let vouched = Requirement::aal2().any_of([Method::Oidc]);
    assert_eq!(check(vouched, &session, &both), missing);
    assert_eq!(check(vouched, &first_only, &Standing::new(vec![])), Err(Shortfall::LevelTooLow));
    // Where the source knows no credentials, the step-up finds out.
    assert_eq!(check(KEY, &first_only, &Standing::external(Enrolled::Unknown)), Err(Shortfall::LevelTooLow));

    // A fresh code does not renew the key, and the key counts only while it is there.
    let proven = |second| Proof::new(Method::WebAuthn, Aal::Aal2, at(second)).with_credential(key.id);
    let with_key = session.renewed(proven(1050), at(1050), DAY, None);
    let recent = KEY.max_age(Duration::from_secs(120));
    let too_old = Err(Shortfall::TooOld { max_age: Duration::from_secs(120), second_factor: true });
    assert_eq!(check(KEY, &with_key, &both), Ok(()));
    assert_eq!(check(recent, &with_key, &both), too_old);
    assert_eq!(check(recent, &session.renewed(proven(1080), at(1100), DAY, None), &both), Ok(()));
    assert_eq!(check(KEY, &with_key, &standing), Err(Shortfall::MethodNotEnrolled));
}
