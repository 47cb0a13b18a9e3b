//! Credentials that are read again, for programs that run longer than their credentials.
//!
//! The providers of the SDK read each file of a profile once, and static credentials have no
//! expiry. So a rotated file would never be noticed. Here the files are read again every minute: a
//! change, or a response of AWS that rejects the credentials, leads to new ones. Credentials with an
//! expiry are otherwise kept until shortly before it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};
use std::{env, fmt, fs};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use groundplan_engine::provider::BoxFuture;
use tokio::sync::Mutex;

/// Time after which the files are read again.
const AGAIN: Duration = Duration::from_secs(60);
/// Time before the expiry at which credentials are renewed.
const RENEWED_BEFORE: Duration = Duration::from_secs(5 * 60);

/// Number of responses that rejected credentials. All clients of a process use the same
/// credentials.
static REJECTIONS: AtomicU64 = AtomicU64::new(0);

/// Error codes of rejected credentials, in the words of EC2 and of other services.
const REJECTED: &[&str] = &[
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "UnrecognizedClientException",
];

/// Notes the error code of a response. After a rejection, the credentials are read again at the
/// next opportunity.
pub(super) fn note(code: Option<&str>) {
    if code.is_some_and(|code| REJECTED.contains(&code)) {
        REJECTIONS.fetch_add(1, Relaxed);
    }
}

/// Function that makes a provider, which reads all files anew.
pub(crate) type MakeProvider =
    Box<dyn Fn() -> BoxFuture<'static, SharedCredentialsProvider> + Send + Sync>;

/// Provider of credentials that are read again.
pub(crate) struct RotatingCredentials {
    make: MakeProvider,
    files: Vec<PathBuf>,
    kept: Mutex<Option<KeptCredentials>>,
}

struct KeptCredentials {
    sources: Sources,
    credentials: Credentials,
}

/// Content of the files, and the number of rejections.
#[derive(PartialEq)]
struct Sources(Vec<Option<Vec<u8>>>, u64);

impl fmt::Debug for RotatingCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RotatingCredentials").field("files", &self.files).finish_non_exhaustive()
    }
}

impl RotatingCredentials {
    /// Returns a provider of the credentials that `make` finds, which may depend on these files.
    pub(crate) fn new(make: MakeProvider, files: Vec<PathBuf>) -> Self {
        Self { make, files, kept: Mutex::default() }
    }

    fn sources(&self) -> Sources {
        let contents = self.files.iter().map(|file| fs::read(file).ok()).collect();
        Sources(contents, REJECTIONS.load(Relaxed))
    }

    async fn read(&self) -> provider::Result {
        let (mut kept, sources, now) = (self.kept.lock().await, self.sources(), SystemTime::now());
        let lasts =
            |one: &Credentials| one.expiry().is_none_or(|expiry| expiry > now + RENEWED_BEFORE);
        if let Some(kept) = &*kept
            && kept.sources == sources
            && lasts(&kept.credentials)
        {
            return Ok(asked_again(kept.credentials.clone(), now));
        }
        let credentials = (self.make)().await.provide_credentials().await?;
        *kept = Some(KeptCredentials { sources, credentials: credentials.clone() });
        Ok(asked_again(credentials, now))
    }
}

impl ProvideCredentials for RotatingCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.read())
    }
}

/// Returns the credentials with an expiry after which the SDK asks again.
fn asked_again(mut credentials: Credentials, now: SystemTime) -> Credentials {
    let again = now + AGAIN;
    let expiry = credentials.expiry().map_or(again, |expiry| expiry.min(again));
    *credentials.expiry_mut() = Some(expiry);
    credentials
}

