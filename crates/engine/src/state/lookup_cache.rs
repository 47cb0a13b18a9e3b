//! Facts that the graph of a cluster was compiled with. The same configuration compiles to the same
//! graph later.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Entry;

/// Key of [`LookupCache::account`] in files.
const ACCOUNT: &str = "account";

/// Key of [`LookupCache::has_assets`] in files.
const ASSETS: &str = "assets";

/// Key of [`LookupCache::token_salt`] in files.
const SALT: &str = "token_salt";

/// Key of [`LookupCache::unproven_owner`] in files.
const UNPROVEN: &str = "unproven_owner";

/// Key of [`LookupCache::retired`] in files. Older programs than format 4.2 keep it as a result.
const RETIRED: &str = "retired";

/// Key of [`LookupCache::release`] in files. Older programs than format 4.3 keep it as a result.
const RELEASE: &str = "release";

/// Lookup cache. In state files it is one map: the fields of fixed meaning are keys beside the
/// lookups.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, Value>", into = "BTreeMap<String, Value>")]
pub struct LookupCache {
    /// Cloud account of the cluster; `None` if it is not recorded.
    pub account: Option<String>,
    /// True if the cluster was created with ignition assets.
    pub has_assets: bool,
    /// Salt of the creation tokens, which differs between the states of one cluster. `None` in states
    /// that began with format 3 or older.
    pub token_salt: Option<String>,
    /// Time of the last check that found no other owner of the cluster, if the check after the first
    /// creation is still to come. `None` if no check is due.
    pub unproven_owner: Option<String>,
    /// Retired parts of the cluster, such as its bootstrap, with the time of the request (RFC 3339).
    /// The desired state has them no longer, although the configuration is the same.
    pub retired: BTreeMap<String, String>,
    /// Release whose layout the cluster has (`4.20`). `None` for a cluster of a version that knew one
    /// layout only.
    pub release: Option<String>,
    /// Results of lookups, by lookup.
    pub results: BTreeMap<String, Value>,
}

impl LookupCache {
    /// Returns true if nothing is recorded.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Sets what a journal entry records. `null` removes.
    pub(super) fn record(&mut self, key: &str, answer: &Value) {
        self.results.remove(key);
        match key {
            ACCOUNT => self.account = None,
            ASSETS => self.has_assets = false,
            SALT => self.token_salt = None,
            UNPROVEN => self.unproven_owner = None,
            RETIRED => self.retired.clear(),
            RELEASE => self.release = None,
            _ => {}
        }
        match (key, answer) {
            (_, Value::Null) => {}
            (ACCOUNT, Value::String(account)) => self.account = Some(account.clone()),
            (ASSETS, Value::Bool(true)) => self.has_assets = true,
            (SALT, Value::String(salt)) => self.token_salt = Some(salt.clone()),
            (UNPROVEN, Value::String(since)) => self.unproven_owner = Some(since.clone()),
            (RELEASE, Value::String(release)) => self.release = Some(release.clone()),
            (RETIRED, parts) if times(parts).is_some() => {
                self.retired = times(parts).unwrap_or_default();
            }
            _ => drop(self.results.insert(key.to_owned(), answer.clone())),
        }
    }

    /// Returns the entry that records since when a part is retired; `None` records that the part is
    /// desired again.
    pub fn retired_entry(&self, part: &str, since: Option<String>) -> Entry {
        let mut parts = self.retired.clone();
        parts.remove(part);
        parts.extend(since.map(|since| (part.to_owned(), since)));
        let answer = if parts.is_empty() { Value::Null } else { json!(parts) };
        Entry::LookupRecorded { lookup: RETIRED.to_owned(), answer }
    }

    /// Returns the entry that records the time of [`LookupCache::unproven_owner`]; `None` records
    /// that no check is due.
    pub fn unproven_owner_entry(since: Option<String>) -> Entry {
        let (lookup, answer) = (UNPROVEN.to_owned(), since.map_or(Value::Null, Value::from));
        Entry::LookupRecorded { lookup, answer }
    }

    /// Returns the entry that records that the cluster has no ignition assets.
    pub fn no_assets_entry() -> Entry {
        Entry::LookupRecorded { lookup: ASSETS.to_owned(), answer: Value::Null }
    }

    /// Returns the entries that record what `recorded` lacks.
    pub fn entries_missing_in(self, recorded: &Self) -> Vec<Entry> {
        let recorded = BTreeMap::from(recorded.clone());
        let new = BTreeMap::from(self).into_iter();
        new.filter(|(lookup, answer)| recorded.get(lookup) != Some(answer))
            .map(|(lookup, answer)| Entry::LookupRecorded { lookup, answer })
            .collect()
    }
}

