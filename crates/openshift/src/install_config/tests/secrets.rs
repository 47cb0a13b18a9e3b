//! Canaries: findings, rendering and debug output contain no part of a secret.

use super::*;
use crate::diagnostics::Severity;

/// Base64 of `canary-user:canary-token`, as in the credentials of a registry.
const CANARY: &str = "Y2FuYXJ5LXVzZXI6Y2FuYXJ5LXRva2Vu";
const REGISTRY: &str = "canary.registry.example";

fn pull_secret() -> String {
    format!(r#"{{"auths":{{"{REGISTRY}":{{"auth":"{CANARY}","email":"canary@example.com"}}}}}}"#)
}

/// Asserts that no output about a text contains any part of the canaries.
#[track_caller]
fn silent(text: &str) -> ParseOutcome {
    let outcome = read(text);
    let said = format!(
        "{}{}{outcome:?}{}",
        render(&outcome.findings, "c.yaml", text, false),
        render(&outcome.findings, "c.yaml", text, true),
        lines_for_programs(&outcome.findings, "c.yaml"),
    );
    for part in [CANARY, &CANARY[..10], REGISTRY, "canary@", "email", "ECanary"] {
        assert!(!said.contains(part), "{part} in {said}\nof {text}");
    }
    outcome
}

fn with_pull_secret(written: &str) -> String {
    let old = TWO_POOLS.lines().last().unwrap();
    with(&[(old, &format!("pullSecret: {written}"))])
}

fn with_ssh_key(written: &str) -> String {
    let old = TWO_POOLS.lines().find(|line| line.starts_with("sshKey")).unwrap();
    with(&[(old, &format!("sshKey: {written}"))])
}

#[test]
fn a_config_without_faults_prints_no_secret() {
    let text = with_pull_secret(&format!("'{}'", pull_secret()));
    let outcome = silent(&text);
    assert!(outcome.config.is_some());
    let key = TWO_POOLS.lines().find(|line| line.starts_with("sshKey")).unwrap();
    assert!(!format!("{outcome:?}").contains(&key[20..60]));
}

#[test]
fn a_wrong_pull_secret_is_pointed_at_and_not_shown() {
    let secret = pull_secret();
    for (written, expected) in [
        (format!("'{}'", &secret[..secret.len() - 1]), "pullSecret: is not JSON"),
        (format!("'{}'", secret.replace("auths", "auth")), "pullSecret: has no `auths`"),
        ("'{\"auths\":{}}'".into(), "pullSecret: has no registries"),
        (
            format!("'{}'", secret.replace("\"auth\":", "\"canary\":")),
            "pullSecret: has no `auth` for entry 1 of its 1 registries",
        ),
        (secret.clone(), "pullSecret: found a mapping -> a string"),
        (format!("['{secret}']"), "pullSecret: found a list -> a string"),
        (format!("|\n  {CANARY}\n  {REGISTRY}"), "pullSecret: is not JSON"),
        (format!("\"{}\"", "canary@"), "pullSecret: is not JSON"),
        (String::new(), "pullSecret: is missing"),
    ] {
        let text = with_pull_secret(&written);
        one_error(&text, expected);
        silent(&text);
    }
}

#[test]
fn a_missing_pull_secret_has_its_source() {
    let last = TWO_POOLS.lines().last().unwrap();
    for text in [with_pull_secret(""), with(&[(last, "")])] {
        let findings = read(&text).findings;
        let missing = findings.iter().find(|finding| finding.message == "is missing");
        let hint = missing.and_then(|finding| finding.hint.as_deref()).unwrap_or_default();
        assert!(hint.contains("console.redhat.com"), "{findings:?}");
    }
}

#[test]
fn the_line_of_a_pull_secret_is_shown_without_it() {
    let text = with_pull_secret(&format!("'{}'", &pull_secret()[1..]));
    let shown = render(&read(&text).findings, "c.yaml", &text, false);
    assert!(shown.contains("| pullSecret: <not shown>"), "{shown}");
    assert!(shown.contains("|             ^^^^^^^^^^^ expected JSON"), "{shown}");
}

#[test]
fn a_pull_secret_stays_unseen_where_the_file_cannot_be_read() {
    let secret = pull_secret();
    for written in [
        format!("'{secret}"),
        format!("\"{secret}\""),
        format!("'{secret}' x"),
        format!("'{}", secret.replace(',', ",\n")),
        format!("'{}\n'", secret.replace('{', "{\n")),
        format!("|\n{secret}"),
        format!("|\n  {}\n x", secret.replace(',', ",\n  ")),
        format!("\n\t{secret}"),
        format!("*{CANARY}"),
        format!("&{CANARY} '{secret}'\npullSecret: x"),
        format!("!{CANARY} '{secret}'"),
        format!("@{CANARY}"),
        format!("%{CANARY}"),
        format!("'{secret}'\n  {CANARY}: {REGISTRY}"),
        format!("{REGISTRY}: {CANARY}"),
    ] {
        silent(&with_pull_secret(&written));
        let last = with_pull_secret(&written) + "fips: [\n";
        silent(&last);
        let early = format!("pullSecret: {written}\n{TWO_POOLS}");
        silent(&early);
    }
}

#[test]
fn a_pull_secret_under_another_name_stays_unseen() {
    let secret = pull_secret();
    for key in
        ["pullSecrets", "pullsecret", "pull_secret", "pull-secret", "Pullsecret ", "\"pullSecret\""]
    {
        silent(&with_top(&format!("{key}: '{secret}'")));
        silent(&with_top(&format!("{key}: {secret}")));
        silent(&with_top(&format!("{key}:\n  auths:\n    {REGISTRY}:\n      auth: {CANARY}")));
    }
    silent(&with_top(&secret));
    silent(&secret);
    silent(&format!("auths:\n  {REGISTRY}:\n    auth: {CANARY}\n"));
}

#[test]
fn a_pull_secret_pasted_into_any_field_stays_unseen() {
    let secret = pull_secret();
    let lines: Vec<&str> = TWO_POOLS.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let Some((key, _)) = line.split_once(": ") else { continue };
        for pasted in [format!("'{secret}'"), secret.clone(), format!("'{secret}")] {
            let mut changed: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            changed[index] = format!("{key}: {pasted}");
            silent(&changed.join("\n"));
        }
    }
}

