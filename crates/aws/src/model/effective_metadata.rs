//! The effective value of each metadata option of an instance, and the layer that decides it.
//!
//! Source: EC2 user guide, "Configure the Instance Metadata Service options", "Order of precedence
//! for instance metadata options" (2026). EC2 determines each option separately, at launch:
//!
//! 1. the request, or its launch template
//! 2. the defaults of the account in the region
//! 3. the image, for `HttpTokens` and `HttpPutResponseHopLimit` only
//! 4. the default of EC2
//!
//! Enforcement of the account is checked after that, with the result.
//!
//! Never: the SDK. What is not known is [`Decision::Unknown`], never a default.

use std::fmt;

use serde::Serialize;

use super::metadata_options::{HopLimit, HttpTokens, MetadataOptions, Switch};

/// A layer that can decide an option, highest precedence first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// The request of the launch, or its launch template.
    Launch,
    /// The defaults of the account in the region.
    Account,
    /// `ImdsSupport` of the image.
    Image,
    /// The default of EC2.
    Ec2,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Launch => "launch request",
            Self::Account => "account default",
            Self::Image => "image",
            Self::Ec2 => "default of EC2",
        })
    }
}

/// The value of one option at launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Decision<T> {
    /// The layers above `by` have no opinion.
    Known {
        /// The value.
        value: T,
        /// The layer that decides it.
        by: Layer,
    },
    /// The layers above `unknown` have no opinion, and `unknown` could not be read.
    Unknown {
        /// The layer that could not be read.
        unknown: Layer,
    },
}

impl<T: Copy> Decision<T> {
    /// Returns the value. `None` if it is unknown.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Known { value, .. } => Some(value),
            Self::Unknown { .. } => None,
        }
    }
}

/// Manager of the defaults of an account (`ManagedBy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manager {
    /// The account itself.
    #[default]
    Account,
    /// A declarative policy of the organisation. The account cannot change its defaults.
    DeclarativePolicy,
}

/// Defaults of an account in a region (`GetInstanceMetadataDefaults`). `None` is no preference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AccountDefaults {
    /// Session tokens: required or optional.
    pub http_tokens: Option<HttpTokens>,
    /// State of the endpoint.
    pub http_endpoint: Option<Switch>,
    /// Hop limit of the response to a token request.
    pub http_put_response_hop_limit: Option<HopLimit>,
    /// Access to instance tags.
    pub instance_metadata_tags: Option<Switch>,
    /// True if EC2 rejects instances for which tokens are optional (`HttpTokensEnforced`).
    pub is_enforced: bool,
    /// Manager of these defaults.
    pub managed_by: Manager,
    /// Text of the organisation for rejected changes (`ManagedExceptionMessage`).
    pub exception_message: Option<String>,
}

/// `ImdsSupport` of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ImdsSupport {
    /// `v2.0`: instances require tokens, with hop limit 2.
    #[serde(rename = "v2.0")]
    V2,
    /// Absent: the image has no opinion.
    #[serde(rename = "none")]
    Unset,
}

/// Layers that EC2 evaluates at a launch. `None` for a layer that could not be read.
#[derive(Clone, Copy, Debug)]
pub struct LaunchLayers<'layers> {
    /// Options of the request.
    pub request: &'layers MetadataOptions,
    /// Defaults of the account in the region.
    pub account: Option<&'layers AccountDefaults>,
    /// The image.
    pub image: Option<ImdsSupport>,
}

/// The options of an instance at launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct EffectiveOptions {
    /// Session tokens.
    pub http_tokens: Decision<HttpTokens>,
    /// State of the endpoint.
    pub http_endpoint: Decision<Switch>,
    /// Hop limit of the response to a token request.
    pub http_put_response_hop_limit: Decision<HopLimit>,
    /// Access to instance tags.
    pub instance_metadata_tags: Decision<Switch>,
}

/// Enforcement of tokens by the account, for one launch or change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Enforcement {
    /// The account does not enforce tokens, or tokens are required.
    Accepted,
    /// The account enforces tokens, and tokens are optional: EC2 returns `UnsupportedOperation`.
    Rejected,
    /// A layer could not be read.
    Unknown,
}

