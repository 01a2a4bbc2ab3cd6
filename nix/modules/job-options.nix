# The options of a job. They are called, typed and, in `services.ironborg.defaults`, set as in services.borgbackup.jobs,
# where that has them; `null` leaves a thing to the defaults, and theirs to the program.
#
# How an option gets to be a key of jobs.toml is in ../lib/settings.nix.
{ lib }:
let
  inherit (lib) mkOption types;

  text = types.nullOr types.str;

  # Words for a command: a list, or one string that is split as a shell would.
  words = types.either types.str (types.listOf types.str);

  mk =
    type: default: description:
    mkOption { inherit type default description; };

  optional = type: mk (types.nullOr type) null;

  hook = mk types.lines "";

  # Where a passphrase comes from; of a job, or of one of its repositories.
  passphrase = {
    passCommand = optional types.str "Command that prints the passphrase.";
    passphrase = optional types.str "The passphrase. It ends up in the world-readable store: use one of the others.";
    passphraseFile = optional types.str "File that holds the passphrase.";
    credential = optional types.str "Name of a systemd credential that holds the passphrase.";
  };

  modes = [
    "repokey"
    "keyfile"
    "repokey-blake2"
    "keyfile-blake2"
    "authenticated"
    "authenticated-blake2"
    "none"
  ];

  repository = types.submodule {
    options = {
      url = mkOption {
        type = types.str;
        description = "Where it is, as `BORG_REPO` has it.";
      };
      label = optional types.str "How it is called in logs and figures.";
      encryption = passphrase // {
        mode = optional (types.enum modes) "How it is encrypted if it has to be made.";
      };
      environment = mk (types.attrsOf types.str) { } "Variables for this repository only.";
    };
  };
in
{
  inherit text;

  # `preset` has the defaults of some options; `named` says whether they are those of one job.
  jobOptions = preset: {
    paths = mk (types.nullOr (types.coercedTo types.str lib.singleton (types.listOf types.str))) null ''
      Path(s) to back up. Either this or {option}`dumpCommand`.
    '';
    dumpCommand = optional types.path "Program whose output is backed up in place of files.";
    exclude = mk (types.listOf types.str) [ ] ''
      What is left out; see {command}`ironborg help patterns`. `{path}` stands for each of {option}`paths`. Those of
      the defaults come first.
    '';
    patterns = mk (types.listOf types.str) [ ] "What is left out and what is not; the first that matches counts.";

    repo = optional types.str "Where to: the location of a repository.";
    repos = mk (types.listOf (types.either types.str repository)) [ ] ''
      Where to, if it is several repositories. Each gets an archive of its own.
    '';
    removableDevice = optional types.bool "Whether the repository is on a device that is not always there.";
    doInit = mk (types.nullOr types.bool) (preset.doInit or null) "Whether a repository that is not there is made.";
    encryption = passphrase // {
      mode = optional (types.enum modes) "How a repository is encrypted that has to be made.";
    };
    compression = mk text (preset.compression or null) "How content is compressed; see {command}`ironborg help compression`.";

    dateFormat = mk text (preset.dateFormat or null) "The date in archive names, as {manpage}`date(1)` takes it.";
    appendFailedSuffix = mk (types.nullOr types.bool) (preset.appendFailedSuffix or null) ''
      Whether an archive is called `NAME.failed` until everything went well.
    '';

    startAt = mk (types.nullOr (types.either types.str (types.listOf types.str))) (preset.startAt or null) ''
      When it runs, as in {manpage}`systemd.time(7)`; `[ ]`: only when you say so.
    '';
    persistentTimer = mk (types.nullOr types.bool) (preset.persistentTimer or null) ''
      Whether a time that was missed is caught up with.
    '';
    randomDelay = optional types.str "It starts up to so much later, such as `10min`.";
    inhibitsSleep = optional types.bool "Whether the machine is kept from going to sleep meanwhile.";

    user = optional types.str "The user it runs as; otherwise root.";
    group = optional types.str "The group it runs as; otherwise that of the user.";
    readWritePaths = mk (types.listOf types.path) [ ] "What it may write to beside what it needs, for hooks.";
    privateTmp = mk (types.nullOr types.bool) (preset.privateTmp or null) "Whether it has a {file}`/tmp` of its own.";
    nice = optional (types.ints.between (-20) 19) "How nice it is to others that want the processor.";
    io = mk (types.nullOr types.str) (preset.io or null) ''
      Class of its reading and writing: `idle`, or `best-effort:N` with N from 0 to 7.
    '';
    environment = mk (types.attrsOf types.str) { } "Variables, such as `BORG_RSH`.";

    failOnWarnings = mk (types.nullOr types.bool) (preset.failOnWarnings or null) "Whether a warning counts as failure.";
    prune = {
      keep = mk (types.attrsOf (types.either types.int (types.strMatching "[[:digit:]]+[Hdwmy]"))) { } ''
        Which archives are kept: `within`, `last`, `hourly`, `daily` and so on. Nothing: all of them.
      '';
    };
    compact = optional types.bool "Whether space is given back after archives were deleted.";
    checks = {
      repository = optional types.str "How often the repository is checked, such as `2 weeks`.";
      data = optional types.str "How often all data is read and verified.";
      drill = {
        every = optional types.str "How often a sample is restored and compared with the files.";
        budget = optional types.str "How long that takes at most.";
      };
    };

    conditions = {
      reachable = optional types.bool "Whether the host of the repository has to answer.";
      online = optional types.bool "Whether there has to be a network.";
      metered = optional types.bool "Whether a network that costs money is good enough.";
      acPower = optional types.bool "Whether the machine has to be on mains power.";
      paths = mk (types.listOf types.str) [ ] "What has to be there.";
      wait = optional types.str "How long that is waited for.";
    };
    retry = {
      attempts = optional types.ints.positive "How often it is tried altogether, if the network or a lock is the reason.";
      first = optional types.str "The wait before the second attempt; it doubles.";
      longest = optional types.str "The longest wait.";
    };
    notify = {
      by = mk (types.listOf types.str) [ ] "Who is told: names of {option}`services.ironborg.notify`.";
      failure = optional types.bool "Whether of a failure.";
      recovery = optional types.bool "Whether of the first success after one.";
      success = optional types.bool "Whether of every success.";
      maxAge = optional types.str "Told if there was no success for so long, such as `26h`.";
    };

    preHook = hook "Shell commands before anything.";
    postInit = hook "Shell commands after a repository was made.";
    postCreate = hook "Shell commands after an archive was made; its name is in `$archiveName`.";
    postPrune = hook "Shell commands after old archives were deleted.";
    postHook = hook "Shell commands at the end, whatever happened; `$exitStatus` says what.";
    onFailure = hook "Shell commands after a failure.";

    extraArgs = mk words [ ] "Words for all commands.";
    extraInitArgs = mk words [ ] "Words for {command}`init`.";
    extraCreateArgs = mk words [ ] "Words for {command}`create`.";
    extraPruneArgs = mk words [ ] "Words for {command}`prune`.";
    extraCompactArgs = mk words [ ] "Words for {command}`compact`.";
    extraCheckArgs = mk words [ ] "Words for {command}`check`.";

    settings = mk (types.attrsOf types.anything) { } ''
      Keys of {file}`jobs.toml` that have no option here, as they are called there. They win.
    '';
  };
}
