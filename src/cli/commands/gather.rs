//! `groundplan gather`: prints the command that gathers the logs of a failed installation. Logs in
//! nowhere.

use std::path::Path;

use groundplan_aws::Aws;
use groundplan_aws::installation::machine_addresses;
use groundplan_engine::apply::Shutdown;
use groundplan_engine::state::State;

use crate::cli::args::{
    CommonArgs, GatherArgs as Arguments, GatherBootstrap, GatherCommand, quoted,
};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::aws_session::{AwsSession, reach, settings_without_config};
use crate::cli::session::input_files::cluster_name;
use crate::cli::session::locked_state::read_unlocked;
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::state_errors::nothing_recorded;
use crate::installation::outputs::{RecordedMachine, bootstrap, masters};
use crate::render::{Code, Diagnostic, document};

pub(crate) async fn run(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    let GatherCommand::Bootstrap(arguments) = &arguments.command;
    unless_stopped(stop, gather_bootstrap(arguments, common, ui)).await
}

async fn gather_bootstrap(
    arguments: &GatherBootstrap,
    common: &CommonArgs,
    ui: &mut Ui,
) -> Result<Exit> {
    let name = cluster_name(arguments.cluster.cluster.as_deref(), common, ui)?;
    let state = read_unlocked(common, &name, ui).await?;
    let state = state.ok_or_else(|| nothing_recorded(&name, &common.state))?;
    let mut machines = Machines { bootstrap: bootstrap(&state), masters: masters(&state) };
    if machines.lack_address() {
        machines.refresh(connected(&state, ui).await?.aws()).await?;
    }
    let Some(address) = machines.bootstrap.as_ref().and_then(RecordedMachine::reachable_ip) else {
        return Err(no_bootstrap(&name, &machines.masters));
    };
    let folder = common.assets.as_deref().unwrap_or(Path::new("."));
    let masters: Vec<&str> =
        machines.masters.iter().filter_map(|one| one.private_ip.as_deref()).collect();
    let words = command(folder, address, &masters, &arguments.key);
    let line: Vec<String> = words.iter().map(|word| quoted(Path::new(word))).collect();
    let line = line.join(" ");
    ui.show(|out| writeln!(out, "{line}"), || document::gather(&line, address, &masters))?;
    if machines.bootstrap.is_some_and(|one| one.public_ip.is_none()) {
        ui.talk("The bootstrap machine has no public address: run the command inside the VPC.")?;
    }
    Ok(Exit::Done)
}

/// Returns the words of the command of openshift-install.
fn command(
    folder: &Path,
    bootstrap: &str,
    masters: &[&str],
    keys: &[std::path::PathBuf],
) -> Vec<String> {
    let fixed = ["openshift-install", "gather", "bootstrap", "--dir"].map(str::to_owned);
    let fixed = fixed.into_iter().chain([folder.display().to_string()]);
    let named = |flag: &str, value: String| [flag.to_owned(), value];
    fixed
        .chain(named("--bootstrap", bootstrap.to_owned()))
        .chain(masters.iter().flat_map(|ip| named("--master", (*ip).to_owned())))
        .chain(keys.iter().flat_map(|key| named("--key", key.display().to_string())))
        .collect()
}

/// Machines whose logs are gathered.
struct Machines {
    bootstrap: Option<RecordedMachine>,
    masters: Vec<RecordedMachine>,
}

impl Machines {
    fn lack_address(&self) -> bool {
        let all = || self.bootstrap.iter().chain(&self.masters);
        self.bootstrap.is_some() && all().any(RecordedMachine::lacks_address)
    }

    /// Reads the addresses from EC2. A machine that EC2 does not return has none.
    async fn refresh(&mut self, aws: &Aws) -> Result<()> {
        let machines = self.bootstrap.iter().chain(&self.masters);
        let ids: Vec<&str> = machines.filter_map(|one| one.id.as_deref()).collect();
        let found = machine_addresses(aws, &ids).await;
        let found = found.map_err(|error| CommandError::call("read the addresses", &error))?;
        for machine in self.bootstrap.iter_mut().chain(&mut self.masters) {
            let live =
                machine.id.as_ref().and_then(|id| found.get(id)).cloned().unwrap_or_default();
            // The address of a master is that of its interface, which outlives the machine.
            machine.private_ip = live.private_ip.or(machine.private_ip.take());
            machine.public_ip = live.public_ip;
        }
        let is_there =
            |one: &RecordedMachine| one.id.as_ref().is_some_and(|id| found.contains_key(id));
        self.bootstrap = self.bootstrap.take().filter(is_there);
        Ok(())
    }
}

async fn connected(state: &State, ui: &mut Ui) -> Result<AwsSession> {
    let cluster = state.cluster.as_ref().map(settings_without_config).unwrap_or_default();
    reach(cluster, state.lookup_cache.account.as_deref(), ui).await
}

fn no_bootstrap(cluster: &str, masters: &[RecordedMachine]) -> CommandError {
    let mut diagnostic = Diagnostic::error(
        Code::BootstrapMissing,
        format!("cluster `{cluster}` has no bootstrap machine"),
    )
    .with_hint("gather the logs of the running cluster with `oc adm must-gather`");
    for master in masters {
        let name = master.name.as_deref().unwrap_or("master");
        let address = master.private_ip.as_deref().unwrap_or("unknown address");
        diagnostic.detail.push(format!("{name}: {address}"));
    }
    CommandError::new(Exit::Failed, diagnostic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_all_addresses_and_keys() {
        let words = command(
            Path::new("my assets"),
            "198.51.100.7",
            &["10.0.0.1", "10.0.0.2"],
            &["~/.ssh/id".into()],
        );
        assert_eq!(
            words.join("|"),
            "openshift-install|gather|bootstrap|--dir|my assets|--bootstrap|198.51.100.7|\
             --master|10.0.0.1|--master|10.0.0.2|--key|~/.ssh/id"
        );
    }

    #[test]
    fn without_a_bootstrap_machine_the_masters_are_named() {
        let master = RecordedMachine {
            name: Some("demo-x7k2p-master-0".into()),
            private_ip: Some("10.0.0.1".into()),
            ..RecordedMachine::default()
        };
        let error = no_bootstrap("demo", &[master]);
        assert_eq!(error.exit, Exit::Failed);
        assert_eq!(error.diagnostics[0].detail, ["demo-x7k2p-master-0: 10.0.0.1"]);
        assert!(error.diagnostics[0].hint.as_ref().unwrap().contains("oc adm must-gather"));
    }

    #[test]
    fn only_a_cluster_with_a_bootstrap_machine_is_read_from_ec2() {
        let known = RecordedMachine {
            id: Some("i-1".into()),
            private_ip: Some("10.0.0.1".into()),
            ..RecordedMachine::default()
        };
        let unknown = RecordedMachine { private_ip: None, ..known.clone() };
        let lack = |bootstrap: Option<&RecordedMachine>, master: &RecordedMachine| {
            let masters = vec![master.clone()];
            Machines { bootstrap: bootstrap.cloned(), masters }.lack_address()
        };
        assert!(!lack(Some(&known), &known));
        assert!(lack(Some(&known), &unknown) && lack(Some(&unknown), &known));
        assert!(lack(Some(&RecordedMachine { is_public: true, ..known.clone() }), &known));
        assert!(!lack(None, &unknown));
    }
}
