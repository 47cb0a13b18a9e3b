//! Instances and images, with their parts.

use aws_sdk_ec2::types::{
    BlockDeviceMapping, EbsBlockDevice, HttpTokensState, IamInstanceProfileSpecification,
    InstanceMetadataOptionsRequest, InstanceMetadataOptionsState, InstanceStateName, ResourceType,
    VolumeType,
};

use super::{Account, filter, refused, tagged};

fn root(volume: EbsBlockDevice) -> BlockDeviceMapping {
    BlockDeviceMapping::builder().device_name("/dev/xvda").ebs(volume).build()
}

#[tokio::test]
async fn the_same_token_is_the_same_instance_until_it_is_terminated() {
    let account = Account::new();
    let subnet = account.subnet(&account.vpc().await).await;
    let first = account.instance(&subnet, "token").await;
    assert_eq!(account.instance(&subnet, "token").await, first);
    let other = account.run(&subnet, "token").instance_type("m6i.2xlarge".into()).send().await;
    assert_eq!(refused(other), "IdempotentParameterMismatch");

    let request = account.ec2.describe_instances().filters(filter("client-token", "token"));
    let found = request.send().await.expect("instances");
    assert_eq!(found.reservations()[0].instances()[0].instance_id(), Some(first.as_str()));

    account.ec2.terminate_instances().instance_ids(&first).send().await.expect("terminated");
    let again = account.run(&subnet, "token").send().await;
    assert_eq!(refused(again), "IdempotentInstanceTerminated");
    assert_eq!(account.cloud.ids()["instance"], serde_json::Value::Null);
}

#[tokio::test]
async fn root_volumes_keep_what_was_asked_for() {
    let account = Account::new();
    let subnet = account.subnet(&account.vpc().await).await;
    for (kind, iops, throughput) in [
        (VolumeType::Io1, 2000, None),
        (VolumeType::Io2, 4000, None),
        (VolumeType::Gp3, 5000, Some(250)),
    ] {
        let volume = EbsBlockDevice::builder()
            .volume_size(120)
            .volume_type(kind.clone())
            .iops(iops)
            .set_throughput(throughput)
            .build();
        let request = account.run(&subnet, kind.as_str()).block_device_mappings(root(volume));
        let made = request
            .tag_specifications(tagged(ResourceType::Volume, "Name", kind.as_str()))
            .send()
            .await
            .expect("an instance");
        assert_eq!(made.instances()[0].root_device_name(), Some("/dev/xvda"));
        let request = account.ec2.describe_volumes().filters(filter("tag:Name", kind.as_str()));
        let volume = request.send().await.expect("volumes").volumes()[0].clone();
        assert_eq!((volume.iops(), volume.throughput()), (Some(iops), throughput));
    }
}

#[tokio::test]
async fn what_cannot_be_launched_is_refused() {
    let account = Account::new();
    let subnet = account.subnet(&account.vpc().await).await;
    let run = |token| account.run(&subnet, token);
    let unknown = run("a").image_id("ami-00000000000000000").send().await;
    assert_eq!(refused(unknown), "InvalidAMIID.NotFound");
    let unknown = run("b").instance_type("m6i.enormous".into()).send().await;
    assert_eq!(refused(unknown), "InvalidParameterValue");
    let other_architecture = run("c").image_id("ami-0abcdef123456789a").send().await;
    assert_eq!(refused(other_architecture), "InvalidParameterValue");
    let options = InstanceMetadataOptionsRequest::builder().http_tokens("Required".into()).build();
    assert_eq!(refused(run("d").metadata_options(options).send().await), "InvalidParameterValue");

    let profile = IamInstanceProfileSpecification::builder().name("profile").build();
    let with_profile = |token| run(token).iam_instance_profile(profile.clone());
    assert_eq!(refused(with_profile("e").send().await), "InvalidParameterValue");
    let request = account.iam.create_instance_profile().instance_profile_name("profile");
    request.send().await.expect("a profile");
    assert_eq!(refused(with_profile("f").send().await), "InvalidParameterValue", "no role in it");
}

