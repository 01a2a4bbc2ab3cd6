# services.ironborg.repos: the repositories that this machine keeps for others.
#
# Users, directories and keys are NixOS's to make, so they are declared here and `ironborg repos apply` has nothing to do;
# `ironborg repos status` reads the file.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib)
    mapAttrs
    mapAttrs'
    mapAttrsToList
    mkIf
    mkMerge
    mkOption
    nameValuePair
    optionalString
    types
    ;
  inherit (import ../lib) toSettings toTOML;

  cfg = config.services.ironborg;

  mk =
    type: default: description:
    mkOption { inherit type default description; };

  keys = mk (types.listOf (types.strMatching "[^\n]+")) [ ];

  repository.options = {
    path = mk types.path "/var/lib/borgbackup" "Where it is. The directory is made, for its user alone.";
    user = mk types.str "borg" "The user it belongs to, as whom clients come.";
    group = mk types.str "borg" "The group it belongs to.";
    quota = mk (types.nullOr (types.strMatching "[[:digit:].]+[KMGTP]?")) null "How large it may become, such as `100G`.";
    authorizedKeys = keys "Public SSH keys of clients. A key opens one repository of a user, and nothing else.";
    authorizedKeysAppendOnly = keys "Public SSH keys of clients that can add, and cannot delete for good.";
    allowSubRepos = mk types.bool false ''
      Whether clients can make repositories below the path. The quota is that of each of them.
    '';
  };

  # What sshd runs whatever the client asks for.
  line =
    options: appendOnly: key:
    let
      restriction = "--restrict-to-${if options.allowSubRepos then "path" else "repository"} .";
      words = optionalString appendOnly " --append-only" + optionalString (options.quota != null) " --storage-quota ${options.quota}";
    in
    ''command="cd ${quotedPath options.path} && ironborg serve ${restriction}${words}",restrict ${key}'';

  # For the shell, within the double quotes of authorized_keys.
  quotedPath = path: "'${builtins.replaceStrings [ "'" "\"" ] [ "'\\''" "\\\"" ] "${path}"}'";

  allKeys = options: options.authorizedKeys ++ options.authorizedKeysAppendOnly;

  # type and key, without the comment: what sshd compares.
  bare = key: builtins.match ".*(ssh-|ecdsa-|sk-)([^ ]+) +([^ ]+).*" key;

  keysOf = user: builtins.concatMap (options: if options.user == user then map bare (allKeys options) else [ ]) (builtins.attrValues cfg.repos);

  isUnique = list: list == [ ] || (!(builtins.elem (builtins.head list) (builtins.tail list)) && isUnique (builtins.tail list));
in
{
  imports = [ ./package.nix ];

  options.services.ironborg.repos = mkOption {
    type = types.attrsOf (types.submodule repository);
    default = { };
    example = lib.literalExpression ''
      {
        laptop = {
          path = "/srv/backup/laptop";
          authorizedKeys = [ "ssh-ed25519 AAAA… root@laptop" ];
          quota = "500G";
        };
      }
    '';
    description = ''
      Repositories kept for clients that come by ssh, each with keys that open this one only. A client need not know the
      path: `user@machine:.` is enough. The options are those of {option}`services.borgbackup.repos`.
    '';
  };

  config = mkIf (cfg.repos != { }) {
    assertions =
      mapAttrsToList (name: options: {
        assertion = allKeys options != [ ];
        message = "services.ironborg.repos.${name} has no key: nobody could use it.";
      }) cfg.repos
      ++ mapAttrsToList (name: options: {
        assertion = isUnique (keysOf options.user);
        message = "services.ironborg.repos.${name}: a key of the user ${options.user} is there twice; sshd would only see the first.";
      }) cfg.repos;

    environment.etc."ironborg/repos.toml".source = pkgs.writeText "ironborg-repos.toml" (toTOML {
      repos = mapAttrs (_: toSettings [ ]) cfg.repos;
    });
    environment.systemPackages = [ cfg.package ];

    users = mkMerge (
      mapAttrsToList (_: options: {
        users.${options.user} = {
          inherit (options) group;
          isSystemUser = true;
          useDefaultShell = true;
          openssh.authorizedKeys.keys =
            map (line options false) options.authorizedKeys ++ map (line options true) options.authorizedKeysAppendOnly;
        };
        groups.${options.group} = { };
      }) cfg.repos
    );

    systemd.tmpfiles.settings = mapAttrs' (
      name: options:
      nameValuePair "ironborg-repo-${name}" {
        ${options.path}.d = {
          inherit (options) user group;
          mode = "0700";
        };
      }
    ) cfg.repos;
  };
}
