# services.ironborg.automount: archives that are there when somebody looks.
#
# Each becomes a line of fstab with x-systemd.automount; the program is its own mount helper. Who it is for is said by
# `user`: then it is mounted as that user, with that user's keys and rights, and root is not asked for anything.
# (`ironborg automount enable` does the same for a user without any configuration of the system.)
{
  config,
  lib,
  options,
  pkgs,
  ...
}:
let
  inherit (lib)
    mapAttrs'
    mapAttrsToList
    mkIf
    mkOption
    nameValuePair
    optional
    types
    ;

  cfg = config.services.ironborg;

  optionalOption =
    type: description:
    mkOption {
      type = types.nullOr type;
      default = null;
      inherit description;
    };

  mount =
    { name, ... }:
    {
      options = {
        directory = mkOption {
          type = types.path;
          default = "/run/ironborg/${name}";
          defaultText = lib.literalExpression ''"/run/ironborg/<name>"'';
          description = "Where it is seen.";
        };
        source = mkOption {
          type = types.str;
          example = "ssh://borg@nas/./laptop";
          description = "A repository, which shows all its archives, or one archive: `REPOSITORY::ARCHIVE`.";
        };
        paths = mkOption {
          type = types.listOf types.str;
          default = [ ];
          description = "Show only these paths of an archive.";
        };
        stripComponents = optionalOption types.ints.unsigned "How many leading directories are left out of all paths.";
        user = optionalOption types.str "The user it is for: mounted by that user, with that user's keys.";
        uid = optionalOption types.ints.unsigned "Owner of all files, if that is not what the archive says.";
        passCommand = optionalOption types.str "Command that prints the passphrase.";
        passphraseFile = optionalOption types.str "File that holds the passphrase.";
        credential = optionalOption types.str "Name of a systemd credential that holds the passphrase.";
        identity = optionalOption types.str "Key for ssh.";
        environment = mkOption {
          type = types.attrsOf types.str;
          default = { };
          example = {
            BORG_RELOCATED_REPO_ACCESS_IS_OK = "yes";
          };
          description = "Variables whose names begin with `BORG_`.";
        };
        idleTimeout = mkOption {
          type = types.nullOr types.str;
          default = "10min";
          description = "It is unmounted when nobody has looked for so long.";
        };
        options = mkOption {
          type = types.listOf types.str;
          default = [ ];
          example = [ "versions" ];
          description = "More options of the mount, as in fstab.";
        };
      };
    };

  # A value within a list of options, within a line of fstab: mount(8) takes commas apart, then blanks.
  quoted = builtins.replaceStrings [ "\\" "\"" "," " " "\t" ] [ "\\134\\134" "\\\"" "\\," "\\040" "\\011" ];

  word = name: value: optional (value != null) "${name}=${quoted (toString value)}";

  isRemote = source: builtins.match "(ssh://|[^/]*:[^:]).*" source != null;

  words =
    mount:
    [
      "noauto"
      "x-systemd.automount"
    ]
    ++ word "x-systemd.idle-timeout" mount.idleTimeout
    ++ optional (isRemote mount.source) "_netdev"
    ++ word "setuid" mount.user
    ++ word "uid" mount.uid
    ++ word "passcommand" mount.passCommand
    ++ word "passphrase_file" mount.passphraseFile
    ++ word "credential" mount.credential
    ++ word "identity" mount.identity
    ++ builtins.concatMap (word "path") mount.paths
    ++ word "strip_components" mount.stripComponents
    ++ builtins.concatMap (name: word name mount.environment.${name}) (builtins.attrNames mount.environment)
    ++ mount.options;
in
{
  imports = [ ./package.nix ];

  options.services.ironborg.automount = mkOption {
    type = types.attrsOf (types.submodule mount);
    default = { };
    description = "Repositories and archives that are mounted when somebody enters the directory.";
  };

  config = mkIf (cfg.automount != { }) (
    lib.mkMerge [
      {
        assertions = mapAttrsToList (name: mount: {
          assertion = builtins.all (variable: builtins.match "BORG_.+" variable != null) (builtins.attrNames mount.environment);
          message = "services.ironborg.automount.${name}.environment: only variables that begin with BORG_ can be set.";
        }) cfg.automount;

        fileSystems = mapAttrs' (
          _: mount:
          nameValuePair mount.directory {
            device = mount.source;
            fsType = "fuse.borgfs";
            noCheck = true;
            options = words mount;
          }
        ) cfg.automount;

        # mount(8) and the service manager find helpers of these.
        system.fsPackages = [ cfg.package.mountHelpers ];
        environment.systemPackages = [ cfg.package ];
      }
      # Releases without this option always have fusermount3.
      (if options ? programs.fuse.enable then { programs.fuse.enable = true; } else { })
    ]
  );
}
