# Defaults that say everything, and a job that says nothing of it.
{
  networking.hostName = "laptop";
  users.users.me.group = "users";

  services.ironborg = {
    defaults = {
      paths = [ "/home" ];
      repos = [
        {
          url = "ssh://borg@nas/./{job}";
          label = "nas";
          encryption = {
            mode = "keyfile";
            passphraseFile = "/root/nas-passphrase";
          };
          environment.BORG_RELOCATED_REPO_ACCESS_IS_OK = "yes";
        }
        {
          url = "ssh://borg@elsewhere/./{job}";
          encryption.passCommand = "cat /run/keys/elsewhere";
        }
        {
          url = "ssh://borg@third/./{job}";
          encryption.credential = "third";
        }
        {
          url = "ssh://borg@fourth/./{job}";
          encryption.passphrase = "in the store, for all to see";
        }
      ];
      encryption = {
        mode = "repokey-blake2";
        passCommand = "cat /run/keys/borg";
      };
      compression = "zstd";
      dateFormat = "-u +%s";
      appendFailedSuffix = false;
      doInit = false;
      startAt = "03:00";
      persistentTimer = true;
      randomDelay = "15min";
      inhibitsSleep = true;
      group = "wheel";
      user = "me";
      readWritePaths = [ "/var/backup" ];
      privateTmp = false;
      nice = 10;
      io = "best-effort";
      failOnWarnings = false;
      prune.keep.daily = 7;
      compact = false;
      checks = {
        repository = "2 weeks";
        data = "3 months";
        drill = {
          every = "1 month";
          budget = "10min";
        };
      };
      conditions = {
        reachable = false;
        online = true;
        metered = false;
        acPower = true;
        paths = [ "/home/me" ];
        wait = "1h";
      };
      retry = {
        attempts = 2;
        first = "10s";
        longest = "1h";
      };
      notify = {
        by = [ "script" ];
        failure = true;
        recovery = false;
        success = true;
        maxAge = "2 days";
      };
      preHook = "echo before";
      postInit = "echo made";
      postCreate = "echo created";
      postPrune = "echo pruned";
      postHook = "echo after";
      onFailure = "echo failed";
      extraArgs = "--lock-wait 600";
      extraInitArgs = [ "--append-only" ];
      extraCreateArgs = [ "--stats" ];
      extraPruneArgs = "--list";
      extraCompactArgs = "--cleanup-commits";
      extraCheckArgs = "--max-duration=3600";
      settings.prune.keep.weekly = 4;
    };
    jobs.plain = { };
    notify.script = {
      type = "command";
      command = "logger backup";
    };
  };
}
