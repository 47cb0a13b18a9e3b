//! Inputs that cannot be compiled, and their errors.

use std::collections::BTreeMap;

use super::*;
use crate::test_support::example_cluster::ExampleCluster;
use crate::topology::{CompileError, compile};

#[test]
fn what_was_not_asked_is_named() {
    let world = ExampleCluster::standard();
    let lookup_cache = world.lookup_cache();
    for lookup in lookup_cache.keys() {
        let mut lookup_cache = lookup_cache.clone();
        lookup_cache.remove(lookup);
        let error =
            compile(&world.config, &world.cluster, &lookup_cache, &world.assets, &world.options);
        assert_eq!(error.unwrap_err(), [CompileError::Unanswered { lookup: lookup.clone() }]);
    }
    let lookup_cache: BTreeMap<String, Value> =
        lookup_cache.into_keys().map(|lookup| (lookup, Value::from(7))).collect();
    let error =
        compile(&world.config, &world.cluster, &lookup_cache, &world.assets, &world.options);
    let errors = error.unwrap_err();
    assert!(errors.len() > 2, "not only the first: {errors:?}");
    assert!(errors.iter().all(|error| matches!(error, CompileError::Unreadable { .. })));
}

#[test]
fn a_cluster_keeps_its_name_and_its_region() {
    let mut world = ExampleCluster::standard();
    world.config.name = "other".into();
    assert_eq!(world.refusal().field().unwrap(), "metadata.name");
    let mut world = ExampleCluster::standard();
    world.config.aws.region = "eu-west-1".into();
    let error = world.refusal();
    assert_eq!(error.field().unwrap(), "platform.aws.region");
    let hint =
        "set `platform.aws.region` to `us-west-2`, or pass another --state for a new cluster";
    assert_eq!(error.hint().unwrap(), hint);
}

#[test]
fn a_network_too_small_for_its_zones_is_refused() {
    let mut world = ExampleCluster::standard();
    world.config.networking.machine_networks = vec!["10.0.0.0/26".parse().unwrap()];
    let error = world.refusal();
    assert_eq!(error.field().unwrap(), "networking.machineNetwork[0].cidr");
    assert!(error.to_string().contains("10.0.0.0/26"), "{error}");
}

#[test]
fn a_missing_public_zone_is_refused_only_if_the_cluster_is_public() {
    let mut world = ExampleCluster::standard();
    world.cloud.public_zone = None;
    let error = world.refusal();
    assert_eq!(error, CompileError::NoPublicZone { domain: "example.com".into() });
    assert!(error.hint().unwrap().contains("publish: Internal"));
    ExampleCluster::internal().compile().unwrap();
}

#[test]
fn an_image_that_does_not_exist_is_refused() {
    let mut world = ExampleCluster::standard();
    world.cloud.images.clear();
    let error = world.refusal();
    assert!(matches!(error, CompileError::ImageNotFound { .. }), "{error}");
}
