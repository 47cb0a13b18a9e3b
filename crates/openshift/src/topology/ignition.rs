//! The Ignition configs that groundplan writes, which point a machine at its real config.
//!
//! The output may contain the password of a proxy, so callers keep it as a secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use crate::install_config::{InstallConfig, Proxy};

const VERSION: &str = "3.2.0";
/// First line of a certificate in PEM.
pub(super) const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
/// Last line of a certificate in PEM.
pub(super) const END: &str = "-----END CERTIFICATE-----";

/// Returns an empty config.
pub(crate) fn empty() -> String {
    json!({"ignition": {"version": VERSION}}).to_string()
}

/// Returns a config that sends a node to the machine config server. The certificate authority of
/// that server is omitted, because only openshift-install has it.
pub(crate) fn pointer(domain: &str, role: &str) -> String {
    let source = format!("https://api-int.{domain}:22623/config/{role}");
    json!({"ignition": {"config": {"merge": [{"source": source}]}, "version": VERSION}}).to_string()
}

/// Returns a config that sends the bootstrap to its config at `url`, with the proxy and the trusted
/// certificates of the install-config.
pub(crate) fn stub(config: &InstallConfig, url: &str) -> String {
    let mut ignition = Map::new();
    ignition.insert("config".into(), json!({"replace": {"source": url}}));
    if let Some(proxy) = &config.proxy {
        ignition.insert("proxy".into(), proxied(proxy));
    }
    let trusted = config.additional_trust_bundle.as_deref().map(authorities).unwrap_or_default();
    if !trusted.is_empty() {
        ignition.insert("security".into(), json!({"tls": {"certificateAuthorities": trusted}}));
    }
    ignition.insert("version".into(), VERSION.into());
    json!({ "ignition": ignition }).to_string()
}

fn proxied(proxy: &Proxy) -> Value {
    let mut fields = Map::new();
    let mut insert = |name: &str, url: &Option<SecretString>| {
        if let Some(url) = url {
            fields.insert(name.into(), url.expose_secret().into());
        }
    };
    insert("httpProxy", &proxy.http);
    insert("httpsProxy", &proxy.https);
    let exempt = proxy.no_proxy.as_deref().unwrap_or_default();
    let exempt: Vec<&str> =
        exempt.split(',').map(str::trim).filter(|one| !one.is_empty()).collect();
    if !exempt.is_empty() {
        fields.insert("noProxy".into(), exempt.into());
    }
    fields.into()
}

/// Returns a data URL for each certificate of a bundle.
fn authorities(bundle: &str) -> Vec<Value> {
    let url = |pem: String| json!({"source": format!("data:text/plain;charset=utf-8;base64,{}", STANDARD.encode(pem))});
    certificates(bundle).map(url).collect()
}

fn certificates(bundle: &str) -> impl Iterator<Item = String> {
    bundle.split(BEGIN).skip(1).filter_map(|rest| {
        let (body, _) = rest.split_once(END)?;
        let lines: String = body
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .flat_map(|line| [line, "\n"])
            .collect();
        Some(format!("{BEGIN}\n{lines}{END}\n"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::example_cluster::ExampleCluster;

    #[test]
    fn a_pointer_has_exactly_the_keys_of_the_reference() {
        assert_eq!(
            pointer("demo.example.com", "master"),
            r#"{"ignition":{"config":{"merge":[{"source":"https://api-int.demo.example.com:22623/config/master"}]},"version":"3.2.0"}}"#
        );
        assert_eq!(empty(), r#"{"ignition":{"version":"3.2.0"}}"#);
    }

    #[test]
    fn a_stub_says_nothing_that_the_config_does_not() {
        assert_eq!(
            stub(&ExampleCluster::standard().config, "https://x"),
            r#"{"ignition":{"config":{"replace":{"source":"https://x"}},"version":"3.2.0"}}"#
        );
    }

    #[test]
    fn a_stub_trusts_each_certificate_and_passes_through_the_proxy() {
        let mut config = ExampleCluster::standard().config;
        config.additional_trust_bundle =
            Some(format!("# mine\n{BEGIN}\r\nQQ==\r\n{END}\r\n\n{BEGIN}\nQg==\n{END}\n"));
        config.proxy = Some(Proxy {
            http: Some("http://user:password@proxy:3128".into()),
            https: None,
            no_proxy: Some(".internal, 10.0.0.0/8,".into()),
        });
        let stub: Value = serde_json::from_str(&stub(&config, "https://x")).unwrap();
        let ignition = &stub["ignition"];
        assert_eq!(
            ignition["proxy"],
            json!({
                "httpProxy": "http://user:password@proxy:3128",
                "noProxy": [".internal", "10.0.0.0/8"],
            })
        );
        let trusted = ignition["security"]["tls"]["certificateAuthorities"].as_array().unwrap();
        assert_eq!(trusted.len(), 2);
        let source = trusted[0]["source"].as_str().unwrap();
        let data = source.strip_prefix("data:text/plain;charset=utf-8;base64,").unwrap();
        let pem = String::from_utf8(STANDARD.decode(data).unwrap()).unwrap();
        assert_eq!(pem, format!("{BEGIN}\nQQ==\n{END}\n"));
    }
}
