//! Changes of the number of machines, decided on the live state of the API server.

use std::collections::BTreeMap;
use std::time::Duration;

use groundplan_openshift::machine_api::types::{Machine, MachineSet, read};
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PostParams, Preconditions};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};

use super::super::announcement::{self, announced, differs};
use super::super::pending::ExpectationCheck;
use super::super::selector::Selector;
use super::super::{SetChange, SetError, decide, policy, wanted};
use super::{
    Act, Error, MachineSetController, SETTLED, SetCopy, all_or_until_one_fails, authority_of,
    from_template, is_of, made_up_name, owner_reference, readable_again,
};
use crate::api_server::{WRITER, answer, by};

/// Maximum number of machines that are created before the set is read again.
const BATCH: usize = 250;
/// Maximum number of machines in one response.
const PAGE: u32 = 500;
/// Delay before the next look at names that may be created late.
const SPARE: Duration = Duration::from_secs(5);
/// Delay before a decision that a concurrent change has overtaken is made again.
const OVERTAKEN: Duration = Duration::from_secs(1);

/// Machines of a quorum read.
struct LiveMachines {
    machines: Vec<Machine>,
    /// Versions by UID.
    versions: BTreeMap<String, String>,
}

/// Machines to create. Names in doubt come first: a second creation of such a name takes no effect,
/// while a new name beside it could make one machine too many.
struct Creation {
    names: Vec<String>,
    /// Names in doubt that are not needed.
    spare: Vec<String>,
}

impl Creation {
    fn of(set: &MachineSet, count: usize, mut doubted: Vec<String>) -> Self {
        let spare = doubted.split_off(count.min(BATCH).min(doubted.len()));
        let mut names = doubted;
        while names.len() < count.min(BATCH) {
            names.push(made_up_name(set));
        }
        Self { names, spare }
    }

    fn announced(&self) -> Vec<String> {
        self.names.iter().chain(&self.spare).cloned().collect()
    }
}

impl MachineSetController {
    /// Settles requests, reads the set and its machines, decides on them, and acts. `copy` becomes
    /// the set that was read, with the version of the last own write.
    /// Returns the time until the next look, if no event announces it.
    pub(super) async fn act_on_live_state(
        &self,
        copy: &mut SetCopy,
    ) -> Result<Option<Duration>, Error> {
        let (seen, name) = (&copy.set, copy.set.metadata.name.clone());
        let Some(mut live) = answer("read the set", self.raw_sets.get_opt(&name)).await? else {
            return Ok(None);
        };
        let set = readable_set(&live)?;
        if set.metadata.uid != seen.metadata.uid
            || set.metadata.deletion_timestamp.is_some()
            || !authority_of(&set).allows_changes()
        {
            return Ok(None); // an event follows
        }
        *copy = SetCopy { set: set.clone(), version: live.resource_version() };
        let done = self.act_on(&set, &mut live).await;
        copy.version = live.resource_version();
        done
    }

    async fn act_on(
        &self,
        set: &MachineSet,
        live: &mut DynamicObject,
    ) -> Result<Option<Duration>, Error> {
        self.settle(set).await?;
        let listed = self.live_machines(set).await?;
        let doubted = self.doubted(set, live, &listed);
        let decision = decide(set, &listed.machines, &self.readiness(), self.clock.now())?;
        for orphan in &decision.adopt {
            self.adopt(set, orphan).await?;
        }
        let change = match decision.change {
            Ok(change) => change,
            Err(refusal) => return Err(refusal.into()),
        };
        if let SetChange::Create(count) = change {
            let creation = Creation::of(set, count, doubted);
            self.announce(live, &creation.announced()).await?;
            let have = wanted(set).saturating_sub(count);
            self.create(set, live, &creation.names, &replicas(set, have)).await?;
            let more = count > creation.names.len();
            let look = self.withdraw(set, live, &creation.spare).await?;
            return Ok(if more { Some(Duration::ZERO) } else { look });
        }
        let look = self.withdraw(set, live, &doubted).await?;
        match change {
            SetChange::Delete(_) if !self.is_settled() => {
                Ok(Some(SETTLED.saturating_sub(self.began.elapsed())))
            }
            SetChange::Delete(machines) => {
                let again = self.delete(set, &machines, &listed).await?;
                Ok([look, again].into_iter().flatten().min())
            }
            SetChange::Nothing | SetChange::Create(_) => Ok(look),
        }
    }

    /// Returns the names of machines that may exist although the list does not show them: creations
    /// in doubt of this process, and creations that were announced. All others have results.
    fn doubted(
        &self,
        set: &MachineSet,
        live: &DynamicObject,
        listed: &LiveMachines,
    ) -> Vec<String> {
        let is_listed =
            |name: &String| listed.machines.iter().any(|one| one.metadata.name == *name);
        self.with_pending(set, |pending| {
            for machine in &listed.machines {
                pending.made(machine.clone());
            }
            pending.forget_expired();
            let mut names = pending.doubted();
            names.extend(announced(live));
            names.sort();
            names.dedup();
            names.retain(|name| !is_listed(name));
            names
        })
    }

