# services.ironborg.jobs: backups that run themselves.
#
# Options become one file, jobs.toml; the program checks it and writes the units, both while the system is built. What is
# added here is what only NixOS knows: homes, the programs on the path, which timers are wanted.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib)
    filterAttrs
    getExe
    mapAttrs
    mapAttrs'
    mapAttrsToList
    mkIf
    mkOption
    nameValuePair
    optionalAttrs
    types
    ;
  inherit (import ../lib) merged toSettings toTOML without;
  inherit (import ./job-options.nix { inherit lib; }) jobOptions;

  cfg = config.services.ironborg;

  # As services.borgbackup has them; what is not here is as the program has it.
  preset = {
    doInit = true;
    compression = "lz4";
    dateFormat = "+%Y-%m-%dT%H:%M:%S";
    appendFailedSuffix = true;
    startAt = "daily";
    persistentTimer = false;
    privateTmp = true;
    failOnWarnings = true;
    io = "idle";
  };

  # Of the archives that a job makes.
  prefixOf = options: if options.archiveBaseName == null then null else "${options.archiveBaseName}-";

  job =
    { name, config, ... }:
    {
      options = jobOptions { } // {
        archiveBaseName = mkOption {
          type = types.nullOr (types.strMatching "[^/{}]+");
          default = "${hostName}-${name}";
          defaultText = lib.literalExpression ''"''${config.networking.hostName}-<name>"'';
          description = "What archives are called, before the date; `null`: nothing.";
        };
        prune = (jobOptions { }).prune // {
          prefix = mkOption {
            type = types.nullOr types.str;
            default = prefixOf config;
            defaultText = lib.literalExpression ''"''${archiveBaseName}-"'';
            description = "Only archives whose names begin so are pruned; `null` or `\"\"`: all.";
          };
        };
        wrapper = mkOption {
          type = types.nullOr types.str;
          default = "borg-job-${name}";
          defaultText = lib.literalExpression ''"borg-job-<name>"'';
          description = ''
            Name of a program that is {command}`ironborg` with the repository and passphrase of this job; `null` or
            `""`: none. It is only made for jobs with one repository.
          '';
        };
      };
    };

  hostName = config.networking.hostName;

  # Said even if it is nothing: never started, no name before the date, all archives.
  kept = [
    "startAt"
    "archiveBaseName"
    "prefix"
  ];

  written =
    options:
    merged (toSettings kept (without [ "settings" "wrapper" ] options)) options.settings;

  jobSettings =
    options:
    written (
      options
      // {
        archiveBaseName = toString options.archiveBaseName;
        prune = options.prune // {
          prefix = if options.prune.prefix == prefixOf options then null else toString options.prune.prefix;
        };
      }
    );

  settings = merged (
    {
      defaults = written cfg.defaults;
      jobs = mapAttrs (_: jobSettings) cfg.jobs;
    }
    // optionalAttrs (cfg.notify != { }) { notify = mapAttrs (_: toSettings [ ]) cfg.notify; }
    // optionalAttrs (cfg.metrics != null) { inherit (cfg) metrics; }
  ) cfg.settings;

  file = pkgs.writeText "ironborg-jobs.toml" (toTOML settings);

  # A mistake ends the build, and is told with line and key.
  units =
    pkgs.runCommand "ironborg-job-units"
      {
        preferLocalBuild = true;
      }
      ''
        export HOME=$TMPDIR
        ${getExe cfg.package} jobs check-config --config ${file}
        mkdir -p $out/lib/systemd/system
        ${getExe cfg.package} jobs enable --all --print --system --unit-dir $out/lib/systemd/system --config ${file}
      '';

  # What a job has, its own or from the defaults.
  of = options: name: if options.${name} != null then options.${name} else cfg.defaults.${name};
  userOf = options: if of options "user" == null then "root" else of options "user";
  startsAt = options: of options "startAt";

  anybodyTold = builtins.any (options: options.notify.by != [ ]) ([ cfg.defaults ] ++ builtins.attrValues cfg.jobs);

  # Commands of notifiers find what commands of services find.
  teller = {
    overrideStrategy = "asDropin";
    path = [ cfg.package ];
  };

  homeOf = options: config.users.users.${userOf options}.home;
  groupOf =
    options: if of options "group" == null then config.users.users.${userOf options}.group else of options "group";

  isLocal = repository: builtins.substring 0 1 repository == "/";
  withName = name: builtins.replaceStrings [ "{job}" ] [ name ];
  # The one repository of a job, if it is one.
  repositoryOf =
    name: options:
    let
      repo = of options "repo";
    in
    if repo == null || options.repos != [ ] then null else withName name repo;
  repositoriesOf =
    name: options:
    let
      one = repositoryOf name options;
      several = if options.repos != [ ] then options.repos else cfg.defaults.repos;
    in
    if one != null then [ one ] else map (target: withName name (target.url or target)) several;

  # In a line for the shell, which takes strings apart as it would.
  shellWords =
    words: lib.concatStringsSep "" (map (word: " ${word}") (if builtins.isString words then [ words ] else map lib.escapeShellArg words));

  wrapper =
    name: options:
    let
      encryption = mapAttrs (name: value: if value == null then cfg.defaults.encryption.${name} else value) options.encryption;
      variables = {
        BORG_REPO = repositoryOf name options;
      }
      // optionalAttrs (encryption.passCommand != null) { BORG_PASSCOMMAND = encryption.passCommand; }
      // optionalAttrs (encryption.passphrase != null) { BORG_PASSPHRASE = encryption.passphrase; }
      // optionalAttrs (encryption.passphraseFile != null) { IRONBORG_PASSPHRASE_FILE = encryption.passphraseFile; }
      // cfg.defaults.environment
      // options.environment;
      exports = lib.concatStringsSep "" (
        mapAttrsToList (name: value: "export ${name}=${lib.escapeShellArg value}\n") variables
      );
    in
    pkgs.writeShellScriptBin options.wrapper ''
      ${exports}exec ${getExe cfg.package}${shellWords cfg.defaults.extraArgs}${shellWords options.extraArgs} "$@"
    '';

  wrapped = filterAttrs (
    name: options: repositoryOf name options != null && options.wrapper != null && options.wrapper != ""
  ) cfg.jobs;