#[tokio::test]
async fn an_instance_shows_the_id_of_its_profile_also_after_another_association() {
    let account = Account::new();
    let subnet = account.subnet(&account.vpc().await).await;
    let mut ids = Vec::new();
    for name in ["first", "second"] {
        let request = account.iam.create_instance_profile().instance_profile_name(name);
        let made = request.send().await.expect("a profile").instance_profile.expect("a profile");
        ids.push(made.instance_profile_id().to_owned());
        let role = account.iam.create_role().role_name(name).assume_role_policy_document("{}");
        role.send().await.expect("a role");
        let request = account.iam.add_role_to_instance_profile().instance_profile_name(name);
        request.role_name(name).send().await.expect("added");
    }
    account.cloud.settle("");
    let profile = |name| IamInstanceProfileSpecification::builder().name(name).build();
    let request = account.run(&subnet, "a").iam_instance_profile(profile("first"));
    let launched = request.send().await.expect("an instance");
    let id = launched.instances()[0].instance_id().expect("an ID").to_owned();
    let shown = async || {
        let live = account.described(&id).await;
        live.iam_instance_profile().and_then(|profile| profile.id()).map(str::to_owned)
    };
    assert_eq!(shown().await.as_ref(), Some(&ids[0]));
    let found = account.ec2.describe_iam_instance_profile_associations();
    let found = found.filters(filter("instance-id", &id)).send().await.expect("associations");
    let association = found.iam_instance_profile_associations()[0].association_id().expect("an ID");
    let request = account.ec2.replace_iam_instance_profile_association();
    let request = request.association_id(association).iam_instance_profile(profile("second"));
    request.send().await.expect("replaced");
    assert_eq!(shown().await.as_ref(), Some(&ids[1]));
}

#[tokio::test]
async fn metadata_options_left_out_stay_and_take_their_time() {
    let account = Account::new();
    let subnet = account.subnet(&account.vpc().await).await;
    let id = account.instance(&subnet, "token").await;
    account.cloud.delay("metadata_options_pending", 600.0);
    let modify = || account.ec2.modify_instance_metadata_options().instance_id(&id);
    let said = modify().http_tokens(HttpTokensState::Required).send().await.expect("modified");
    let said = said.instance_metadata_options.expect("options");
    assert_eq!(said.state(), Some(&InstanceMetadataOptionsState::Pending));

    modify().http_put_response_hop_limit(3).send().await.expect("modified");
    let seen = account.described(&id).await.metadata_options.expect("options");
    assert_eq!(seen.state(), Some(&InstanceMetadataOptionsState::Pending));
    assert_eq!(seen.http_tokens(), Some(&HttpTokensState::Required));
    account.cloud.advance(600.0);
    let seen = account.described(&id).await.metadata_options.expect("options");
    assert_eq!(seen.state(), Some(&InstanceMetadataOptionsState::Applied));
    assert_eq!(seen.http_put_response_hop_limit(), Some(3));
    assert_eq!(
        refused(modify().http_tokens("Optional".into()).send().await),
        "InvalidParameterValue"
    );
}

#[tokio::test]
async fn account_defaults_and_images_decide_where_the_launch_does_not() {
    let account = Account::new();
    let subnet = account.subnet(&account.vpc().await).await;
    let tokens = async |id: &str| {
        account.described(id).await.metadata_options.and_then(|options| options.http_tokens)
    };
    let plain = account.instance(&subnet, "plain").await;
    assert_eq!(tokens(&plain).await, Some(HttpTokensState::Optional));
    let image = account.run(&subnet, "image").image_id("ami-0abcdef12345678f2").send().await;
    let image = image.expect("an instance").instances()[0].instance_id.clone().expect("an id");
    assert_eq!(tokens(&image).await, Some(HttpTokensState::Required));

    let request = account.ec2.modify_instance_metadata_defaults().http_tokens("required".into());
    request.send().await.expect("defaults");
    let defaults = account.ec2.get_instance_metadata_defaults().send().await.expect("defaults");
    assert!(defaults.account_level.is_some_and(|level| level.http_tokens.is_some()));
    let inherited = account.instance(&subnet, "inherited").await;
    assert_eq!(tokens(&inherited).await, Some(HttpTokensState::Required));
}

#[tokio::test]
async fn an_account_that_enforces_tokens_launches_and_changes_nothing_without_them() {
    let account = Account::new();
    let subnet = account.subnet(&account.vpc().await).await;
    let before = account.instance(&subnet, "before").await;
    let request = account.ec2.modify_instance_metadata_defaults();
    request.http_tokens_enforced("enabled".into()).send().await.expect("enforced");
    let defaults = account.ec2.get_instance_metadata_defaults().send().await.expect("defaults");
    let level = defaults.account_level.expect("a level");
    assert_eq!(level.http_tokens_enforced.map(|one| one.to_string()), Some("enabled".to_owned()));
    let launch = |tokens: Option<&str>| {
        let options = tokens.map(|tokens| {
            InstanceMetadataOptionsRequest::builder().http_tokens(tokens.into()).build()
        });
        let token = format!("{tokens:?}");
        account.run(&subnet, &token).set_metadata_options(options).send()
    };
    assert_eq!(refused(launch(None).await), "UnsupportedOperation");
    assert_eq!(refused(launch(Some("optional")).await), "UnsupportedOperation");
    launch(Some("required")).await.expect("an instance");
    let modify = |tokens: &str| {
        let call = account.ec2.modify_instance_metadata_options().instance_id(&before);
        call.http_tokens(tokens.into()).send()
    };
    assert_eq!(refused(modify("optional").await), "UnsupportedOperation");
    modify("required").await.expect("changed");
}

