//! `proxies:` of the config: who may say for whom a request is.

use tidegate_transports::{ForwardedBy, IpNet, Proxies};

use super::fields::{Field, Reader};
use super::report::Problem;
use super::shape::{self, defaults};
use super::values::{self, Complaint};

/// Without it nobody is believed.
pub(super) fn read(reader: Reader, field: Option<Field>) -> Option<Proxies> {
    let Some(field) = field else { return Some(Proxies::default()) };
    let fields = reader.open::<shape::Proxies>(field.node(), field.name_span(), "`proxies`")?;
    let from = fields.require("from", "from: [10.0.0.0/8]");
    let from = from.and_then(|field| field.list(true, network));
    let header = fields.optional("header", |field| field.parse(header));
    let proxy_protocol = fields.value("proxy_protocol", defaults::proxy_protocol(), values::boolean);
    fields.finish();
    let proxies = Proxies { from: from?, header: header?, proxy_protocol: proxy_protocol? };
    if proxies.header.is_none() && !proxies.proxy_protocol {
        let problem = Problem::new(field.name_span(), "how the proxies name their clients is not said", "here");
        reader
            .problems
            .add(problem.help("add `header: forwarded`, `header: x-forwarded-for` or `proxy_protocol: true`"));
        return None;
    }
    Some(proxies)
}

fn network(text: &str) -> Result<IpNet, Complaint> {
    let address = || text.parse::<std::net::IpAddr>().map(IpNet::from);
    let network = text
        .parse::<IpNet>()
        .or_else(|_| address())
        .map_err(|_| Complaint::new("no network").help("write a network such as `10.0.0.0/8`, or an address"))?;
    match network.prefix_len() {
        0 => {
            Err(Complaint::new("this is everybody")
                .help("name the networks of your proxies: whoever is there is believed"))
        }
        _ => Ok(network.trunc()),
    }
}

fn header(text: &str) -> Result<ForwardedBy, Complaint> {
    match text.to_ascii_lowercase().as_str() {
        "forwarded" => Ok(ForwardedBy::Forwarded),
        "x-forwarded-for" => Ok(ForwardedBy::XForwardedFor),
        _ => Err(Complaint::new("no such header").help("write `forwarded` (RFC 7239) or `x-forwarded-for`")),
    }
}
