# Configurations that do not evaluate.
{
  unknown-option.services.ironborg.jobs.a.path = "/home";
  wrong-type.services.ironborg.jobs.a.paths = 7;
  wrong-mode.services.ironborg.jobs.a.encryption.mode = "rot13";
  wrong-keep.services.ironborg.jobs.a.prune.keep.daily = "many";
  wrong-base.services.ironborg.jobs.a.archiveBaseName = "a/b";
  wrong-nice.services.ironborg.jobs.a.nice = 20;
  relative-write.services.ironborg.jobs.a.readWritePaths = [ "var" ];
  notifier-without-type.services.ironborg = {
    jobs.a.paths = "/home";
    notify.a = { };
  };
  repository-without-url.services.ironborg.jobs.a.repos = [ { label = "x"; } ];
  wrong-quota.services.ironborg.repos.a = {
    quota = "much";
    authorizedKeys = [ "ssh-ed25519 AAAA a" ];
  };
  two-lines.services.ironborg.repos.a.authorizedKeys = [ "ssh-ed25519 AAAA a\nssh-ed25519 BBBB b" ];
  mount-without-source.services.ironborg.automount.a = { };
}