#[tokio::test]
async fn tags_in_the_metadata_service_have_no_slash() {
    let account = Account::new();
    let subnet = account.subnet(&account.vpc().await).await;
    let request = account.ec2.modify_instance_metadata_defaults();
    request.instance_metadata_tags("enabled".into()).send().await.expect("defaults");
    let launch = |key: &str, value: &str| {
        let tags = tagged(ResourceType::Instance, key, value);
        account.run(&subnet, key).tag_specifications(tags).send()
    };
    let refusal = launch("kubernetes.io/cluster/demo", "owned").await;
    assert_eq!(refused(refusal), "InvalidParameterValue");
    launch("Name", "demo").await.expect("an instance");
}

#[tokio::test]
async fn states_take_the_time_they_are_given() {
    let account = Account::new();
    let subnet = account.subnet(&account.vpc().await).await;
    account.cloud.delay("instance_pending", 600.0);
    account.cloud.delay("instance_shutting_down", 600.0);
    let state = async |id: &str| {
        account.described(id).await.state.and_then(|state| state.name).expect("a state")
    };
    let wait = || account.cloud.advance(600.0);
    let id = account.instance(&subnet, "token").await;
    assert_eq!(state(&id).await, InstanceStateName::Pending);
    wait();
    assert_eq!(state(&id).await, InstanceStateName::Running);
    account.ec2.terminate_instances().instance_ids(&id).send().await.expect("terminated");
    assert_eq!(state(&id).await, InstanceStateName::ShuttingDown);
    let early = account.ec2.delete_subnet().subnet_id(&subnet).send().await;
    assert_eq!(refused(early), "DependencyViolation");
    wait();
    assert_eq!(state(&id).await, InstanceStateName::Terminated);
    account.ec2.delete_subnet().subnet_id(&subnet).send().await.expect("the subnet is free");
}

#[tokio::test]
async fn a_protected_instance_is_not_terminated() {
    let account = Account::new();
    let subnet = account.subnet(&account.vpc().await).await;
    let made = account.run(&subnet, "token").disable_api_termination(true).send().await;
    let id = made.expect("an instance").instances()[0].instance_id.clone().expect("an id");
    let end = account.ec2.terminate_instances().instance_ids(&id).send().await;
    assert_eq!(refused(end), "OperationNotPermitted");
}

#[tokio::test]
async fn instances_come_in_pages() {
    let account = Account::new();
    let subnet = account.subnet(&account.vpc().await).await;
    for number in 0..7 {
        account.instance(&subnet, &number.to_string()).await;
    }
    let request = account.ec2.describe_instances().max_results(5);
    let first = request.send().await.expect("a page");
    assert_eq!(first.reservations().len(), 5);
    let next = first.next_token().expect("more");
    let request = account.ec2.describe_instances().max_results(5).next_token(next);
    let second = request.send().await.expect("a page");
    assert_eq!((second.reservations().len(), second.next_token()), (2, None));
}

#[tokio::test]
async fn an_image_is_copied_once_per_token() {
    let account = Account::new();
    let copy = || {
        let request = account.ec2.copy_image().source_region("us-east-1").encrypted(true);
        request
            .source_image_id("ami-0abcdef1234567892")
            .name("copy")
            .client_token("token")
            .tag_specifications(tagged(ResourceType::Image, "key", "value"))
            .send()
    };
    let made = copy().await.expect("an image").image_id.expect("an id");
    assert_eq!(copy().await.expect("the image").image_id, Some(made.clone()));
    let request = account.ec2.describe_images().image_ids(&made);
    let image = request.send().await.expect("images").images()[0].clone();
    assert_eq!(image.root_device_name(), Some("/dev/xvda"));
    assert_eq!(image.tags()[0].value(), Some("value"));
}

#[tokio::test]
async fn volumes_and_interfaces_are_made_once_per_token() {
    let account = Account::new();
    let subnet = account.subnet(&account.vpc().await).await;
    let volume = |size| {
        let request = account.ec2.create_volume().availability_zone("us-west-2a").size(size);
        request.client_token("token").send()
    };
    let first = volume(10).await.expect("a volume").volume_id;
    assert_eq!(volume(10).await.expect("the volume").volume_id, first);
    assert_eq!(refused(volume(11).await), "IdempotentParameterMismatch");

    let interface =
        || account.ec2.create_network_interface().subnet_id(&subnet).client_token("token");
    let id = async || {
        let made = interface().send().await.expect("an interface");
        made.network_interface.and_then(|one| one.network_interface_id).expect("an id")
    };
    let first = id().await;
    assert_eq!(id().await, first);
    assert_eq!(
        refused(interface().description("other").send().await),
        "IdempotentParameterMismatch"
    );
}
