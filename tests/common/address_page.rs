//! The section of the settings page where users add addresses, as a browser sees it.

use crate::{
    postbox::Postbox,
    site::{Answer, Client, ORIGIN},
};

pub const PATH: &str = "/self-service/ui/addresses";

/// The whole page as it was read, and where it is.
pub struct Page {
    pub url: String,
    pub text: String,
}

impl Page {
    /// A page of a new flow.
    pub async fn open(user: &mut Client) -> Self {
        let url = user.get("/self-service/settings/browser").await.location().to_owned();
        Self::at(user, url).await
    }

    async fn at(user: &mut Client, url: String) -> Self {
        let answer = user.get(&url).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        Self { url, text: answer.text }
    }

    /// The part with the addresses.
    pub fn section(&self) -> &str {
        let (_, section) = self.text.split_once("<section aria-labelledby=\"addresses\">").expect("a section");
        section.split_once("</section>").unwrap().0
    }

    fn between<'a>(&'a self, before: &str) -> impl Iterator<Item = &'a str> {
        self.section().split(before).skip(1).map(|rest| rest.split_once('"').unwrap().0)
    }

    /// Where its forms go.
    pub fn action(&self) -> String {
        self.between("action=\"").next().expect("a form").to_owned()
    }

    pub fn csrf(&self) -> String {
        self.between("name=\"csrf_token\" value=\"").next().expect("a token").to_owned()
    }

    /// The ids by which addresses are removed.
    pub fn ids(&self) -> Vec<String> {
        self.between("name=\"remove\" value=\"").map(str::to_owned).collect()
    }

    /// Whether it asks for the code that was sent to this address, as it is shown.
    pub fn waits_for(&self, shown: &str) -> bool {
        self.section().contains(&format!("sent to <strong>{shown}</strong>"))
            && self.section().contains("name=\"user_address_code\"")
    }

    /// Whether one may type an address.
    pub fn takes_one(&self) -> bool {
        self.section().contains("name=\"user_address\"")
    }

    /// What it says, of the whole or of a field.
    pub fn says(&self, text: &str) -> bool {
        let said = self.text.split("class=\"message ").skip(1).map(|rest| rest.split_once("</p>").unwrap().0);
        said.into_iter().any(|said| said.contains(text))
    }

    /// Sends fields with the page's token.
    pub async fn send(&self, user: &mut Client, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.csrf();
        let fields: Vec<_> = fields.iter().copied().chain([("csrf_token", csrf.as_str())]).collect();
        user.post(&self.action(), &fields).await
    }

    /// The same, and the page afterwards, which is the same one.
    pub async fn does(&self, user: &mut Client, fields: &[(&str, &str)]) -> Self {
        let answer = self.send(user, fields).await;
        assert_eq!(answer.location(), self.url, "{answer:?}");
        Self::at(user, self.url.clone()).await
    }

    /// Adds an address up to its code.
    pub async fn asks(user: &mut Client, address: &str) -> Self {
        let page = Self::open(user).await.does(user, &[("user_address", address)]).await;
        assert!(page.waits_for(address), "{}", page.section());
        page
    }

    /// Types the code that was sent last.
    pub async fn confirms(&self, user: &mut Client, postbox: &Postbox) -> Self {
        self.does(user, &[("user_address_code", &postbox.code()), ("confirm", "true")]).await
    }

    /// Adds an address, with everything that it takes.
    pub async fn add(user: &mut Client, postbox: &Postbox, address: &str) -> Self {
        let page = Self::asks(user, address).await.confirms(user, postbox).await;
        assert!(page.says("Your change was saved.") && !page.ids().is_empty(), "{}", page.text);
        page
    }
}

/// The id of the flow in a page's address.
pub fn flow_of(page: &Page) -> String {
    assert!(page.url.starts_with(ORIGIN));
    page.url.rsplit_once("flow=").expect("a flow").1.to_owned()
}
