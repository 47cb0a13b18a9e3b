//! `pki`: the keys of the cluster's certificate authorities, which openshift-install makes.
//!
//! No effect on AWS resources. Rules: openshift/installer `pkg/types/pki/validation.go` (5.0) and
//! openshift/api `config/v1alpha1/types_pki.go`.

use super::choices::{Choices, choose};
use super::document::{Document, FieldValue, SignerKey, Spanned};
use super::feature_support::is_enabled;
use crate::diagnostics::finding::FindingCollector;
use crate::diagnostics::rules::Rule;

const GATE: &str = "ConfigurablePKI";
const CURVES: &Choices<()> = &[("P256", ()), ("P384", ()), ("P521", ())];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Rsa,
    Ecdsa,
}

const ALGORITHMS: &Choices<Algorithm> = &[("RSA", Algorithm::Rsa), ("ECDSA", Algorithm::Ecdsa)];

/// Validates the keys.
pub(super) fn check(document: &Document, report: &mut FindingCollector) {
    let Some(given) = document.pki.get() else { return };
    if !is_enabled(document, GATE) {
        report
            .breach(Rule::SignerKey, &given.spot, "is set without its feature gate")
            .expected(format!("featureSet `CustomNoUpgrade` with the gate `{GATE}=true`"));
    }
    let key = given.signer_certificates.get().and_then(|signers| signers.key.get());
    let Some(key) = key else {
        report
            .breach(Rule::SignerKey, &given.spot, "has no key")
            .expected("`signerCertificates.key` with an `algorithm`");
        return;
    };
    check_key(key, report);
}

fn check_key(key: &Spanned<SignerKey>, report: &mut FindingCollector) {
    key.algorithm.require(&key.spot, "algorithm", report);
    let algorithm = choose(Rule::SignerKey, &key.algorithm, ALGORITHMS, report);
    let size = key.rsa.get().and_then(|rsa| rsa.size.get());
    let curve = key.ecdsa.get().map(|ecdsa| &ecdsa.curve);
    match algorithm {
        Some(Algorithm::Rsa) => match size {
            Some(at) if (2048..=8192).contains(&at.value) && at.value % 1024 == 0 => (),
            Some(at) => {
                report
                    .breach(Rule::SignerKey, &at.spot, format!("found `{}`", at.value))
                    .expected("a multiple of 1024 from 2048 to 8192");
            }
            None => {
                report
                    .breach(Rule::SignerKey, &key.spot, "has no length")
                    .expected("`rsa.keySize`, such as 4096");
            }
        },
        Some(Algorithm::Ecdsa) => {
            if let Some(curve) = curve {
                choose(Rule::SignerKey, curve, CURVES, report);
            }
            if !curve.is_some_and(FieldValue::is_given) {
                report
                    .breach(Rule::SignerKey, &key.spot, "has no curve")
                    .expected("`ecdsa.curve`, such as `P384`");
            }
        }
        None => (),
    }
}