/// Returns the files that the AWS tools read credentials from.
pub(crate) fn files() -> Vec<PathBuf> {
    let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let named = |variable: &str, usual: &str| {
        env::var_os(variable).map_or_else(|| home.join(".aws").join(usual), PathBuf::from)
    };
    vec![named("AWS_SHARED_CREDENTIALS_FILE", "credentials"), named("AWS_CONFIG_FILE", "config")]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use aws_config::profile::ProfileFileCredentialsProvider;
    use aws_config::provider_config::ProviderConfig;
    use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};

    use super::super::https;
    use super::*;

    struct Desk {
        _folder: tempfile::TempDir,
        file: PathBuf,
        made: Arc<AtomicUsize>,
        rotating: RotatingCredentials,
    }

    fn write(file: &PathBuf, key: &str) {
        let text = format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = s\n");
        fs::write(file, text).unwrap();
    }

    fn sdk_provider(file: &PathBuf) -> ProfileFileCredentialsProvider {
        let files =
            EnvConfigFiles::builder().with_file(EnvConfigFileKind::Credentials, file).build();
        let config = ProviderConfig::without_region().with_http_client(https::client());
        let builder = ProfileFileCredentialsProvider::builder().configure(&config);
        builder.profile_files(files).build()
    }

    fn desk() -> Desk {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("credentials");
        write(&file, "AKIDOLD");
        let made = Arc::<AtomicUsize>::default();
        let (path, count) = (file.clone(), Arc::clone(&made));
        let make: MakeProvider = Box::new(move || {
            count.fetch_add(1, Relaxed);
            let provider = SharedCredentialsProvider::new(sdk_provider(&path));
            Box::pin(async { provider })
        });
        let rotating = RotatingCredentials::new(make, vec![file.clone()]);
        Desk { _folder: folder, file, made, rotating }
    }

    #[tokio::test]
    async fn a_rotated_file_is_read_again_which_the_sdk_alone_does_not_do() {
        let desk = desk();
        let alone = sdk_provider(&desk.file);
        let keys = async || {
            let ours = desk.rotating.provide_credentials().await.unwrap();
            let theirs = alone.provide_credentials().await.unwrap();
            assert!(ours.expiry().unwrap() <= SystemTime::now() + AGAIN);
            [ours.access_key_id().to_owned(), theirs.access_key_id().to_owned()]
        };
        assert_eq!(keys().await, ["AKIDOLD", "AKIDOLD"]);
        write(&desk.file, "AKIDNEW");
        assert_eq!(keys().await, ["AKIDNEW", "AKIDOLD"]);
        fs::write(&desk.file, "[half").unwrap();
        assert!(desk.rotating.provide_credentials().await.is_err());
        write(&desk.file, "AKIDNEWER");
        assert_eq!(keys().await[0], "AKIDNEWER");
    }

    #[tokio::test]
    async fn after_a_rejection_the_provider_is_made_anew() {
        let desk = desk();
        desk.rotating.provide_credentials().await.unwrap();
        note(Some("RequestLimitExceeded"));
        note(None);
        let before = desk.made.load(Relaxed);
        note(Some("AuthFailure"));
        desk.rotating.provide_credentials().await.unwrap();
        assert!(desk.made.load(Relaxed) > before);
    }

    #[tokio::test]
    async fn credentials_with_an_expiry_are_kept_until_shortly_before_it() {
        for (left, times) in [(3600, 1), (200, 2)] {
            let asked = Arc::<AtomicUsize>::default();
            let count = Arc::clone(&asked);
            let make: MakeProvider = Box::new(move || {
                count.fetch_add(1, Relaxed);
                let expiry = SystemTime::now() + Duration::from_secs(left);
                let one = Credentials::new("a", "s", None, Some(expiry), "test");
                Box::pin(async { SharedCredentialsProvider::new(one) })
            });
            let rotating = RotatingCredentials::new(make, Vec::new());
            let Sources(_, rejections) = rotating.sources();
            for _ in 0..2 {
                let one = rotating.provide_credentials().await.unwrap();
                assert!(one.expiry().unwrap() <= SystemTime::now() + AGAIN);
            }
            // Other tests of this process may note a rejection at the same time.
            if rotating.sources().1 == rejections {
                assert!(asked.load(Relaxed) <= times, "{left}");
            }
        }
    }
}