impl LaunchLayers<'_> {
    /// Returns the value of each option, and the layer that decides it.
    pub fn effective(&self) -> EffectiveOptions {
        let request = self.request;
        let account = self.account;
        let of_image = |support| match support {
            ImdsSupport::V2 => Some((HttpTokens::Required, HopLimit::TWO)),
            ImdsSupport::Unset => None,
        };
        let image = self.image.map(of_image);
        EffectiveOptions {
            http_tokens: decide(
                request.http_tokens,
                account.map(|account| account.http_tokens),
                image.map(|image| image.map(|(tokens, _)| tokens)),
                HttpTokens::Optional,
            ),
            http_put_response_hop_limit: decide(
                request.http_put_response_hop_limit,
                account.map(|account| account.http_put_response_hop_limit),
                image.map(|image| image.map(|(_, hops)| hops)),
                HopLimit::ONE,
            ),
            http_endpoint: decide(
                request.http_endpoint,
                account.map(|account| account.http_endpoint),
                Some(None),
                Switch::Enabled,
            ),
            instance_metadata_tags: decide(
                request.instance_metadata_tags,
                account.map(|account| account.instance_metadata_tags),
                Some(None),
                Switch::Disabled,
            ),
        }
    }

    /// Returns whether the enforcement of the account accepts the launch.
    pub fn enforcement(&self) -> Enforcement {
        enforcement(self.effective().http_tokens.value(), self.account)
    }
}

/// Returns whether an account accepts an instance with these tokens, at launch or by a change. `None`
/// is unknown.
pub fn enforcement(tokens: Option<HttpTokens>, account: Option<&AccountDefaults>) -> Enforcement {
    match (tokens, account) {
        (Some(HttpTokens::Required), _) => Enforcement::Accepted,
        (_, Some(account)) if !account.is_enforced => Enforcement::Accepted,
        (Some(HttpTokens::Optional), Some(_)) => Enforcement::Rejected,
        (None, _) | (_, None) => Enforcement::Unknown,
    }
}

/// Cause of the value that an option of an existing instance has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// A launch with the layers as they are now gives the same value, decided by this layer.
    Layer(Layer),
    /// A launch with the layers as they are now gives another value: the option or a layer has
    /// changed since the launch.
    ChangedSinceLaunch,
    /// A layer could not be read.
    Unknown(Layer),
}

/// Returns the cause of the value `actual`, given the decision for a
/// launch now.
pub fn cause<T: Copy + PartialEq>(actual: T, launch: Decision<T>) -> Cause {
    match launch {
        Decision::Known { value, by } if value == actual => Cause::Layer(by),
        Decision::Known { .. } => Cause::ChangedSinceLaunch,
        Decision::Unknown { unknown } => Cause::Unknown(unknown),
    }
}

/// Returns true if EC2 accepts this tag key on an instance whose metadata service returns tags (EC2
/// user guide, "View tags for your EC2 instances using instance metadata": letters, digits and
/// `+-=.,_:@`, and not `.`, `..` or `_index`).
pub fn tag_key_fits_metadata(key: &str) -> bool {
    let is_reserved = matches!(key, "" | "." | ".." | "_index");
    !is_reserved && key.chars().all(|c| c.is_ascii_alphanumeric() || "+-=.,_:@".contains(c))
}