    /// Removes the announcement, except for these names while their creation may take effect.
    /// Returns the time until the next look, if names are left.
    async fn withdraw(
        &self,
        set: &MachineSet,
        live: &mut DynamicObject,
        spare: &[String],
    ) -> Result<Option<Duration>, Error> {
        let open = self.with_pending(set, |pending| pending.doubted());
        let may_arrive = |name: &&String| !self.is_settled() || open.contains(name);
        let left: Vec<String> = spare.iter().filter(may_arrive).cloned().collect();
        if differs(live, &left) {
            self.announce(live, &left).await?;
        }
        Ok((!left.is_empty()).then_some(SPARE))
    }

    /// Lists the machines that the set selects. The list is not older than its request, and the
    /// version of each machine is known.
    async fn live_machines(&self, set: &MachineSet) -> Result<LiveMachines, Error> {
        let selector = Selector::of(&set.spec.selector)?.to_string();
        let mut page = ListParams::default().labels(&selector).limit(PAGE);
        let mut all = LiveMachines { machines: Vec::new(), versions: BTreeMap::new() };
        loop {
            let listed = answer("list the Machines of a set", self.machine_api.list(&page)).await?;
            for one in listed.items {
                let owned =
                    one.owner_references().iter().any(|owner| owner.uid == set.metadata.uid);
                let version = one.meta().resource_version.clone().unwrap_or_default();
                match one.object {
                    Ok(machine) => {
                        all.versions.insert(machine.metadata.uid.clone(), version);
                        all.machines.push(machine);
                    }
                    // A machine that is not counted would be made a second time.
                    Err(why) if owned => return Err(Error::Unreadable(why)),
                    Err(_) => (),
                }
            }
            match listed.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page.continue_token = Some(token),
                None => return Ok(all),
            }
        }
    }

    /// Announces the names of machines that are about to be created or may be created. Fails if the
    /// set has changed since it was read.
    async fn announce(&self, live: &mut DynamicObject, names: &[String]) -> Result<(), Error> {
        let patch = announcement::patch(live, names.iter().map(String::as_str));
        let name = live.name_any();
        let (by, patch) = (by(), Patch::Merge(patch));
        let asked = self.raw_sets.patch(&name, &by, &patch);
        *live = answer("announce the Machines of a set", asked).await?;
        Ok(())
    }

    /// Creates machines from the live template. `why` is for the log.
    async fn create(
        &self,
        set: &MachineSet,
        live: &DynamicObject,
        names: &[String],
        why: &str,
    ) -> Result<(), Error> {
        let template = &live.data["spec"]["template"];
        let mut all = Vec::<Act<'_>>::new();
        for name in names {
            all.push(Box::pin(self.make(set, from_template(set, template, name), why)));
        }
        all_or_until_one_fails(all).await
    }

    /// Deletes machines. Each deletion is conditional on the version that the decision is based on.
    async fn delete(
        &self,
        set: &MachineSet,
        machines: &[&Machine],
        listed: &LiveMachines,
    ) -> Result<Option<Duration>, Error> {
        let mut all = Vec::<Act<'_>>::new();
        for machine in machines {
            let version = listed.versions.get(&machine.metadata.uid).cloned();
            let have = wanted(set) + machines.len();
            let why = format!("{}, {}", replicas(set, have), policy_reason(set, machine)?);
            all.push(Box::pin(self.unmake(set, (*machine).clone(), version, why)));
        }
        all_or_until_one_fails(all).await?;
        // A machine that changed meanwhile was not deleted.
        let expected = self.with_pending(set, |pending| {
            machines.iter().all(|machine| pending.is_going(&machine.metadata.uid))
        });
        Ok((!expected).then_some(OVERTAKEN))
    }

    /// Creates a machine of this name once, even if the call is repeated.
    async fn make(&self, set: &MachineSet, object: Value, why: &str) -> Result<(), Error> {
        let machine: Machine = read(&object).map_err(|why| Error::Unreadable(why.to_string()))?;
        self.with_pending(set, |pending| pending.making(&machine));
        let name = machine.metadata.name.as_str();
        let object = serde_json::from_value(object).expect("BUG: it has metadata");
        let by = PostParams { field_manager: Some(WRITER.to_owned()), ..PostParams::default() };
        match answer("create a Machine", self.raw_machines.create(&by, &object)).await {
            Ok(made) => {
                let made = readable_again(&made)?;
                self.with_pending(set, |pending| pending.made(made));
                self.log(set, &format!("created Machine {name} ({why})"));
                Ok(())
            }
            Err(error) if error.is(409) => self.take_or_leave(set, name).await,
            Err(error) => {
                if error.is_final() {
                    self.with_pending(set, |pending| pending.not_made(name));
                }
                Err(error.into())
            }
        }
    }

    /// Handles a machine that already has this name. The machine is ours if its owner is the set,
    /// which happens after a creation in doubt.
    async fn take_or_leave(&self, set: &MachineSet, name: &str) -> Result<(), Error> {
        let there = answer("read a Machine", self.machine_api.get_opt(name)).await?;
        let ours = there.and_then(|there| there.object.ok()).filter(|one| is_of(set, one));
        if ours.is_some() {
            self.log(set, &format!("created Machine {name} (by a request without a response)"));
        }
        self.with_pending(set, |pending| match ours {
            Some(ours) => pending.made(ours),
            None => pending.not_made(name),
        });
        Ok(())
    }

    async fn unmake(
        &self,
        set: &MachineSet,
        machine: Machine,
        resource_version: Option<String>,
        why: String,
    ) -> Result<(), Error> {
        self.with_pending(set, |pending| pending.deleting(&machine, resource_version.clone()));
        let (name, uid) = (&machine.metadata.name, &machine.metadata.uid);
        let preconditions = Preconditions { uid: Some(uid.clone()), resource_version };
        let by = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match answer("delete a Machine", self.machine_api.delete(name, &by)).await {
            Ok(_) => {
                self.with_pending(set, |pending| pending.deleted(uid));
                self.log(set, &format!("deleted Machine {name} ({why})"));
            }
            // The machine is gone.
            Err(error) if error.is(404) => self.with_pending(set, |pending| pending.deleted(uid)),
            // The machine has changed since the decision, or another machine has its name.
            Err(error) if error.is(409) => {
                self.with_pending(set, |pending| pending.not_deleted(uid));
            }
            Err(error) => {
                if error.is_final() {
                    self.with_pending(set, |pending| pending.not_deleted(uid));
                }
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Settles all deletions in doubt, and all requests that are overdue. A creation in doubt is
    /// repeated only if a machine is missing.
    async fn settle(&self, set: &MachineSet) -> Result<(), Error> {
        self.view(set); // what is seen is settled
        for doubt in self.with_pending(set, |pending| pending.doubts()) {
            match doubt {
                ExpectationCheck::Make(_) => (),
                ExpectationCheck::Delete(machine, version) => {
                    let why = "an earlier request had no response".to_owned();
                    self.unmake(set, machine, version, why).await?;
                }
                ExpectationCheck::IsThere(machine) | ExpectationCheck::IsGoing(machine) => {
                    self.check(set, &machine).await?;
                }
            }
        }
        Ok(())
    }

    /// Checks an overdue request. A request whose result does not hold is no longer expected.
    async fn check(&self, set: &MachineSet, machine: &Machine) -> Result<(), Error> {
        let (name, uid) = (&machine.metadata.name, &machine.metadata.uid);
        let there = answer("read a Machine", self.machine_api.get_opt(name)).await?;
        let there = there.and_then(|one| one.object.ok()).filter(|one| one.metadata.uid == *uid);
        self.with_pending(set, |pending| match there {
            None => pending.not_made(name),
            Some(one) if one.metadata.deletion_timestamp.is_none() => {
                pending.not_deleted(uid);
                pending.restart_timeout(machine);
            }
            Some(_) => pending.restart_timeout(machine),
        });
        Ok(())
    }

    /// Adopts an orphan. The patch is conditional on its version, because another process may have
    /// adopted the orphan meanwhile.
    async fn adopt(&self, set: &MachineSet, orphan: &Machine) -> Result<(), Error> {
        let name = &orphan.metadata.name;
        let live = answer("read a Machine without owner", self.raw_machines.get_opt(name)).await?;
        let Some(live) =
            live.filter(|live| live.metadata.uid.as_ref() == Some(&orphan.metadata.uid))
        else {
            return Ok(());
        };
        let owners = live.metadata.owner_references.unwrap_or_default();
        if owners.iter().any(|owner| owner.controller == Some(true)) {
            return Ok(());
        }
        let mut owners = json!(owners);
        owners.as_array_mut().expect("BUG: it is a list").push(owner_reference(set));
        let patch = json!({"metadata": {"ownerReferences": owners, "uid": orphan.metadata.uid,
                                        "resourceVersion": live.metadata.resource_version}});
        let patch = Patch::Merge(patch);
        answer("adopt a Machine", self.machine_api.patch(name, &by(), &patch)).await?;
        Ok(())
    }
}

/// Returns the change of the number of machines, for the log.
fn replicas(set: &MachineSet, have: usize) -> String {
    format!("replicas {have} -> {}", wanted(set))
}

/// Returns why the delete policy selects a machine, for the log.
fn policy_reason(set: &MachineSet, machine: &Machine) -> Result<String, SetError> {
    let policy: policy::Policy = set.spec.delete_policy.parse()?;
    Ok(format!("delete policy {policy:?}: {}", policy::reason(policy, machine)))
}

fn readable_set(object: &DynamicObject) -> Result<MachineSet, Error> {
    let value = serde_json::to_value(object).map_err(|why| Error::Unreadable(why.to_string()))?;
    read(&value).map_err(|why| Error::Unreadable(why.to_string()))
}
