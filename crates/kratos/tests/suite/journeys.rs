//! Users who are led to Kratos and come back.

use std::time::Duration;

use http::Method;
use serde_json::json;
use url::Url;

use crate::{
    application::{Address, Application},
    client::{Answer, BROWSER, Client, Kind, csrf_of},
    server::Server,
};

pub async fn all(server: &Server, address: Address) {
    let application = Application::start_at(address, server.source(), server.clock(Duration::ZERO));
    let journey = Journey { server, application };
    journey.a_browser_without_a_session().await;
    journey.a_browser_steps_up_and_returns().await;
    journey.a_native_client_steps_up().await;
    journey.who_has_no_second_factor().await;
    journey.a_proof_that_grew_old().await;
}

struct Journey<'a> {
    server: &'a Server,
    /// It remembers what it heard for a second, as by default.
    application: Application,
}

impl Journey<'_> {
    /// The URL of an endpoint of Kratos, and its query in order.
    fn at(&self, path: &str, query: &[(&str, &str)]) -> String {
        let mut url = Url::parse(&format!("{}{path}", self.server.url)).unwrap();
        for (key, value) in query {
            url.query_pairs_mut().append_pair(key, value);
        }
        url.into()
    }

    async fn navigate(&self, url: &str, client: &mut Client<'_>) -> Answer {
        let headers = vec![("accept", BROWSER), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        client.send(Method::GET, url, headers, None).await
    }

    async fn a_browser_without_a_session(&self) {
        let mut browser = Client::new(self.server, Kind::Browser);
        let page = format!("{}/aal2?to=bob&amount=5", self.application.url);
        let answer = self.navigate(&page, &mut browser).await;
        assert_eq!(answer.status, 303);
        assert_eq!(answer.location(), self.at("/self-service/login/browser", &[("return_to", &page)]));
        // And Kratos takes it.
        let led = self.navigate(answer.location(), &mut browser).await;
        assert!(matches!(led.status, 302 | 303), "{}", led.text());
        assert!(led.location().contains("flow="), "{}", led.location());
        let script = self.application.get("/aal1", &[]).await;
        assert_eq!(script.json()["error"]["id"], "session_inactive");
    }

    async fn a_browser_steps_up_and_returns(&self) {
        let server = self.server;
        let mut user = server.new_user().await;
        Client::signed_in(server, Kind::Native, &user).await.enrol(&mut user).await;
        let mut browser = Client::signed_in(server, Kind::Browser, &user).await;
        let page = format!("{}/aal2?to=bob&amount=5", self.application.url);
        let refused = self.navigate(&page, &mut browser).await;
        assert_eq!(refused.status, 303);
        let step_up = self.at("/self-service/login/browser", &[("aal", "aal2"), ("return_to", &page)]);
        assert_eq!(refused.location(), step_up);
        let script = self.application.get_as("/aal2", &browser).await;
        assert_eq!((script.status, &script.json()["error"]["id"]), (403, &json!("session_aal2_required")));
        let to = script.json()["redirect_browser_to"].as_str().unwrap().to_owned();
        assert!(to.starts_with(&self.at("/self-service/login/browser", &[("aal", "aal2")])), "{to}");

        // Kratos shows its form, here as its pages read it, and the browser sends it.
        let shown = self.navigate(&step_up, &mut browser).await;
        assert!(matches!(shown.status, 302 | 303), "{}", shown.text());
        let id = Url::parse(&self.server.url).unwrap().join(shown.location()).unwrap();
        let id = id.query_pairs().find(|(key, _)| key == "flow").unwrap().1.into_owned();
        let flow = browser.call(Method::GET, &self.at("/self-service/login/flows", &[("id", &id)]), None).await.json();
        let code = server.code(&user);
        let csrf = csrf_of(&flow);
        let fields = [("method", "totp"), ("totp_code", &code), ("csrf_token", csrf.as_str().unwrap())];
        let mut form = Url::parse("form:").unwrap();
        form.query_pairs_mut().extend_pairs(fields);
        let body = Some(("application/x-www-form-urlencoded", form.query().unwrap().to_owned()));
        let headers = vec![
            ("accept", BROWSER),
            ("origin", server.url.as_str()),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
            ("sec-fetch-site", "same-origin"),
        ];
        let done = browser.send(Method::POST, flow["ui"]["action"].as_str().unwrap(), headers, body).await;
        assert_eq!((done.status, done.location()), (303, page.as_str()), "{}", done.text());
        assert_eq!(self.navigate(&page, &mut browser).await.status, 200, "back on the page, at once");
    }

    /// The endpoint is in the answer, and the next request passes at once though the last one was refused a moment ago.
    async fn a_native_client_steps_up(&self) {
        let server = self.server;
        let mut user = server.new_user().await;
        Client::signed_in(server, Kind::Native, &user).await.enrol(&mut user).await;
        let mut client = Client::signed_in(server, Kind::Native, &user).await;
        for _ in 0..3 {
            self.application.get_as("/aal1", &client).await;
        }
        let refused = self.application.get_as("/aal2", &client).await;
        assert_eq!((refused.status, &refused.json()["error"]["id"]), (403, &json!("session_aal2_required")));
        let api = refused.json()["error"]["details"]["api"].as_str().unwrap().to_owned();
        assert_eq!(api, self.at("/self-service/login/api", &[("aal", "aal2")]));
        let code = server.code(&user);
        let done = client.flow_at(&api, |_| json!({ "method": "totp", "totp_code": code })).await;
        assert_eq!(done.status, 200, "{}", done.text());
        client.adopt(&done);
        for path in crate::application::PATHS {
            assert_eq!(self.application.get_as(path, &client).await.status, 200, "{path}");
        }
        client.log_out().await;
        let nobody = Application::start(server.source().cache(Duration::ZERO), server.clock(Duration::ZERO)).await;
        let refused = nobody.get_as("/aal2", &client).await;
        let api = self.at("/self-service/login/api", &[]);
        assert_eq!((refused.status, &refused.json()["error"]["details"]["api"]), (401, &json!(api)));
    }

    async fn who_has_no_second_factor(&self) {
        let mut user = self.server.new_user().await;
        let mut client = Client::signed_in(self.server, Kind::Native, &user).await;
        let refused = self.application.get_as("/aal2", &client).await;
        assert_eq!((refused.status, &refused.json()["error"]["id"]), (403, &json!("session_aal2_required")));
        let details = refused.json()["error"]["details"].clone();
        if self.server.strict {
            assert_eq!(details["second_factor"], "missing");
            assert_eq!(details["api"], self.at("/self-service/settings/api", &[]));
        } else {
            assert_eq!(details["api"], self.at("/self-service/login/api", &[("aal", "aal2")]), "nobody can tell");
        }
        client.enrol(&mut user).await;
        assert_eq!(self.application.get_as("/aal2", &client).await.status, 200);
    }

    async fn a_proof_that_grew_old(&self) {
        let server = self.server;
        let mut user = server.new_user().await;
        let mut client = Client::signed_in(server, Kind::Native, &user).await;
        client.enrol(&mut user).await;
        let later = Application::start(server.source(), server.clock(Duration::from_secs(600))).await;
        let refused = later.get_as("/recent", &client).await;
        assert_eq!((refused.status, &refused.json()["error"]["id"]), (403, &json!("session_refresh_required")));
        let api = refused.json()["error"]["details"]["api"].as_str().unwrap().to_owned();
        assert_eq!(api, self.at("/self-service/login/api", &[("aal", "aal2"), ("refresh", "true")]));
        // Only where the time can be moved on.
        let Some(clock) = &server.clock else { return };
        clock.advance(Duration::from_secs(600));
        assert_eq!(self.application.get_as("/recent", &client).await.status, 403);
        client.step_up(&user, "aal=aal2&refresh=true").await;
        assert_eq!(self.application.get_as("/recent", &client).await.status, 200);
    }
}
