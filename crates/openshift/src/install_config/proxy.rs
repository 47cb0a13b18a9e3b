//! `proxy`: the proxies, and the addresses reached without a proxy. URLs may contain passwords.
//!
//! Rules: openshift/installer `pkg/types/validation/installconfig.go` and
//! `pkg/validate/validate.go`.

use std::net::IpAddr;

use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use super::document::{Document, FieldValue, Sensitive, Spanned};
use super::names::is_subdomain;
use crate::diagnostics::finding::{FindingCollector, shown};
use crate::diagnostics::rules::Rule;
use crate::install_config::resolved::{Networking, Proxy};

/// Returns the proxy after validation.
pub(super) fn proxy(
    document: &Document,
    networking: Option<&Networking>,
    report: &mut FindingCollector,
) -> Option<Proxy> {
    let given = document.proxy.get()?;
    let http = url(&given.http, &["http"], networking, report);
    let https = url(&given.https, &["http", "https"], networking, report);
    if !says_something(&given.http) && !says_something(&given.https) {
        report
            .breach(Rule::ProxyMissing, &given.spot, "names no proxy")
            .expected("`httpProxy`, `httpsProxy` or both");
    }
    let no_proxy = given.no_proxy.filled();
    if let Some(at) = no_proxy {
        check_no_proxy(at, report);
    }
    Some(Proxy { http, https, no_proxy: no_proxy.map(|at| at.value.clone()) })
}

/// Returns true if the field has a URL, or an unreadable value that already has a finding.
fn says_something(given: &FieldValue<Sensitive>) -> bool {
    let is_empty = |at: &Spanned<Sensitive>| at.value.expose_secret().is_empty();
    given.is_given() && !given.get().is_some_and(is_empty)
}

fn url(
    given: &FieldValue<Sensitive>,
    schemes: &[&str],
    networking: Option<&Networking>,
    report: &mut FindingCollector,
) -> Option<SecretString> {
    let at = given.get().filter(|at| !at.value.expose_secret().is_empty())?;
    let parsed = Url::parse(at.value.expose_secret()).ok();
    match &parsed {
        None => {
            report
                .breach(Rule::ProxyUrl, &at.spot, "is not a URL")
                .expected("a URL such as `http://proxy.example.com:3128`");
        }
        Some(url) if !schemes.contains(&url.scheme()) => {
            let expected: Vec<String> =
                schemes.iter().map(|scheme| format!("`{scheme}://`")).collect();
            report
                .breach(Rule::ProxyScheme, &at.spot, "has an unsupported scheme")
                .expected(expected.join(" or "));
        }
        Some(url) if is_inside(url, networking) => {
            report
                .breach(
                    Rule::ProxyInside,
                    &at.spot,
                    "has an address inside a network of the cluster",
                )
                .expected("an address outside the cluster, service and join networks");
        }
        Some(_) => (),
    }
    Some(at.value.clone())
}

fn is_inside(url: &Url, networking: Option<&Networking>) -> bool {
    let (Some(Host::Ipv4(address)), Some(networking)) = (url.host(), networking) else {
        return false;
    };
    let clusters = networking.cluster_networks.iter().map(|network| &network.cidr);
    let networks = clusters.chain(&networking.service_networks).chain(&networking.join_subnet);
    networks.into_iter().any(|network| network.contains(&address))
}

fn check_no_proxy(at: &Spanned<String>, report: &mut FindingCollector) {
    if at.value == "*" {
        return;
    }
    if at.value.contains(' ') {
        report
            .breach(Rule::NoProxy, &at.spot, "contains a space")
            .expected("names, networks and addresses with commas between them");
        return;
    }
    for element in at.value.split(',').filter(|element| !is_no_proxy(element)) {
        report
            .breach(Rule::NoProxy, &at.spot, format!("contains {}", shown(element)))
            .expected("domains, networks and addresses, without wildcards");
    }
}

fn is_no_proxy(element: &str) -> bool {
    let domain = element.strip_prefix('.').unwrap_or(element);
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    is_subdomain(&domain.to_lowercase())
        || element.parse::<IpNet>().is_ok()
        || element.parse::<IpAddr>().is_ok()
}
