//! Lines that are slow, narrow or cut, and what becomes of a backup on them.
//!
//! The proxy in the place of ssh is shown to be faithful first, with stock Borg at both ends.

mod create;
mod extract;
mod line;
mod trials;

use ironborg_testkit::{Home, Program, Run, WireProxy};

use crate::scene::Scene;

/// A machine, and a repository that it knows by its remote location only.
struct Far {
    scene: Scene,
    url: String,
}

impl Far {
    fn new() -> Self {
        let scene = Scene::new();
        let url = WireProxy::url(&scene.repo);
        Self { scene, url }
    }

    /// The same machine, and an exact copy of the repository under another name.
    fn run(&self, proxy: &WireProxy, (client, server): (Program, Program), args: &[&str]) -> Run {
        let home = proxy.before(&self.scene.home, server);
        self.scene.run_on(&home, client, args)
    }

    fn archive(&self, name: &str) -> String {
        format!("{}::{name}", self.url)
    }

    /// Another machine, next to the repository, for a look at it.
    fn near(&self) -> Home {
        Home::new(&self.scene.scratch, "near")
    }

    /// Nobody works on the repository, and nobody is still in it.
    #[track_caller]
    fn assert_unlocked(&self) {
        for name in ["lock.exclusive", "lock.roster"] {
            let path = self.scene.repo.join(name);
            assert!(!path.exists(), "{} stayed behind", path.display());
        }
    }

    /// Stock Borg has nothing to say against the repository, from close by.
    #[track_caller]
    fn assert_checks(&self) {
        let run = self.scene.run_on(
            &self.near(),
            Program::Stock,
            &["check", "--verify-data", self.scene.repo()],
        );
        assert_eq!((run.code(), run.err().as_str()), (0, ""), "{run}");
    }
}
