//! Lines as sshd gets them, and what is around them.

use super::*;
use crate::repos::Quota;

const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIE+u6Q/ycvxM1XG7JitWqla/nTKvT29rHS9IUjZMaPwH";

fn key() -> PublicKey {
    PublicKey::parse(&format!("ssh-ed25519 {KEY} jlippmann@NUE-MAC-087")).unwrap()
}

fn repo(path: &str) -> Repo {
    Repo {
        name: "mine".to_owned(),
        path: path.into(),
        user: "borg".to_owned(),
        group: None,
        quota: None,
        keys: vec![(key(), Rights::All)],
        allow_sub_repos: false,
    }
}

#[test]
fn a_line_lets_a_key_work_with_its_repository_only() {
    let check = |repo: &Repo, rights, expected: &str| {
        let text = line(repo, &key(), rights, "ironborg");
        let rest = text.strip_suffix(&format!(
            ",restrict ssh-ed25519 {KEY} jlippmann@NUE-MAC-087"
        ));
        assert_eq!(rest, Some(expected));
    };
    let mut repo = repo("/var/lib/my_borg_repo");
    check(
        &repo,
        Rights::All,
        "command=\"cd '/var/lib/my_borg_repo' && ironborg serve --restrict-to-repository .\"",
    );
    repo.quota = Some(Quota {
        text: "100G".to_owned(),
        bytes: 100_000_000_000,
    });
    repo.allow_sub_repos = true;
    check(
        &repo,
        Rights::AppendOnly,
        "command=\"cd '/var/lib/my_borg_repo' && ironborg serve --restrict-to-path . --append-only \
         --storage-quota 100G\"",
    );
    repo.quota = None;
    repo.allow_sub_repos = false;
    repo.path = "/srv/it's \"mine\"".into();
    check(
        &repo,
        Rights::All,
        "command=\"cd '/srv/it'\\''s \\\"mine\\\"' && ironborg serve --restrict-to-repository .\"",
    );
}

#[test]
fn lines_of_others_are_kept_byte_for_byte() {
    let repo = repo("/srv/a");
    let line = line(&repo, &key(), Rights::All, "ironborg");
    let begin = String::from_utf8(BEGIN.to_vec()).unwrap();
    let ours = format!("{begin}\n{line}\n# END ironborg repos\n");
    let check = |before: &str, after: &str| {
        let other = format!("{begin}\nold line\n# END ironborg repos\n");
        let expected = format!("{before}{ours}{after}");
        let found = replaced(
            format!("{before}{other}{after}").as_bytes(),
            &[&repo],
            "ironborg",
        );
        assert_eq!(found, Ok(expected.clone().into_bytes()));
        assert_eq!(
            replaced(expected.as_bytes(), &[&repo], "ironborg"),
            Ok(expected.clone().into_bytes())
        );
        let without = replaced(expected.as_bytes(), &[], "ironborg");
        assert_eq!(without, Ok(format!("{before}{after}").into_bytes()));
        assert!(is_marked(expected.as_bytes()));
    };
    check("", "");
    check("ssh-rsa AAAA me\r\n\n# comment\n", "");
    check("", "ssh-rsa AAAA me");
    check("a\n", "\n\n b \n");
    // Only a line that does not end is ended.
    let found = replaced(b"ssh-rsa AAAA me", &[&repo], "ironborg").unwrap();
    assert_eq!(found, format!("ssh-rsa AAAA me\n{ours}").into_bytes());
    assert_eq!(
        replaced(b"a\n\xff\0", &[], "ironborg"),
        Ok(b"a\n\xff\0".to_vec())
    );
}

#[test]
fn marks_that_are_out_of_order_are_left_to_people() {
    let begin = String::from_utf8(BEGIN.to_vec()).unwrap();
    let check = |content: &str, line: usize| {
        let found = replaced(content.as_bytes(), &[], "ironborg");
        assert_eq!(found, Err(FileError::Marks(line)), "{content}");
    };
    check(&format!("a\n{begin}\nb\n"), 2);
    check("a\nb\n# END ironborg repos\n", 3);
    check(&format!("{begin}\n{begin}\n# END ironborg repos\n"), 2);
    check(
        &format!("{begin}\n# END ironborg repos\n# END ironborg repos\n"),
        3,
    );
}

#[test]
fn a_key_that_is_let_in_elsewhere_would_not_be_restricted() {
    let repo = repo("/srv/a");
    let check = |content: &str, expected: Option<usize>| {
        let found = replaced(content.as_bytes(), &[&repo], "ironborg");
        let expected = expected.map(|line| FileError::KeyElsewhere {
            line,
            repo: "mine".to_owned(),
        });
        assert_eq!(found.err(), expected, "{content}");
    };
    check(&format!("x\nssh-ed25519 {KEY} somebody\n"), Some(2));
    check(
        &format!("restrict,command=\"a b\" ssh-ed25519 {KEY}"),
        Some(1),
    );
    check(&format!("# ssh-ed25519 {KEY}\n"), None);
    let begin = String::from_utf8(BEGIN.to_vec()).unwrap();
    let own = format!("{begin}\nssh-ed25519 {KEY}\n# END ironborg repos\n");
    check(&own, None);
    check(&format!("{own}x\nssh-ed25519\t{KEY}\n"), Some(5));
}
