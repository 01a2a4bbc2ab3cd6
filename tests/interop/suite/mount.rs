//! Archives mounted through the real kernel: what ours shows is what stock Borg's mount shows, and what was backed up.

mod filters;
mod hostile;
mod trees;
mod versions;
mod writers;

use std::cell::{OnceCell, RefCell};
use std::os::unix::process::ExitStatusExt;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use ironborg_testkit::{Home, Mount, Program, StockHost, View};

use crate::scene::{Scene, text};

/// Longest time until a mount shows what was committed.
const NOTICED: Duration = Duration::from_secs(20);

/// Mounts of one scene, in the foreground; stock Borg's are forked from one process that has it loaded.
struct Mounts<'s> {
    scene: &'s Scene,
    stock: OnceCell<Rc<RefCell<StockHost>>>,
    /// Times from here on are those of the mounts themselves: what they show was made before.
    since: SystemTime,
}

impl<'s> Mounts<'s> {
    /// Call when everything that will be mounted has been made.
    fn of(scene: &'s Scene) -> Self {
        // Times of files lag behind the clock by up to a tick.
        let since = SystemTime::now() - Duration::from_millis(20);
        Self {
            scene,
            stock: OnceCell::new(),
            since,
        }
    }

    fn host(&self) -> &Rc<RefCell<StockHost>> {
        self.stock.get_or_init(|| {
            let mut stock = StockHost::start(&self.scene.home);
            stock.load_mounts();
            Rc::new(RefCell::new(stock))
        })
    }

    /// `borg mount --foreground OPTIONS LOCATION MOUNTPOINT PATHS`
    #[track_caller]
    fn mount(&self, program: Program, options: &[&str], location: &str, paths: &[&str]) -> Mount {
        self.mount_on(&self.scene.home, program, options, location, paths)
    }

    /// The same on another machine.
    #[track_caller]
    fn mount_on(
        &self,
        home: &Home,
        program: Program,
        options: &[&str],
        location: &str,
        paths: &[&str],
    ) -> Mount {
        let mountpoint = self.scene.empty_dir(&format!("mnt-{}", program.name()));
        let place = text(&mountpoint);
        let args = [
            &["mount", "--foreground"],
            options,
            &[location, place],
            paths,
        ]
        .concat();
        match program {
            Program::Stock => {
                let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
                let place = (home, self.scene.scratch.path());
                Mount::start_stock(self.host(), place, &args, &mountpoint)
            }
            Program::Ours => {
                let run = home.invocation(program, &args);
                Mount::start(run.dir(self.scene.scratch.path()), &mountpoint)
            }
        }
    }

    fn view(&self, mount: &Mount) -> View {
        View::of(mount.path(), self.since)
    }

    /// Both programs mount the same, show the same, say the same and end alike when unmounted. Gives back what is shown.
    #[track_caller]
    fn compare(&self, options: &[&str], location: &str, paths: &[&str]) -> View {
        let (view, [stock, ours]) = self.compare_views(options, location, paths);
        let what = format!("mount {options:?} {location} {paths:?}");
        assert_eq!(stock, ours, "{what}: exit code and log, stock's first");
        view
    }

    /// Both programs mount the same and show the same. Gives that back, and how each ended, stock Borg first.
    #[track_caller]
    fn compare_views(
        &self,
        options: &[&str],
        location: &str,
        paths: &[&str],
    ) -> (View, [(Option<i32>, String); 2]) {
        let stock = self.mount(Program::Stock, options, location, paths);
        let wanted = self.view(&stock);
        let stock = end(stock);
        let ours = self.mount(Program::Ours, options, location, paths);
        // Stock Borg shows no ACLs; what ours shows is compared with extraction.
        let found = self.view(&ours).without_acls();
        wanted.assert_same(&found, &format!("mount {options:?} {location} {paths:?}"));
        (wanted, [stock, end(ours)])
    }
}

/// Unmounts; the exit code, and the log without what depends on the mount point.
#[track_caller]
fn end(mount: Mount) -> (Option<i32>, String) {
    let place = text(mount.path()).to_owned();
    let (status, log) = mount.unmount();
    assert_eq!(status.signal(), None, "{log}");
    (status.code(), log.replace(&place, "MOUNTPOINT"))
}

/// Waits for something a mount shows sooner or later.
#[track_caller]
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + NOTICED;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {NOTICED:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
