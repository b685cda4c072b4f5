//! What flows of every purpose show.

use serde_json::{Map, Value, json};
use url::Url;

use super::record::Flow;
use crate::{engine::Engine, wire::ui::Node};

impl Flow {
    /// The members that flows of every purpose show.
    pub(crate) fn view(&self, engine: &Engine, action: &Url, nodes: &[Node]) -> Map<String, Value> {
        let ui = if self.messages.is_empty() {
            json!({ "action": action, "method": "POST", "nodes": nodes })
        } else {
            json!({ "action": action, "method": "POST", "nodes": nodes, "messages": self.messages })
        };
        let mut view = Map::new();
        let optional = [
            ("return_to", self.return_to.as_ref().map(|url| json!(url))),
            ("active", self.active.map(|method| json!(engine.shown(method)))),
        ];
        let always = [
            ("id", json!(self.id())),
            ("organization_id", Value::Null),
            ("type", json!(self.flow_type)),
            ("expires_at", json!(self.expires_at)),
            ("issued_at", json!(self.issued_at)),
            ("request_url", json!(self.request_url)),
            ("ui", ui),
        ];
        for (name, value) in
            always.into_iter().chain(optional.into_iter().filter_map(|(name, value)| Some((name, value?))))
        {
            view.insert(name.to_owned(), value);
        }
        view
    }
}
