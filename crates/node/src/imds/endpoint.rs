//! Endpoint of the service, named as in the AWS SDKs.

use std::fmt;

use url::{Host, Url};

/// Endpoint of the metadata service: always plain HTTP, on the machine itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    host: Host<String>,
    port: u16,
}

/// IP version of the default endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpVersion {
    /// Endpoint `http://169.254.169.254`.
    #[default]
    Ipv4,
    /// Endpoint `http://[fd00:ec2::254]`, on Nitro instances in an IPv6 subnet if enabled there.
    Ipv6,
}

/// Environment variable with another endpoint.
const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
/// Environment variable with the IP version.
const MODE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
/// Environment variable that disables the service.
const DISABLED: &str = "AWS_EC2_METADATA_DISABLED";

/// Error of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// The environment disables the service.
    #[error("{DISABLED} disables the metadata service")]
    Disabled,
    /// The text is no URL of a plain HTTP server.
    #[error(
        "invalid endpoint `{found}` of the metadata service: expected http://HOST or \
         http://HOST:PORT"
    )]
    Strange {
        /// Given text.
        found: String,
    },
    /// The IP version is unknown.
    #[error("{MODE} is `{found}`: expected `IPv4` or `IPv6`")]
    StrangeMode {
        /// Given text.
        found: String,
    },
}

impl Endpoint {
    /// Parses a URL, such as `http://127.0.0.1:1338`.
    ///
    /// # Errors
    /// Returns an error for all URLs except plain HTTP to a host.
    pub fn parse(text: &str) -> Result<Self, InvalidEndpoint> {
        let strange = || InvalidEndpoint::Strange { found: text.to_owned() };
        let url = Url::parse(text).map_err(|_| strange())?;
        let bare = matches!(url.path(), "" | "/") && url.query().is_none();
        let anonymous = url.username().is_empty() && url.password().is_none();
        match (url.scheme(), url.host(), url.port_or_known_default()) {
            ("http", Some(host), Some(port)) if bare && anonymous => {
                Ok(Self { host: host.to_owned(), port })
            }
            _ => Err(strange()),
        }
    }

    /// Returns the endpoints that the environment selects, by the rules of the AWS SDKs, in the order
    /// to try them. Without a selection these are the IPv4 endpoint and then the IPv6 endpoint,
    /// because a machine may have a route to only one of them. A selected endpoint is the only one.
    ///
    /// # Errors
    /// Returns an error if the environment disables the service or has an invalid value.
    pub fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<Self>, InvalidEndpoint> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        if variable(DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Err(InvalidEndpoint::Disabled);
        }
        if let Some(url) = variable(ENDPOINT) {
            return Ok(vec![Self::parse(&url)?]);
        }
        match variable(MODE) {
            None => Ok(vec![IpVersion::Ipv4.into(), IpVersion::Ipv6.into()]),
            Some(mode) if mode.eq_ignore_ascii_case("ipv4") => Ok(vec![IpVersion::Ipv4.into()]),
            Some(mode) if mode.eq_ignore_ascii_case("ipv6") => Ok(vec![IpVersion::Ipv6.into()]),
            Some(found) => Err(InvalidEndpoint::StrangeMode { found }),
        }
    }

    /// Returns the value of the `Host` header. The port is omitted if it is 80.
    pub(super) fn authority(&self) -> String {
        match self.port {
            80 => self.host.to_string(),
            port => format!("{}:{port}", self.host),
        }
    }

    /// Returns the host and port for a socket.
    pub(super) fn address(&self) -> (String, u16) {
        let host = match &self.host {
            Host::Ipv6(address) => address.to_string(),
            host => host.to_string(),
        };
        (host, self.port)
    }
}

impl From<IpVersion> for Endpoint {
    fn from(mode: IpVersion) -> Self {
        let host = match mode {
            IpVersion::Ipv4 => Host::Ipv4([169, 254, 169, 254].into()),
            IpVersion::Ipv6 => Host::Ipv6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254].into()),
        };
        Self { host, port: 80 }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<String, InvalidEndpoint> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let all = Endpoint::from_environment(variable)?;
        Ok(all.iter().map(Endpoint::to_string).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn the_environment_is_read_as_sdks_read_it() {
        let ok = |url: &str| Ok(url.to_owned());
        let any = || ok("http://169.254.169.254 http://[fd00:ec2::254]");
        assert_eq!(read(&[]), any());
        assert_eq!(read(&[(MODE, "IPv6")]), ok("http://[fd00:ec2::254]"));
        assert_eq!(read(&[(MODE, "ipv4")]), ok("http://169.254.169.254"));
        let both = [(MODE, "IPv6"), (ENDPOINT, "http://127.0.0.1:1338/")];
        assert_eq!(read(&both), ok("http://127.0.0.1:1338"));
        assert_eq!(read(&[(ENDPOINT, ""), (DISABLED, "false")]), any());
        assert_eq!(read(&[(DISABLED, "True")]), Err(InvalidEndpoint::Disabled));
        assert!(matches!(read(&[(MODE, "both")]), Err(InvalidEndpoint::StrangeMode { .. })));
    }

    #[test]
    fn an_endpoint_is_plain_http_to_a_host() {
        for (url, address) in [
            ("http://127.0.0.1:1338", ("127.0.0.1", 1338)),
            ("http://[fd00:ec2::254]", ("fd00:ec2::254", 80)),
            ("http://imds.local/", ("imds.local", 80)),
        ] {
            let (host, port) = Endpoint::parse(url).unwrap().address();
            assert_eq!((&*host, port), address);
        }
        for wrong in [
            "",
            "169.254.169.254",
            "https://169.254.169.254",
            "http://",
            "http://h/latest",
            "http://h?x",
            "http://user:sesame@h",
        ] {
            let error = Endpoint::parse(wrong).unwrap_err();
            assert_eq!(error, InvalidEndpoint::Strange { found: wrong.to_owned() });
        }
    }
}
