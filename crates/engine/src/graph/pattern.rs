//! Address patterns: an address, a kind, or either with `*` for any characters.

use super::Address;

/// Returns true if the pattern matches the address or its kind.
pub fn fits(pattern: &str, address: &Address) -> bool {
    glob(pattern, address.as_str()) || glob(pattern, address.kind())
}

/// Returns true if the pattern matches the whole text; `*` matches any characters.
///
/// After each `*` the first match of the next part is as good as any other. The text is therefore
/// searched once for each part of the pattern.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let (between, last) = match rest.rsplit_once('*') {
        Some((between, last)) => (between, last),
        None => ("", rest),
    };
    for part in between.split('*') {
        let Some((_, after)) = text.split_once(part) else { return false };
        text = after;
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_kind_or_an_address_or_stars_in_either() {
        let address = Address::from("subnet.private-us-west-2a");
        for pattern in [
            "subnet",
            "subnet.private-us-west-2a",
            "sub*",
            "*2a",
            "subnet.*",
            "*",
            "**",
            "s*p*a",
            "*us*west*",
            "subnet.private*-2a",
            "*a*a",
        ] {
            assert!(fits(pattern, &address), "{pattern}");
        }
        for pattern in [
            "",
            "sub",
            "subnet.",
            "private-us-west-2a",
            "*2b",
            "vpc.*",
            "subnet.*b",
            "*a*b*c",
            "subnet.private-us-west-2a*a",
        ] {
            assert!(!fits(pattern, &address), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_longer_for_it() {
        let address = Address::new("subnet", &"a".repeat(10_000));
        assert!(!fits(&("*a".repeat(1_000) + "b"), &address));
    }
}
