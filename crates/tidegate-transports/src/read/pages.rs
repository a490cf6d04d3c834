//! Where a page of rows begins: a token that is opaque to clients, and the links from page to page.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tidegate_core::{Address, Cursor, ErrorCode, Key, Kind, Offset, Problem, Target};
use tidegate_hub::{Channel, Plan};

use crate::options::Options;

/// Where a page of rows begins.
pub(super) struct Page {
    /// Where the scan began; the cursor of all its pages.
    pub(super) at: Offset,
    /// The row before the page.
    pub(super) after: (Address, Key),
}

impl Page {
    pub(super) fn parse(token: &str, channel: &Channel) -> Result<Page, Problem> {
        let broken = || {
            Problem::new(ErrorCode::Invalid, "`page` is no page of this address")
                .hint("follow the Link header as it is")
        };
        let decoded = BASE64.decode(token).map_err(|_| broken())?;
        let (epoch, at, address, key): (u64, Offset, String, String) =
            serde_json::from_slice(&decoded).map_err(|_| broken())?;
        if epoch != channel.log.epoch().to_bits() || at > channel.log.head() {
            return Err(broken());
        }
        let address = Address::from_canonical(&address);
        Ok(Page { at, after: (address, key.into_boxed_str()) })
    }

    pub(super) fn link(&self, channel: &Channel, target: &Target, options: &Options) -> String {
        let token = serde_json::json!([channel.log.epoch().to_bits(), self.at, self.after.0.as_str(), &*self.after.1]);
        let kept = options.given.iter().filter(|(name, _)| name != "page");
        let mut query: Vec<(String, String)> = kept.cloned().collect();
        query.push(("page".to_owned(), BASE64.encode(token.to_string())));
        link(target, &query)
    }
}

/// The link to the page of frames after this one: the same options, from the cursor on.
pub(crate) fn next(plan: &Plan, options: &Options, cursor: &Cursor) -> String {
    let begins = |name: &str| matches!(name, "after" | "from" | "wait" | "snapshot");
    let kept = options.given.iter().filter(|(name, _)| !begins(name));
    let mut query: Vec<(String, String)> = kept.cloned().collect();
    query.push(("after".to_owned(), cursor.to_string()));
    if plan.channel.keyed() && plan.view.kind == Kind::History {
        query.push(("snapshot".to_owned(), "false".to_owned()));
    }
    link(&plan.view.scope.target, &query)
}

/// Names the address in its one encoding, whatever the client wrote.
fn link(target: &Target, query: &[(String, String)]) -> String {
    format!("</v1/{}?{}>; rel=\"next\"", target.as_str(), encode(query))
}

fn encode(pairs: &[(String, String)]) -> String {
    let pair = |(name, value): &(String, String)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}