in
{
  imports = [ ./package.nix ];

  options.services.ironborg = {
    jobs = mkOption {
      type = types.attrsOf (types.submodule job);
      default = { };
      example = lib.literalExpression ''
        {
          home = {
            paths = [ "/home" "/etc" ];
            exclude = [ "/home/*/.cache" ];
            repo = "ssh://borg@nas/./laptop";
            encryption = {
              mode = "repokey-blake2";
              passCommand = "cat /run/keys/borg";
            };
            prune.keep = { daily = 7; weekly = 4; };
          };
        }
      '';
      description = ''
        Backups that run themselves. The options are those of {option}`services.borgbackup.jobs`, and more.
      '';
    };
    defaults = mkOption {
      type = types.submodule { options = jobOptions preset; };
      default = { };
      description = "Options that all jobs share. Lists and variables of a job are added to these.";
    };
    notify = mkOption {
      type = types.attrsOf (types.submodule { options = import ./notify-options.nix { inherit lib; }; });
      default = { };
      description = "Ways of telling somebody, by name.";
    };
    metrics = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/var/lib/prometheus-node-exporter-text-files";
      description = "Directory for figures that Prometheus reads.";
    };
    settings = mkOption {
      type = types.attrsOf types.anything;
      default = { };
      description = "Keys of {file}`jobs.toml` as they are called there. They win.";
    };
    jobsFile = mkOption {
      type = types.package;
      internal = true;
      readOnly = true;
      description = "What is in {file}`/etc/ironborg/jobs.toml`.";
    };
  };

  config = mkIf (cfg.jobs != { }) {
    services.ironborg.jobsFile = file;

    environment.etc."ironborg/jobs.toml".source = file;
    environment.systemPackages = [ cfg.package ] ++ mapAttrsToList wrapper wrapped;

    systemd.packages = [ units ];

    # The units are the program's own; these are additions to them.
    systemd.services = mapAttrs' (
      name: options:
      nameValuePair "ironborg-job-${name}" {
        overrideStrategy = "asDropin";
        # A new system does not interrupt a backup, nor start one.
        restartIfChanged = false;
        stopIfChanged = false;
        path = [
          cfg.package
          pkgs.openssh
        ];
        serviceConfig.ReadWritePaths = [
          "${homeOf options}/.config/borg"
          "${homeOf options}/.cache/borg"
        ];
      }
    ) cfg.jobs
    // optionalAttrs anybodyTold {
      "ironborg-job-failed@" = teller;
      ironborg-jobs-silence = teller;
    };

    systemd.timers =
      mapAttrs' (
        name: _:
        nameValuePair "ironborg-job-${name}" {
          overrideStrategy = "asDropin";
          wantedBy = [ "timers.target" ];
        }
      ) (filterAttrs (_: options: startsAt options != [ ]) cfg.jobs)
      // optionalAttrs anybodyTold {
        ironborg-jobs-silence = {
          overrideStrategy = "asDropin";
          wantedBy = [ "timers.target" ];
        };
      };

    # What a unit may write to has to be there.
    systemd.tmpfiles.settings = mapAttrs' (
      name: options:
      let
        # The colon: of a directory that is made, not of one that is there.
        owned.d = {
          user = userOf options;
          group = groupOf options;
          mode = ":0700";
        };
        home = homeOf options;
        removable = of options "removableDevice" == true;
        local = if removable then [ ] else builtins.filter isLocal (repositoriesOf name options);
      in
      nameValuePair "ironborg-job-${name}" (
        {
          "${home}/.config" = owned;
          "${home}/.config/borg" = owned;
          "${home}/.cache" = owned;
          "${home}/.cache/borg" = owned;
        }
        // builtins.listToAttrs (map (path: nameValuePair path owned) local)
      )
    ) cfg.jobs;
  };
}
