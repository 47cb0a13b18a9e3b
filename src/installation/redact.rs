//! Console output without secrets: text that looks like a credential is masked before any other use.

/// Text in place of a secret.
const MASK: &str = "[masked]";
/// Length from which a run of base64 characters counts as a secret. IDs of AWS and UUIDs are shorter.
const LONG: usize = 40;
/// Maximum length of a line in characters.
const WIDEST: usize = 160;
/// Words after which the rest of a line may be a secret.
const NAMES: &[&str] =
    &["password", "passwd", "secret", "token", "bearer", "authorization", "\"auth\"", "pullsecret"];

/// Returns the last lines of a console output, oldest first, with secrets masked. Empty lines are left
/// out.
pub fn last_lines(console: &str, lines: usize) -> Vec<String> {
    let mut is_key = false;
    let masked = console.lines().filter_map(|line| {
        let line = plain(line);
        if line.contains("-----BEGIN") {
            is_key = true;
        }
        let was_key = is_key;
        if line.contains("-----END") {
            is_key = false;
        }
        let line = if was_key { MASK.to_owned() } else { masked(line.trim_end()) };
        (!line.trim().is_empty()).then_some(line)
    });
    let mut masked: Vec<String> = masked.collect();
    masked.dedup_by(|one, other| one == other && one == MASK);
    masked.drain(..masked.len().saturating_sub(lines));
    masked
}

/// Returns a line without escape sequences and other control characters.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line.chars();
    while let Some(one) = rest.next() {
        match one {
            // A sequence ends with a letter.
            '\u{1b}' => drop(rest.find(char::is_ascii_alphabetic)),
            one if one.is_control() => text.push(' '),
            one => text.push(one),
        }
    }
    text
}

/// Returns a line with its secrets masked, and cut to a readable length.
fn masked(line: &str) -> String {
    let line = match secret_after_a_name(line) {
        Some(end) => format!("{} {MASK}", &line[..end]),
        None => line.split(' ').map(masked_word).collect::<Vec<_>>().join(" "),
    };
    match line.char_indices().nth(WIDEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Returns the end of the first word that names a secret, if a value may follow it.
fn secret_after_a_name(line: &str) -> Option<usize> {
    let lower = line.to_ascii_lowercase();
    let ends = NAMES.iter().filter_map(|name| {
        let end = lower.find(name)? + name.len();
        let rest = line[end..].trim_start_matches(['"', '\'', ' ']);
        let is_value =
            rest.starts_with([':', '=']) || name == &"bearer" || name == &"authorization";
        is_value.then_some(end)
    });
    ends.min()
}

/// Returns a word without the query of its URL, its user, and long runs of base64.
fn masked_word(word: &str) -> String {
    let word = match (word.contains("://"), word.find('?')) {
        (true, Some(query)) => format!("{}?{MASK}", &word[..query]),
        _ => word.to_owned(),
    };
    let word = match (word.find("://"), word.find('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            format!("{}://{MASK}{}", &word[..scheme], &word[at..])
        }
        _ => word,
    };
    let mut text = String::new();
    let mut run = String::new();
    for one in word.chars().chain(['\n']) {
        if one.is_ascii_alphanumeric() || "+/=_".contains(one) {
            run.push(one);
            continue;
        }
        // A path has as many letters, but in short parts.
        let is_secret = run.split('/').any(|part| part.len() >= LONG)
            || (run.len() >= LONG && run.ends_with('='));
        text.push_str(if is_secret { MASK } else { &run });
        run.clear();
        if one != '\n' {
            text.push(one);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_those_with_text() {
        let console = "first\r\n\r\n\u{1b}[0;32msecond\u{1b}[0m\nthird\n\n";
        assert_eq!(last_lines(console, 2), ["second", "third"]);
        assert_eq!(last_lines("", 2), [""; 0]);
    }

    #[test]
    fn what_looks_like_a_credential_is_masked() {
        let canary = "Y2FuYXJ5Om9mLXRoZS1wdWxsLXNlY3JldA==";
        let jwt =
            "eyJhbGciOiJSUzI1NiIsImtpZCI6IkFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBIn0.eyJpc3MiOiJr";
        for line in [
            format!(r#"{{"auths": {{"quay.io": {{"auth": "{canary}"}}}}}}"#),
            format!("pullSecret: {canary}"),
            format!("Authorization: Bearer {canary}"),
            format!("curl -H 'bearer {canary}'"),
            format!("password={canary}"),
            format!("GET https://b.s3.amazonaws.com/bootstrap.ign?X-Amz-Signature={canary}"),
            format!("https://user:{canary}@quay.io/x"),
            format!("data:;base64,{canary}{canary}"),
            format!("kubeadm join --discovery {jwt}"),
        ] {
            let text = last_lines(&line, 1).concat();
            assert!(!text.contains("Y2FuYXJ5") && !text.contains("eyJhbGci"), "{text}");
            assert!(text.contains(MASK), "{text}");
        }
    }

    #[test]
    fn a_private_key_is_masked_whole() {
        let console =
            "a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----\nb";
        assert_eq!(last_lines(console, 9), ["a", MASK, "b"]);
        assert_eq!(last_lines("-----BEGIN KEY-----\nMIIE", 9), [MASK], "cut at its end");
    }

    #[test]
    fn what_helps_stays() {
        for line in [
            "Failed to start release-image.service: quay.io: unauthorized",
            "ignition[788]: GET https://api-int.demo.example.com:22623/config/master: attempt #5",
            "sha256:short i-0123456789abcdef0 7a5bb1c5-2c46-4a5e-9d4b-2f8f2a0f9f10",
            "/usr/lib/systemd/system/a-long-path-of-a-unit/that/goes/on/and/on.service",
        ] {
            assert_eq!(last_lines(line, 1), [line]);
        }
        assert_eq!(last_lines(&"x y ".repeat(100), 1)[0].chars().count(), WIDEST + 1);
    }
}