#[test]
fn a_pull_secret_at_any_depth_of_damage_stays_unseen() {
    let text = with_pull_secret(&format!("'{}'", pull_secret()));
    for end in (0..text.len()).step_by(5) {
        silent(&text[..end]);
        silent(&text[end..]);
    }
}

#[test]
fn a_private_key_is_refused_and_not_shown() {
    let key =
        "|\n  -----BEGIN OPENSSH PRIVATE KEY-----\n  ECanary\n  -----END OPENSSH PRIVATE KEY-----";
    let text = with_ssh_key(key);
    one_error(&text, "sshKey: is a private key");
    silent(&text);
}

#[test]
fn a_key_is_one_openssh_key() {
    for wrong in [
        "nonsense",
        "ssh-rsa",
        "ssh-rsa ECanary",
        "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIECanary",
        "[a]",
    ] {
        let text = with_ssh_key(wrong);
        assert_eq!(findings(&text, Severity::Error).len(), 1);
        silent(&text);
    }
    let line = TWO_POOLS.lines().find(|line| line.starts_with("sshKey: ")).unwrap();
    let key = line.trim_start_matches("sshKey: ");
    fine(&with_ssh_key(&format!("'no-pty,command=\"x\" {key}'")));
    fine(&with_ssh_key(&format!("|\n  # mine\n  {key}")));
    fine(&with(&[(&format!("{line}\n"), "")]));
}

#[test]
fn fips_knows_fewer_types_of_keys() {
    one_error(
        &with(&[("fips: false", "fips: true")]),
        "sshKey: is a key of type `ssh-ed25519`, which `fips: true` does not allow",
    );
}

#[test]
fn a_trust_bundle_is_certificates_and_text_before_them() {
    let block = "-----BEGIN CERTIFICATE-----\n  MIIB\n  -----END CERTIFICATE-----\n";
    let bundle = |body: &str| with_top(&format!("additionalTrustBundle: |\n  {body}"));
    fine(&bundle(&format!("{block}  {block}")));
    fine(&bundle(&format!("subject=CN = ca\n  {block}\n  # second\n  {block}\n\n")));
    one_error(
        &bundle(&format!("{block}  ECanary")),
        "additionalTrustBundle: has text after its last certificate, number 1",
    );
    one_error(
        &bundle(&block.replace("MIIB", "ECanary")),
        "additionalTrustBundle: has a block 1 that cannot be decoded",
    );
    silent(&bundle("ECanary"));
    one_error(
        &with_top("additionalTrustBundlePolicy: always"),
        "additionalTrustBundlePolicy: found `always` -> `Proxyonly` or `Always`",
    );
}

#[test]
fn the_password_of_a_proxy_is_not_shown() {
    for proxy in
        ["https://canary@:ECanary@proxy.example.com", "ECanary", "http://u:ECanary@172.30.0.1"]
    {
        let text = with_top(&format!("proxy:\n  httpProxy: '{proxy}'"));
        assert_eq!(findings(&text, Severity::Error).len(), 1);
        silent(&text);
    }
    let text = with(&[(
        "https://vpce-0123456789abcdef0.ec2.us-west-2.vpce.amazonaws.com",
        "https://u:ECanary@ec2.example.com",
    )]);
    one_error(&text, "platform.aws.serviceEndpoints[0].url: has more than a host and a port");
    silent(&text);
}

#[test]
fn a_credential_in_a_field_that_takes_any_text_is_refused() {
    let text = with(&[("adminContact: jdoe", &format!("adminContact: '{}'", pull_secret()))]);
    one_error(&text, "platform.aws.userTags[adminContact]: is a credential in the wrong place");
    silent(&text);
}

/// YAML allows quotes around any field name.
#[test]
fn a_quoted_field_that_is_no_credential_is_shown() {
    use crate::diagnostics::finding::may_be_secret;
    for line in ["      \"team\": \"a*b\"", "\"Name\": x", "\"kubernetes.io/role\": \"y\""] {
        assert!(!may_be_secret(line), "{line}");
    }
    for line in [
        "\"password\": \"abc\"",
        "\"team\": \"a\", \"auth\": \"b\"",
        "\"team\": {\"mail\": \"a\"}",
        "\"mail\": \"a@b\"",
    ] {
        assert!(may_be_secret(line), "{line}");
    }
}
