//! After a command was killed: it has happened whole, or not at all, or has left a checkpoint.

use std::rc::Rc;

use ironborg_testkit::{Random, Run};

use super::model::{Archived, Archives};
use super::reading::extract;
use super::world::World;

/// Finds out what a command that should have led to these archives has done before it was killed.
///
/// Archives both before and after it must be there. Several that are deleted may go one by one.
#[track_caller]
pub(super) fn settle(world: &mut World, random: &mut Random, after: &Archives, killed: &Run) {
    let who = world.anyone(random);
    world.patient = true;
    let names = world.names(&who);
    let before = world.archives.clone();
    let mut found = Archives::new();
    for name in &names {
        let candidates: Vec<&Rc<Archived>> = [before.get(name), after.get(name)]
            .into_iter()
            .flatten()
            .collect();
        let archived = match candidates[..] {
            [one, other] if one == other => Rc::clone(one),
            [] => beginning(world, random, name, after, killed),
            _ => one_of_these(world, random, name, &candidates),
        };
        found.insert(name.clone(), archived);
    }
    for name in before.keys().filter(|name| after.contains_key(*name)) {
        let stand_in = format!("{name}.recreate");
        assert!(
            found.contains_key(name) || found.contains_key(&stand_in),
            "{name} is lost\n{killed}"
        );
    }
    let replaces = after.keys().any(|name| !before.contains_key(name));
    let lost = before
        .keys()
        .filter(|name| !found.contains_key(*name))
        .count();
    if replaces && lost > 0 {
        let is_whole = after.keys().all(|name| found.contains_key(name));
        assert!(is_whole, "neither before nor after: {names:?}\n{killed}");
    }
    world.adopt(found);
}

/// What was left under a name of its own is the beginning of what was to be made.
#[track_caller]
fn beginning(
    world: &mut World,
    random: &mut Random,
    name: &str,
    after: &Archives,
    killed: &Run,
) -> Rc<Archived> {
    let whole = after.iter().find(|(whole, _)| {
        let rest = name.strip_prefix(whole.as_str());
        rest.is_some_and(|rest| rest.starts_with(".checkpoint") || rest.starts_with(".recreate"))
    });
    let (_, whole) = whole.unwrap_or_else(|| panic!("who has made {name}?\n{killed}"));
    let who = world.anyone(random);
    let (run, files) = extract(world, &who, name, &[], &[]);
    let run = run.ok();
    let differences = whole.differences_of_beginning(&files);
    assert!(differences.is_empty(), "{name}: {differences:?}\n{run}");
    // Everything that was found has been compared: it is in the model now.
    Rc::new(whole.part(|path| files.nodes.contains_key(path)))
}

/// The archive is whole, as it was or as it was to be.
#[track_caller]
fn one_of_these(
    world: &mut World,
    random: &mut Random,
    name: &str,
    candidates: &[&Rc<Archived>],
) -> Rc<Archived> {
    let who = world.anyone(random);
    let (run, files) = extract(world, &who, name, &[], &[]);
    let differences: Vec<_> = candidates
        .iter()
        .map(|candidate| candidate.differences(&files))
        .collect();
    let same = differences.iter().position(Vec::is_empty);
    let same = same.unwrap_or_else(|| panic!("{name} is neither: {differences:?}\n{run}"));
    Rc::clone(candidates[same])
}
