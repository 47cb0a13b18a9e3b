//! Releases of openshift-install: `--release`, and the copy of the install-config for it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{Desk, PULL_SECRET};

/// Adds a pool that one release reads and another one does not.
fn with_throughput(desk: &Desk) {
    let path = desk.path("install-config.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let volume = "type: m5.2xlarge\n      rootVolume: {size: 120, type: gp3, throughput: 100}";
    fs::write(&path, text.replacen("type: m5.2xlarge", volume, 1)).unwrap();
}

#[test]
fn a_release_of_the_command_line_the_environment_or_the_project_file_selects_the_rules() {
    let desk = Desk::new();
    with_throughput(&desk);
    let ran = desk.expect(3, &["validate", "--release", "4.21"]);
    assert!(ran.err.contains("error[volume-throughput]"), "{ran:?}");
    let ran = desk.expect(0, &["validate", "--release", "4.20.3"]);
    assert!(ran.err.contains("warning[unknown-field]"), "{ran:?}");
    assert!(ran.out.contains("install-config.yaml is valid for 4.20."), "{ran:?}");
    let ran = desk.expect(0, &["validate", "--release", "4.20", "--json"]);
    let valid = ran.lines().into_iter().find(|line| line["type"] == "valid").unwrap();
    assert_eq!(valid["release"], "4.20");

    fs::write(desk.path("groundplan.toml"), "release = 4.20\n").unwrap();
    desk.expect(0, &["validate"]);
    let output = desk.command(&["validate"]).env("GROUNDPLAN_RELEASE", "4.21").output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let ran = desk.expect(64, &["validate", "--release", "4.9"]);
    assert!(ran.err.contains("expected a release from 4.12 to 5.0, found 4.9"), "{ran:?}");
}

#[test]
fn a_copy_for_openshift_install_lacks_the_fields_of_groundplan_and_nothing_else() {
    let desk = Desk::new();
    let path = desk.path("install-config.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let ours = "authentication: Required # IMDSv2\n        httpPutResponseHopLimit: 2";
    let theirs = "authentication: Required # IMDSv2";
    fs::write(&path, text.replacen("authentication: Required", ours, 1)).unwrap();
    let copy = text.replacen("authentication: Required", theirs, 1);
    let export = ["config", "export", "--for", "openshift-install"];

    let ran = desk.expect(0, &export);
    let (header, rest) = ran.out.split_once('\n').unwrap();
    assert!(header.starts_with("# Written by groundplan"), "{header}");
    assert_eq!(rest, copy);

    for _ in 0..2 {
        let ran = desk.expect(0, &[&export[..], &["--out", "copy.yaml"]].concat());
        assert!(!format!("{}{}", ran.out, ran.err).contains(PULL_SECRET), "{ran:?}");
    }
    assert_eq!(fs::read_to_string(desk.path("copy.yaml")).unwrap(), format!("{header}\n{copy}"));
    let mode = fs::metadata(desk.path("copy.yaml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "it has the pull secret");
    let ran = desk.expect(64, &[&export[..], &["--out", "install-config.yaml"]].concat());
    assert!(ran.err.starts_with("error[output-file-refused]"), "{ran:?}");

    let ran = desk.expect(0, &["validate", "--release", "5.0"]);
    assert!(ran.err.contains("warning[extension-field]"), "{ran:?}");
    let ran = desk.expect(0, &["validate", "--release", "5.0", "--config", "copy.yaml"]);
    assert_eq!(ran.err, "");
}
