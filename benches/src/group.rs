//! Rows of one setting: their contestants, and what is in the repositories that they share.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::Path;

use anyhow::{Context, Error, Result};

use crate::contestant::Contestant;
use crate::limits::{self, Amounts, Limit, Rates};
use crate::measure::{Measurement, settle, warm};
use crate::mounting::{self, Use};
use crate::options::Options;
use crate::rows::{self, CheckPart, Index, KEPT, Kind, MANY, Many, Row, Setting, Tree};
use crate::tools::{Deed, Tool};
use crate::trees::{self, Changes};

/// All that rows of one setting share.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    options: &'a Options,
    setting: Setting,
    tree: &'a Path,
    contestants: Vec<Contestant>,
    /// Which programs' repositories have which backups.
    made: BTreeSet<(Tool, String)>,
    /// What has been changed in the tree, to be put back.
    changes: Option<Changes>,
    /// Whether there are repositories of many archives.
    has_many: bool,
    /// What the machine does with these files, measured once.
    rates: Option<Rates>,
    amounts: Amounts,
}

/// Names of states of a repository with many archives that are kept aside: all but the last archive made; all made; most of
/// them pruned.
const BUT_ONE: &str = "but-one";
const ALL: &str = "all";
const PRUNED: &str = "pruned";

impl<'a> Group<'a> {
    pub(crate) fn new(
        options: &'a Options,
        setting: Setting,
        tree: &'a Path,
        rows: &[&'static Row],
    ) -> Result<Self> {
        let tools = options.tools().into_iter();
        let tools = tools.filter(|tool| rows.iter().any(|row| row.takes(*tool)));
        let name = setting.name();
        let mut contestants = tools
            .map(|tool| Contestant::new(options, tool, setting.wire, &name))
            .collect::<Result<Vec<_>>>()?;
        if setting.ours_twice {
            let ours = contestants[0].clone();
            contestants[1].play_with(&ours);
        }
        Ok(Self {
            options,
            setting,
            tree,
            contestants,
            made: BTreeSet::new(),
            changes: None,
            has_many: false,
            rates: None,
            amounts: Amounts::default(),
        })
    }

    pub(crate) fn tree(&self) -> &Path {
        self.tree
    }

    /// The programs of a row.
    pub(crate) fn taking_part(&self, row: &Row) -> Vec<Tool> {
        let tools = self.contestants.iter().map(|contestant| contestant.tool);
        tools.filter(|tool| row.takes(*tool)).collect()
    }

    pub(crate) fn contestant(&self, tool: Tool) -> &Contestant {
        let mut contestants = self.contestants.iter();
        let found = contestants.find(|contestant| contestant.tool == tool);
        found.expect("only programs of the group take part")
    }

    /// Makes what has to be there before the first timed run; says who failed in that.
    pub(crate) fn prepare(&mut self, kind: Kind, tools: &[Tool]) -> Result<Vec<(Tool, Error)>> {
        let needed: &[&str] = match kind {
            Kind::First | Kind::Version => return Ok(Vec::new()),
            Kind::Many(many) => {
                self.prepare_many(many)?;
                return Ok(Vec::new());
            }
            // The newest files of a run are read once more in the next; that one is not timed.
            Kind::Unchanged | Kind::Changed | Kind::Job(_) => &["a", "b"],
            _ => &["a"],
        };
        let mut failed = Vec::new();
        for tool in tools {
            let result = needed.iter().try_for_each(|name| self.ensure(*tool, name));
            let result = result.and_then(|()| self.prepare_one(kind, *tool));
            failed.extend(result.err().map(|error| (*tool, error)));
        }
        if kind == Kind::Diff {
            let name = changed_name(0);
            let has = |tool: &Tool| self.made.contains(&(*tool, name.clone()));
            if !tools.iter().all(has) {
                self.change(0)?;
            }
            for tool in tools {
                let result = self.ensure(*tool, &name);
                failed.extend(result.err().map(|error| (*tool, error)));
            }
        }
        Ok(failed)
    }

    fn prepare_one(&self, kind: Kind, tool: Tool) -> Result<()> {
        let contestant = self.contestant(tool);
        match kind {
            Kind::ImportTar => self.export_tar(contestant).map(drop),
            Kind::Job(_) => rows::configure_job(contestant, self.tree),
            _ => Ok(()),
        }
    }

    /// Makes a backup, and the repository, unless they are there.
    fn ensure(&mut self, tool: Tool, name: &str) -> Result<()> {
        let of_tool = |made: &BTreeSet<(Tool, String)>| made.iter().any(|(of, _)| *of == tool);
        if self.made.contains(&(tool, name.to_owned())) {
            return Ok(());
        }
        let contestant = self.contestant(tool).on_a_fast_line(self.options)?;
        if !of_tool(&self.made) {
            contestant.init(self.setting.mode)?;
        }
        self.backup(&contestant, name)?;
        self.made.insert((tool, name.to_owned()));
        Ok(())
    }

    fn backup(&self, contestant: &Contestant, name: &str) -> Result<Measurement> {
        let compression = self.setting.compression;
        contestant.perform(self.tree, Deed::Backup { name, compression })
    }

    /// Changes one file in a hundred, others than in earlier repetitions.
    pub(crate) fn change(&mut self, repetition: usize) -> Result<()> {
        let changes = match &mut self.changes {
            Some(changes) => changes,
            none => none.insert(Changes::begin(self.options, self.tree)?),
        };
        changes.change_hundredth(repetition)
    }

    /// Has ours make a repository with many archives, and gives stock Borg a copy.
    fn prepare_many(&mut self, many: Many) -> Result<()> {
        let [ours, stock] = self.contestants.as_slice() else {
            anyhow::bail!("rows on many archives are of two programs");
        };
        if !self.has_many {
            ours.init(self.setting.mode)?;
            for generation in 0..MANY - 1 {
                trees::change(self.options, self.tree, generation)?;
                self.backup(ours, &archive_name(generation))?;
            }
            trees::change(self.options, self.tree, MANY - 1)?;
            stock.take_repository(ours)?;
            for contestant in [ours, stock] {
                contestant.save(BUT_ONE)?;
            }
            self.has_many = true;
        }
        for contestant in [ours, stock] {
            if many != Many::CachesGone && !contestant.has_saved(ALL) {
                // Whoever has made the last one knows all of them.
                contestant.restore(BUT_ONE)?;
                self.backup(contestant, &archive_name(MANY - 1))?;
                contestant.save(ALL)?;
            }
            if many == Many::Compact && !contestant.has_saved(PRUNED) {
                contestant.restore(ALL)?;
                prune(contestant, self.tree)?;
                contestant.save(PRUNED)?;
            }
        }
        Ok(())
    }

    /// One timed run.
    pub(crate) fn run_once(
        &mut self,
        kind: Kind,
        tool: Tool,
        repetition: usize,
    ) -> Result<Measurement> {
        if kind == Kind::First {
            return self.run_first(tool);
        }
        let (contestant, tree) = (self.contestant(tool), self.tree);
        let repository = contestant.location();
        let words = |words: &[&str]| contestant.run(tree, words);
        if !matches!(kind, Kind::Many(_) | Kind::Version) {
            warm(&contestant.repository())?;
        }
        match kind {
            Kind::First => unreachable!("was run before"),
            Kind::Unchanged => self.run_again(contestant, &format!("again{repetition}")),
            Kind::Changed => {
                let name = changed_name(repetition);
                let measurement = self.run_again(contestant, &name)?;
                self.made.insert((tool, name));
                Ok(measurement)
            }
            Kind::Extract => {
                let dir = contestant.empty_dir("out")?;
                settle();
                let measurement = contestant.perform(&dir, Deed::Extract { name: "a" })?;
                contestant.empty_dir("out")?;
                Ok(measurement)
            }
            Kind::List => contestant.perform(tree, Deed::List { name: "a" }),
            Kind::Archives => contestant.perform(tree, Deed::Archives),
            Kind::Info => words(&["info", &repository]),
            Kind::ExportTar => {
                settle();
                self.export_tar(contestant)
            }
            Kind::ImportTar => {
                settle();
                let archive = contestant.archive(&format!("imported{repetition}"));
                let words = ["import-tar", "--compression", self.setting.compression];
                let words = words.map(OsString::from);
                let end = [OsString::from(archive), contestant.beside("out.tar").into()];
                contestant.with_size(contestant.run(tree, words.into_iter().chain(end))?)
            }
            Kind::Diff => {
                let to = &changed_name(0);
                contestant.perform(tree, Deed::Diff { from: "a", to })
            }
            Kind::Check(CheckPart::AllData) => {
                settle();
                contestant.perform(tree, Deed::CheckData)
            }
            Kind::Check(CheckPart::Repository) if tool == Tool::Stock => {
                settle();
                contestant.read_and_checksum(&contestant.repository().join("data"))
            }
            Kind::Check(part) => {
                settle();
                words(&["check", part.option(), &repository])
            }
            Kind::Many(many) => self.run_many(tool, many),
            Kind::Mount(usage, index) => self.mount(contestant, usage, index),
            Kind::Job(_) => rows::run_job(contestant, tree, repetition),
            Kind::Version => words(&["--version"]),
        }
    }

    fn run_first(&mut self, tool: Tool) -> Result<Measurement> {
        self.made.retain(|(of, _)| *of != tool);
        let contestant = self.contestant(tool);
        contestant.init(self.setting.mode)?;
        let measurement = self.run_again(contestant, "a")?;
        self.made.insert((tool, "a".to_owned()));
        Ok(measurement)
    }

    fn run_again(&self, contestant: &Contestant, name: &str) -> Result<Measurement> {
        warm(self.tree)?;
        settle();
        contestant.with_size(self.backup(contestant, name)?)
    }

    fn run_many(&mut self, tool: Tool, many: Many) -> Result<Measurement> {
        let contestant = self.contestant(tool);
        let repository = contestant.location();
        let words = |words: &[&str]| contestant.run(self.tree, words);
        match many {
            Many::CachesGone => contestant.restore(BUT_ONE)?,
            Many::Compact => contestant.restore(PRUNED)?,
            _ => contestant.restore(ALL)?,
        }
        let is_ours = contestant.tool == Tool::Ours;
        if many == Many::CachesGone || (many == Many::PruneUnseen && is_ours) {
            contestant.forget()?;
        }
        warm(&contestant.repository())?;
        if many == Many::CachesGone {
            warm(self.tree)?;
        }
        settle();
        let before = segments(contestant)?;
        let measurement = match many {
            Many::CachesGone => self.backup(contestant, &archive_name(MANY - 1)),
            Many::Delete => words(&["delete", &contestant.archive(&archive_name(20))]),
            Many::Prune | Many::PruneUnseen => prune(contestant, self.tree),
            Many::Compact => words(&["compact", &repository]),
            Many::InfoOfAll => words(&["info", "--glob-archives", "*", &repository]),
        }?;
        match many {
            // Made by stock Borg with its caches gone, it is what it is made with them, and making it is slow.
            Many::CachesGone if !is_ours && !contestant.has_saved(ALL) => contestant.save(ALL)?,
            Many::Prune if !contestant.has_saved(PRUNED) => contestant.save(PRUNED)?,
            Many::Compact if is_ours => {
                let written = segments(contestant)?.into_iter();
                let written = written.filter(|(segment, _)| !before.contains_key(segment));
                self.amounts.compacted = written.map(|(_, len)| len as f64).sum();
            }
            _ => {}
        }
        self.contestant(tool).with_size(measurement)
    }

    /// Mounts the archive, and uses it, as something its machine has seen before, or not.
    fn mount(&self, contestant: &Contestant, usage: Use, index: Index) -> Result<Measurement> {
        let archive = contestant.archive("a");
        let deep = trees::deep_small(self.options);
        match index {
            Index::Absent => contestant.forget()?,
            Index::Present => drop(mounting::measure(contestant, &archive, Use::List, &deep)?),
        }
        settle();
        mounting::measure(contestant, &archive, usage, &deep)
    }

    fn export_tar(&self, contestant: &Contestant) -> Result<Measurement> {
        let archive = contestant.archive("a");
        let tarball = contestant.beside("out.tar");
        let words = [OsStr::new("export-tar"), archive.as_ref(), tarball.as_ref()];
        contestant.run(self.tree, words)
    }

    /// What a row leaves behind and no other wants.
    pub(crate) fn after(&self, kind: Kind, tools: &[Tool]) -> Result<()> {
        if matches!(kind, Kind::ExportTar | Kind::ImportTar) {
            for tool in tools {
                let tarball = self.contestant(*tool).beside("out.tar");
                std::fs::remove_file(&tarball).with_context(|| format!("{}", tarball.display()))?;
            }
        }
        Ok(())
    }

    /// What the machine allows, after the row was run.
    pub(crate) fn limit(&mut self, kind: Kind) -> Result<Option<Limit>> {
        if self.setting.tree == Tree::None {
            return Ok(None);
        }
        let rates = match self.rates {
            Some(rates) => rates,
            None => *self.rates.insert(limits::measure(
                &self.setting,
                self.tree,
                &self.options.dir,
            )?),
        };
        if self.amounts.stored == 0.0 {
            let compacted = self.amounts.compacted;
            self.amounts = Amounts {
                compacted,
                ..self.amounts_stored()?
            };
        }
        Ok(limits::limit(kind, &self.setting, &rates, &self.amounts))
    }

    /// What ours says is in the repository.
    fn amounts_stored(&self) -> Result<Amounts> {
        let ours = self.contestant(Tool::Ours).on_a_fast_line(self.options)?;
        ours.run(self.tree, ["info", "--json", &ours.location()])?;
        let told: serde_json::Value = serde_json::from_str(&ours.output())?;
        let figure = |name| {
            let figure = told["cache"]["stats"][name].as_f64();
            figure.with_context(|| format!("info does not tell {name}"))
        };
        Ok(Amounts {
            unique: figure("unique_size")?,
            stored: figure("unique_csize")?,
            ..Amounts::default()
        })
    }

    /// Puts the tree back, and removes all repositories.
    pub(crate) fn end(self) -> Result<()> {
        if let Some(changes) = self.changes {
            changes.undo()?;
        }
        if self.options.keep {
            return Ok(());
        }
        self.contestants.iter().try_for_each(Contestant::clear)
    }
}

/// The segments of a repository and how long they are.
fn segments(contestant: &Contestant) -> Result<BTreeMap<OsString, u64>> {
    let mut segments = BTreeMap::new();
    for dir in std::fs::read_dir(contestant.repository().join("data"))? {
        for segment in std::fs::read_dir(dir?.path())? {
            let segment = segment?;
            segments.insert(segment.file_name(), segment.metadata()?.len());
        }
    }
    Ok(segments)
}

fn prune(contestant: &Contestant, tree: &Path) -> Result<Measurement> {
    let repository = contestant.location();
    contestant.run(tree, ["prune", "--keep-last", KEPT, &repository])
}

fn archive_name(generation: usize) -> String {
    format!("a{generation:02}")
}

fn changed_name(repetition: usize) -> String {
    format!("changed{repetition}")
}