impl From<BTreeMap<String, Value>> for LookupCache {
    fn from(map: BTreeMap<String, Value>) -> Self {
        let mut cache = Self { results: map, ..Self::default() };
        for key in [ACCOUNT, ASSETS, SALT, UNPROVEN, RETIRED, RELEASE] {
            if let Some(answer) = cache.results.remove(key) {
                cache.record(key, &answer);
            }
        }
        cache
    }
}

impl From<LookupCache> for BTreeMap<String, Value> {
    fn from(cache: LookupCache) -> Self {
        let mut map = cache.results;
        map.extend(cache.account.map(|account| (ACCOUNT.to_owned(), account.into())));
        map.extend(cache.has_assets.then(|| (ASSETS.to_owned(), true.into())));
        map.extend(cache.token_salt.map(|salt| (SALT.to_owned(), salt.into())));
        map.extend(cache.unproven_owner.map(|since| (UNPROVEN.to_owned(), since.into())));
        map.extend(cache.release.map(|release| (RELEASE.to_owned(), release.into())));
        if !cache.retired.is_empty() {
            map.insert(RETIRED.to_owned(), json!(cache.retired));
        }
        map
    }
}

/// Returns a map of times; `None` for any other value.
fn times(value: &Value) -> Option<BTreeMap<String, String>> {
    let fields = value.as_object()?.iter();
    fields.map(|(part, since)| Some((part.clone(), since.as_str()?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_is_one_map_in_files_with_the_keys_of_older_programs() {
        let map = json!({"account": "123456789012", "assets": true, "zones": ["a", "b"],
            "token_salt": "0a1b2c3d", "unproven_owner": "2026-11-30T20:00:00Z",
            "retired": {"bootstrap": "2026-11-30T21:00:00Z"}, "release": "4.20"});
        let cache: LookupCache = serde_json::from_value(map.clone()).unwrap();
        assert_eq!((cache.account.as_deref(), cache.has_assets), (Some("123456789012"), true));
        assert_eq!(cache.token_salt.as_deref(), Some("0a1b2c3d"));
        assert_eq!(cache.unproven_owner.as_deref(), Some("2026-11-30T20:00:00Z"));
        assert_eq!(cache.retired["bootstrap"], "2026-11-30T21:00:00Z");
        assert_eq!(cache.release.as_deref(), Some("4.20"));
        assert_eq!(cache.results.keys().collect::<Vec<_>>(), ["zones"]);
        assert_eq!(serde_json::to_value(&cache).unwrap(), map);
    }

    #[test]
    fn a_value_of_another_type_survives_a_round_trip() {
        let map = json!({"account": 7, "assets": false, "retired": {"bootstrap": true}});
        let cache: LookupCache = serde_json::from_value(map.clone()).unwrap();
        assert_eq!((&cache.account, cache.has_assets), (&None, false));
        assert!(cache.retired.is_empty());
        assert_eq!(serde_json::to_value(&cache).unwrap(), map);
    }

    #[test]
    fn a_part_is_retired_and_desired_again_by_itself() {
        let mut cache = LookupCache::default();
        let mut record = |part: &str, since: Option<&str>| {
            let entry = cache.retired_entry(part, since.map(str::to_owned));
            let Entry::LookupRecorded { lookup, answer } = &entry else { panic!("{entry}") };
            cache.record(lookup, answer);
            cache.clone()
        };
        record("bootstrap", Some("2026-11-30T21:00:00Z"));
        let both = record("other", Some("2026-12-01T08:00:00Z"));
        assert_eq!(both.retired.len(), 2);
        let other = record("bootstrap", None);
        assert_eq!(other.retired.keys().collect::<Vec<_>>(), ["other"]);
        assert!(record("other", None).is_empty());
    }

    #[test]
    fn only_what_is_new_is_recorded_in_the_order_of_the_keys() {
        let account = Some("1".to_owned());
        let results = |zones| BTreeMap::from([("zones".to_owned(), json!(zones))]);
        let recorded = LookupCache { account: account.clone(), ..LookupCache::default() };
        let now = LookupCache {
            account,
            has_assets: true,
            results: results(2),
            ..LookupCache::default()
        };
        let entries = now.entries_missing_in(&recorded);
        let entry = |lookup: &str, answer| Entry::LookupRecorded { lookup: lookup.into(), answer };
        assert_eq!(entries, [entry("assets", json!(true)), entry("zones", json!(2))]);
    }
}
