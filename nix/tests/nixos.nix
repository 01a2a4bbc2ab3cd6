# The options of NixOS that our modules set or read, with types that merge as theirs do and check less.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  mk = type: default: mkOption { inherit type default; };
  many = types.attrsOf types.anything;
  list = types.listOf types.anything;
  unit = types.submodule {
    options = {
      overrideStrategy = mk types.str "asDropinIfExists";
      path = mk list [ ];
      restartIfChanged = mk types.bool true;
      serviceConfig = mk many { };
      stopIfChanged = mk types.bool true;
      wantedBy = mk (types.listOf types.str) [ ];
    };
  };
  user = types.submodule (
    { name, ... }:
    {
      options = {
        group = mk types.str "";
        home = mk types.str "/home/${name}";
        isNormalUser = mk types.bool false;
        isSystemUser = mk types.bool false;
        openssh.authorizedKeys.keys = mk (types.listOf types.str) [ ];
        uid = mk (types.nullOr types.int) null;
        useDefaultShell = mk types.bool false;
      };
    }
  );
in
{
  options = {
    assertions = mk list [ ];
    environment.etc = mk many { };
    environment.systemPackages = mk list [ ];
    fileSystems = mk many { };
    networking.hostName = mk types.str "nixos";
    nixpkgs.overlays = mk list [ ];
    programs.fuse.enable = mk types.bool false;
    system.fsPackages = mk list [ ];
    systemd.packages = mk list [ ];
    systemd.services = mk (types.attrsOf unit) { };
    systemd.timers = mk (types.attrsOf unit) { };
    systemd.tmpfiles.settings = mk many { };
    users.groups = mk many { };
    users.users = mk (types.attrsOf user) { };
  };

  config.users.users.root = {
    home = "/root";
    group = "root";
  };
}
