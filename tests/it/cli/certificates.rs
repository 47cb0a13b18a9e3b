//! Certificate authorities and proxies between the program and AWS.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use super::{Desk, Ran};
use crate::support::api_server::{CA, OTHER_CA};
use crate::support::tls_proxy::{Proxy, serve_tls};

/// Starts a TLS server in front of the test cloud of a desk.
async fn tls_desk() -> (Desk, SocketAddr) {
    let desk = Desk::new();
    fs::write(desk.path("ca.pem"), format!("our authority\n{CA}")).unwrap();
    fs::write(desk.path("other.pem"), OTHER_CA).unwrap();
    let target = desk.cloud.endpoint().strip_prefix("http://").unwrap().to_owned();
    let server = serve_tls(target).await;
    (desk, server)
}

/// Returns a plan against the TLS server with these variables.
fn plan(desk: &Desk, server: SocketAddr, variables: &[(&str, &str)]) -> Command {
    let mut command = desk.command(&["plan"]);
    command.env("AWS_ENDPOINT_URL", format!("https://{server}"));
    command.envs(variables.iter().copied());
    command
}

/// Runs a command beside the servers of the test.
async fn ran(mut command: Command) -> Ran {
    let output = tokio::task::spawn_blocking(move || command.output().expect("the program starts"));
    Ran::from(output.await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_of_the_company_is_trusted_by_the_variable_or_by_the_profile() {
    let (desk, server) = tls_desk().await;
    let bundle = desk.path("ca.pem");
    let bundle = bundle.to_str().unwrap();
    let said = ran(plan(&desk, server, &[("AWS_CA_BUNDLE", bundle)])).await;
    assert_eq!(said.code, Some(0), "{}", said.err);

    let config = desk.path("aws-config");
    fs::write(&config, format!("[profile work]\nregion = us-west-2\nca_bundle = {bundle}\n"))
        .unwrap();
    let config = config.to_str().unwrap();
    let profile = [("AWS_CONFIG_FILE", config), ("AWS_PROFILE", "work")];
    let said = ran(plan(&desk, server, &profile)).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    // The variable has precedence.
    let other = desk.path("other.pem");
    let both = [&profile[..], &[("AWS_CA_BUNDLE", other.to_str().unwrap())]].concat();
    let said = ran(plan(&desk, server, &both)).await;
    assert_eq!(said.code, Some(1), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_not_trusted_names_the_server_and_the_variable() {
    let (desk, server) = tls_desk().await;
    let other = desk.path("other.pem");
    for variables in [&[][..], &[("AWS_CA_BUNDLE", other.to_str().unwrap())]] {
        let said = ran(plan(&desk, server, variables)).await;
        assert_eq!(said.code, Some(1), "{}", said.err);
        for part in [
            "error[endpoint-unreachable]",
            &format!("could not connect to {server}: "),
            "invalid peer certificate",
            "set AWS_CA_BUNDLE, or `ca_bundle` of the AWS profile",
        ] {
            assert!(said.err.contains(part), "{part}\n{}", said.err);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_that_cannot_be_used_is_named_with_its_line_and_nothing_is_sent() {
    let (desk, server) = tls_desk().await;
    let key = "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----\n";
    fs::write(desk.path("key.pem"), format!("{CA}{key}")).unwrap();
    let config = desk.path("aws-config");
    fs::write(&config, "[default]\nca_bundle = missing.pem\n").unwrap();
    let (key, line) = (desk.path("key.pem"), CA.lines().count() + 1);
    desk.cloud.clear_requests();
    for (variable, value, parts) in [
        (
            "AWS_CA_BUNDLE",
            key.to_str().unwrap(),
            ["key.pem of AWS_CA_BUNDLE".to_owned(), format!("in line {line}")],
        ),
        (
            "AWS_CONFIG_FILE",
            config.to_str().unwrap(),
            ["`ca_bundle` in line 2 of ".to_owned(), "cannot be read: No such file".to_owned()],
        ),
    ] {
        let said = ran(plan(&desk, server, &[(variable, value)])).await;
        assert_eq!(said.code, Some(1), "{}", said.err);
        assert!(said.err.contains("error[ca-bundle-unusable]"), "{}", said.err);
        for part in parts {
            assert!(said.err.contains(&part), "{part}\n{}", said.err);
        }
        assert!(!said.err.contains("Y2FuYXJ5"), "{}", said.err);
    }
    assert_eq!(desk.cloud.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_gets_its_password_and_no_message_has_it() {
    let (desk, server) = tls_desk().await;
    let proxy = Proxy::start("tester:canary").await;
    let bundle = desk.path("ca.pem");
    let bundle = ("AWS_CA_BUNDLE", bundle.to_str().unwrap());
    let right = format!("http://tester:canary@{}", proxy.address);
    let said = ran(plan(&desk, server, &[bundle, ("HTTPS_PROXY", &right)])).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    let asked = proxy.asked();
    assert!(!asked.is_empty() && asked.iter().all(|one| *one == server.to_string()), "{asked:?}");

    let direct = [bundle, ("HTTPS_PROXY", &right), ("NO_PROXY", "localhost,127.0.0.1")];
    let said = ran(plan(&desk, server, &direct)).await;
    assert_eq!((said.code, proxy.asked().len()), (Some(0), asked.len()), "{}", said.err);

    let wrong = format!("http://tester:wrong-canary@{}", proxy.address);
    let said = ran(plan(&desk, server, &[bundle, ("HTTPS_PROXY", &wrong)])).await;
    assert_eq!(said.code, Some(1), "{}", said.err);
    let named = format!("through the proxy {} of HTTPS_PROXY", proxy.address);
    assert!(said.err.contains(&named), "{}", said.err);
    assert!(!(said.err + &said.out).contains("canary"), "the password is printed");
}