/// The first layer with an opinion decides. A layer that could not be read (`None`) may have one.
fn decide<T: Copy>(
    request: Option<T>,
    account: Option<Option<T>>,
    image: Option<Option<T>>,
    ec2: T,
) -> Decision<T> {
    let layers = [
        (Layer::Launch, Some(request)),
        (Layer::Account, account),
        (Layer::Image, image),
        (Layer::Ec2, Some(Some(ec2))),
    ];
    for (layer, opinion) in layers {
        match opinion {
            None => return Decision::Unknown { unknown: layer },
            Some(Some(value)) => return Decision::Known { value, by: layer },
            Some(None) => {}
        }
    }
    Decision::Known { value: ec2, by: Layer::Ec2 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use HttpTokens::{Optional, Required};

    /// The table "Set the instance metadata version" of the EC2 user guide (2026): launch parameter,
    /// account default, image default, resulting instance. `2` is "V2 only", `1` "V1 or V2", `-` "not set", "no
    /// preference" or "null".
    const PUBLISHED: &str = "
        2-22 2222 2122 1-21 1221 1121 --22 -222 -121
        2--2 22-2 21-2 1--1 12-1 11-1 ---1 -2-2 -1-1
    ";

    fn tokens(word: char) -> Option<HttpTokens> {
        match word {
            '2' => Some(Required),
            '1' => Some(Optional),
            _ => None,
        }
    }

    fn image(word: char) -> ImdsSupport {
        if word == '2' { ImdsSupport::V2 } else { ImdsSupport::Unset }
    }

    #[test]
    fn tokens_are_those_of_the_published_table() {
        let rows: Vec<&str> = PUBLISHED.split_whitespace().collect();
        assert_eq!(rows.len(), 18);
        for row in rows {
            let words: Vec<char> = row.chars().collect();
            let request =
                MetadataOptions { http_tokens: tokens(words[0]), ..MetadataOptions::default() };
            let account =
                AccountDefaults { http_tokens: tokens(words[1]), ..AccountDefaults::default() };
            let image = Some(image(words[2]));
            let layers = LaunchLayers { request: &request, account: Some(&account), image };
            let effective = layers.effective().http_tokens;
            assert_eq!(effective.value(), tokens(words[3]), "{row}: {effective:?}");
        }
    }

    /// Examples 1 to 3 of the same page.
    #[test]
    fn each_option_is_decided_separately_and_enforcement_is_last() {
        let account = AccountDefaults {
            http_put_response_hop_limit: Some(HopLimit::ONE),
            ..AccountDefaults::default()
        };
        let omitted = MetadataOptions::default();
        let optional = MetadataOptions { http_tokens: Some(Optional), ..omitted.clone() };
        let required = MetadataOptions { http_tokens: Some(Required), ..omitted.clone() };
        let image = Some(ImdsSupport::V2);
        let first = LaunchLayers { request: &omitted, account: Some(&account), image }.effective();
        assert_eq!(first.http_tokens, Decision::Known { value: Required, by: Layer::Image });
        let hops = Decision::Known { value: HopLimit::ONE, by: Layer::Account };
        assert_eq!(first.http_put_response_hop_limit, hops);
        let second =
            LaunchLayers { request: &optional, account: Some(&account), image }.effective();
        assert_eq!(second.http_tokens, Decision::Known { value: Optional, by: Layer::Launch });
        assert_eq!(second.http_put_response_hop_limit, hops);

        let enforced = AccountDefaults {
            http_tokens: Some(Required),
            is_enforced: true,
            ..AccountDefaults::default()
        };
        let launch = |request| {
            let image = Some(ImdsSupport::Unset);
            LaunchLayers { request, account: Some(&enforced), image }.enforcement()
        };
        assert_eq!(launch(&optional), Enforcement::Rejected);
        assert_eq!(launch(&required), Enforcement::Accepted);
        assert_eq!(launch(&omitted), Enforcement::Accepted);
    }

    fn or_dash<T: fmt::Debug>(value: Option<T>) -> String {
        value.map_or("-".to_owned(), |value| format!("{value:?}").to_lowercase())
    }

    fn word<T: fmt::Debug + Copy>(decision: Decision<T>) -> String {
        match decision {
            Decision::Known { value, by } => format!("{value:?} by {by}").to_lowercase(),
            Decision::Unknown { unknown } => format!("unknown: {unknown}").to_lowercase(),
        }
    }

    /// Every combination, one line each, as `RECORD=1` writes it: read the difference as the
    /// behaviour of EC2.
    #[test]
    fn every_combination_is_as_recorded() {
        let all_tokens = [None, Some(Optional), Some(Required)];
        let all_images = [None, Some(ImdsSupport::Unset), Some(ImdsSupport::V2)];
        let all_hops = [None, Some(HopLimit::ONE), HopLimit::new(3)];
        let all_switches = [None, Some(Switch::Enabled), Some(Switch::Disabled)];
        let mut lines =
            vec!["tokens: request, account, enforced, image -> value; launch".to_owned()];
        let mut accounts = vec![None];
        for tokens in all_tokens {
            for is_enforced in [false, true] {
                let one =
                    AccountDefaults { http_tokens: tokens, is_enforced, ..Default::default() };
                accounts.push(Some(one));
            }
        }
        for tokens in all_tokens {
            let request = MetadataOptions { http_tokens: tokens, ..Default::default() };
            for account in &accounts {
                for image in all_images {
                    let layers =
                        LaunchLayers { request: &request, account: account.as_ref(), image };
                    let known = account.as_ref().map_or("? ?".to_owned(), |account| {
                        format!("{} {}", or_dash(account.http_tokens), account.is_enforced)
                    });
                    let image =
                        image.map_or("?".to_owned(), |image| format!("{image:?}").to_lowercase());
                    let value = word(layers.effective().http_tokens);
                    let launch = format!("{:?}", layers.enforcement()).to_lowercase();
                    lines.push(format!("{} {known} {image} -> {value}; {launch}", or_dash(tokens)));
                }
            }
        }
        lines.push("hop limit: request, account, image -> value".to_owned());
        for asked in all_hops {
            let request =
                MetadataOptions { http_put_response_hop_limit: asked, ..Default::default() };
            for account in all_hops.map(Some).into_iter().chain([None]) {
                let defaults = account.map(|hops| AccountDefaults {
                    http_put_response_hop_limit: hops,
                    ..Default::default()
                });
                for image in all_images {
                    let layers =
                        LaunchLayers { request: &request, account: defaults.as_ref(), image };
                    let value = word(layers.effective().http_put_response_hop_limit);
                    let account = account.map_or("?".to_owned(), or_dash);
                    let image =
                        image.map_or("?".to_owned(), |one| format!("{one:?}").to_lowercase());
                    lines.push(format!("{} {account} {image} -> {value}", or_dash(asked)));
                }
            }
        }
        lines.push("endpoint; tags: request, account -> values".to_owned());
        for asked in all_switches {
            let request = MetadataOptions {
                http_endpoint: asked,
                instance_metadata_tags: asked,
                ..Default::default()
            };
            for account in all_switches.map(Some).into_iter().chain([None]) {
                let defaults = account.map(|switch| AccountDefaults {
                    http_endpoint: switch,
                    instance_metadata_tags: switch,
                    ..Default::default()
                });
                let image = Some(ImdsSupport::V2);
                let layers = LaunchLayers { request: &request, account: defaults.as_ref(), image };
                let effective = layers.effective();
                let account = account.map_or("?".to_owned(), or_dash);
                lines.push(format!(
                    "{} {account} -> {}; {}",
                    or_dash(asked),
                    word(effective.http_endpoint),
                    word(effective.instance_metadata_tags)
                ));
            }
        }
        let text = lines.join("\n") + "\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/model/effective_metadata.txt");
        if std::env::var_os("RECORD").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(path).unwrap());
    }

    #[test]
    fn the_cause_of_an_instance_is_the_layer_that_gives_its_value_now() {
        let launch = Decision::Known { value: Required, by: Layer::Account };
        assert_eq!(cause(Required, launch), Cause::Layer(Layer::Account));
        assert_eq!(cause(Optional, launch), Cause::ChangedSinceLaunch);
        let unknown = Decision::Unknown { unknown: Layer::Account };
        assert_eq!(cause(Optional, unknown), Cause::Unknown(Layer::Account));
    }

    #[test]
    fn tag_keys_with_a_slash_do_not_fit_the_metadata_service() {
        for key in ["Name", "openshift_creationDate", "a+b-c=d.e,f:g@h"] {
            assert!(tag_key_fits_metadata(key), "{key}");
        }
        for key in ["kubernetes.io/cluster/demo", "a b", "", ".", "..", "_index", "\u{e9}"] {
            assert!(!tag_key_fits_metadata(key), "{key}");
        }
    }
}
