# Jobs that have every option between them.
{
  networking.hostName = "laptop";
  users.users.me.group = "users";

  services.ironborg = {
    metrics = "/var/lib/prometheus-node-exporter-text-files";
    settings.notify.phone.priority = "high";

    defaults = {
      exclude = [
        "{path}/.cache"
        "sh:**/*.tmp"
      ];
      patterns = [ "- *.iso" ];
      environment.BORG_RSH = "ssh -i /root/.ssh/backup";
      extraArgs = [ "--show-rc" ];
      notify = {
        by = [
          "mail"
          "phone"
        ];
        maxAge = "26h";
      };
    };

    jobs.files = {
      paths = [
        "/home"
        "/etc"
      ];
      exclude = [ "/home/*/Downloads" ];
      patterns = [
        "+ /home/me/*.iso"
        "- /home/me/with \"quotes\" and \\"
      ];
      repos = [
        "ssh://borg@nas/./laptop"
        {
          url = "/mnt/disk/laptop";
          label = "disk";
          encryption = {
            mode = "keyfile-blake2";
            passphraseFile = "/root/disk-passphrase";
          };
          environment.BORG_RELOCATED_REPO_ACCESS_IS_OK = "yes";
        }
        {
          url = "ssh://borg@elsewhere/./laptop";
          encryption.passCommand = "cat /run/keys/elsewhere";
        }
        {
          url = "ssh://borg@third/./laptop";
          encryption.credential = "third";
        }
        {
          url = "ssh://borg@fourth/./laptop";
          encryption.passphrase = "in the store, for all to see";
        }
      ];
      encryption = {
        mode = "repokey-blake2";
        passCommand = "cat /run/keys/borg";
      };
      compression = "auto,zstd,10";
      archiveBaseName = "everything";
      dateFormat = "+%Y-%m-%d";
      appendFailedSuffix = false;
      doInit = false;
      startAt = [
        "Mon..Fri 09:00"
        "Sat 12:00"
      ];
      persistentTimer = true;
      randomDelay = "15min";
      inhibitsSleep = true;
      user = "me";
      group = "wheel";
      readWritePaths = [ "/var/backup/mysqldump" ];
      privateTmp = false;
      nice = 10;
      io = "best-effort:6";
      environment.BORG_FILES_CACHE_TTL = "40";
      failOnWarnings = false;
      prune.keep = {
        within = "1d";
        daily = 7;
        weekly = 4;
        monthly = -1;
      };
      prune.prefix = "every";
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
        reachable = true;
        online = true;
        metered = false;
        acPower = true;
        paths = [ "/mnt/disk/laptop" ];
        wait = "1h";
      };
      retry = {
        attempts = 5;
        first = "30s";
        longest = "10min";
      };
      notify = {
        by = [ "mail" ];
        failure = true;
        recovery = false;
        success = true;
        maxAge = "3 days";
      };
      preHook = ''
        mysqldump --all-databases > /var/backup/mysqldump/all.sql
      '';
      postInit = "echo made";
      postCreate = "echo \"$archiveName\"";
      postPrune = "echo pruned";
      postHook = "echo $exitStatus";
      onFailure = "echo failed";
      extraArgs = [ "--lock-wait=600" ];
      extraInitArgs = "--append-only";
      extraCreateArgs = "--stats --checkpoint-interval 600";
      extraPruneArgs = [ "--list" ];
      extraCompactArgs = [ "--cleanup-commits" ];
      extraCheckArgs = [ "--max-duration=3600" ];
      settings.prune.keep.yearly = 3;
    };

    jobs.dump = {
      dumpCommand = "/run/current-system/sw/bin/dump-database";
      repo = "/mnt/stick/dump";
      removableDevice = true;
      encryption = {
        mode = "authenticated";
        passphrase = "in the store, for all to see";
      };
      archiveBaseName = null;
      startAt = [ ];
      prune.keep.last = 3;
      prune.prefix = null;
      wrapper = "borg-dump";
    };

    jobs.by-file = {
      paths = "/srv";
      repo = "/mnt/srv";
      encryption.mode = "keyfile";
      encryption.passphraseFile = "/root/passphrase";
      wrapper = null;
    };

    jobs.by-credential = {
      paths = "/var/lib";
      repo = "/mnt/lib";
      encryption.mode = "repokey";
      encryption.credential = "borg";
    };

    notify = {
      desk = {
        type = "desktop";
        users = [ "me" ];
        subject = "backup of {job} on {host}";
      };
      mail = {
        type = "mail";
        from = "root@example.com";
        to = [ "me@example.com" ];
        smtp = {
          host = "mail.example.com";
          port = 587;
          security = "starttls";
          user = "root";
          passwordFile = "/root/mail-password";
        };
        body = "Look at it.";
        atMostEvery = "1h";
      };
      local = {
        type = "mail";
        from = "root@example.com";
        to = [ "me@example.com" ];
        sendmail = "/run/wrappers/bin/sendmail";
      };
      other-mail = {
        type = "mail";
        from = "root@example.com";
        to = [ "me@example.com" ];
        smtp = {
          host = "mail.example.com";
          user = "root";
          password = "in the store, for all to see";
        };
      };
      third-mail = {
        type = "mail";
        from = "root@example.com";
        to = [ "me@example.com" ];
        smtp = {
          host = "mail.example.com";
          user = "root";
          passwordCredential = "mail";
        };
      };
      phone = {
        type = "ntfy";
        url = "https://ntfy.sh/my-backups";
        tokenFile = "/root/ntfy-token";
        priority = "urgent";
      };
      phone-too = {
        type = "ntfy";
        urlFile = "/root/ntfy-address";
        caFile = "/etc/ssl/own-authority.pem";
        token = "tk_in_the_store";
      };
      phone-three = {
        type = "ntfy";
        urlCredential = "ntfy-address";
        tokenCredential = "ntfy";
      };
      hook = {
        type = "webhook";
        url = "https://example.com/hook";
        method = "PUT";
        headers.X-Backup = "laptop";
      };
      watch = {
        type = "healthchecks";
        url = "https://hc-ping.com/00000000-0000-0000-0000-000000000000";
      };
      script = {
        type = "command";
        command = "logger backup";
      };
    };
  };
}
