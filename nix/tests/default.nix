# Every example evaluated: what the machine would get. The test suite compares it with the files in `expected`, and gives
# the configurations to the program.
{
  # The real one does as well.
  lib ? import ./lib.nix,
}:
let
  inherit (builtins)
    attrNames
    concatMap
    filter
    isAttrs
    listToAttrs
    map
    match
    readDir
    ;

  pkgs = import ./pkgs.nix;

  # services.borgbackup as it is in nixpkgs, as far as it is of interest; without `package` it is that of old releases.
  borgbackup = hasPackage: {
    options.services.borgbackup = {
      jobs = lib.mkOption { default = { }; };
    }
    // lib.optionalAttrs hasPackage {
      package = lib.mkOption {
        type = lib.types.package;
        default = pkgs.package "borgbackup" { };
      };
    };
  };

  evaluated =
    more:
    lib.evalModules {
      modules = [
        ../modules
        ./nixos.nix
      ]
      ++ more;
      specialArgs = { inherit pkgs; };
    };

  # What is a package becomes its path, of what can be compared.
  shown = value: if isAttrs value && value ? outPath then value.outPath else value;

  machine =
    evaluation:
    let
      inherit (evaluation) config;
      textOf = name: config.environment.etc.${name}.source.text or null;
      unit = unit: {
        inherit (unit)
          overrideStrategy
          restartIfChanged
          serviceConfig
          stopIfChanged
          wantedBy
          ;
        path = map (package: package.name) unit.path;
      };
    in
    {
      jobs = textOf "ironborg/jobs.toml";
      repos = textOf "ironborg/repos.toml";
      failed = map (assertion: assertion.message) (filter (assertion: !assertion.assertion) config.assertions);
      units = concatMap (package: [ package.script ]) config.systemd.packages;
      services = builtins.mapAttrs (_: unit) config.systemd.services;
      timers = builtins.mapAttrs (_: unit) config.systemd.timers;
      tmpfiles = config.systemd.tmpfiles.settings;
      users = builtins.mapAttrs (_: user: {
        inherit (user) group isSystemUser useDefaultShell;
        keys = user.openssh.authorizedKeys.keys;
      }) (removeAttrs config.users.users [ "root" ]);
      groups = attrNames config.users.groups;
      inherit (config) fileSystems;
      fuse = config.programs.fuse.enable;
      fsPackages = map (package: package.name) config.system.fsPackages;
      # In which order they come is nobody's business, and not the same with every lib.
      systemPackages = builtins.listToAttrs (
        map (package: {
          inherit (package) name;
          value = package.text or "";
        }) config.environment.systemPackages
      );
      borgbackup = shown (config.services.borgbackup.package or null);
      overlays = map (overlay: (overlay final { }).borgbackup.name) config.nixpkgs.overlays;
    };

  # What an overlay is given.
  final = pkgs // {
    inherit lib;
    callPackage =
      file: more:
      let
        make = import file;
      in
      make (builtins.intersectAttrs (builtins.functionArgs make) (pkgs // { lib = fullLib; }) // more);
  };
  # Beyond what modules need: what a package needs.
  fullLib = lib // {
    cleanSourceWith = source: source;
    licenses.bsd3 = "BSD-3-Clause";
    makeBinPath = packages: lib.concatMapStringsSep ":" (package: "${package}/bin") packages;
    platforms.linux = [ "x86_64-linux" ];
  };

  examples = listToAttrs (
    concatMap (
      file:
      let
        name = match "(.*)\\.nix" file;
      in
      if name == null then
        [ ]
      else
        [
          {
            name = builtins.head name;
            value = ./examples + "/${file}";
          }
        ]
    ) (attrNames (readDir ./examples))
  );

  # ---- which options there are, and which the examples set ---------------------------------------------------------

  ours = (evaluated [ (borgbackup true) ]).options.services.ironborg;

  # Also of what is one of two things.
  optionsBelow =
    type:
    let
      own = type.getSubOptions [ ];
    in
    if own != { } then
      own
    else
      builtins.foldl' (sum: inner: sum // optionsBelow inner) { } (builtins.attrValues (type.nestedTypes or { }));

  declared =
    path: node:
    if lib.isOption node then
      let
        below = removeAttrs (optionsBelow node.type) [ "_module" ];
        kind = node.type.name or "";
        under = if match ".*(attrsOf|attribute set of).*" "${kind}${node.type.description or ""}" != null then path ++ [ "<name>" ] else path;
      in
      if node.internal or false then
        [ ]
      else if below == { } then
        [ path ]
      else
        concatMap (name: declared (under ++ [ name ]) below.${name}) (attrNames below)
    else
      concatMap (name: declared (path ++ [ name ]) node.${name}) (attrNames node);

  # Whether a configuration says something at this path.
  says =
    path: value:
    if path == [ ] then
      true
    else if builtins.isList value then
      builtins.any (says path) value
    else if !(isAttrs value) then
      false
    else if builtins.head path == "<name>" then
      builtins.any (says (builtins.tail path)) (builtins.attrValues value)
    else
      value ? ${builtins.head path} && says (builtins.tail path) value.${builtins.head path};

  configurations = map (name: import examples.${name}) (attrNames examples);
  withoutExample = filter (
    path: !(builtins.any (says ([ "services" "ironborg" ] ++ path)) configurations)
  ) (declared [ ] ours);

  flake = (import ../../flake.nix).outputs {
    self = flake;
    nixpkgs.legacyPackages = builtins.mapAttrs (system: _: final // { stdenv.hostPlatform = { inherit system; }; }) {
      x86_64-linux = { };
      aarch64-linux = { };
    };
  };

  evaluates = value: (builtins.tryEval (builtins.deepSeq value true)).success;
in
{
  examples = builtins.mapAttrs (_: file: machine (evaluated [ (borgbackup true) file ])) examples;
  options = map (builtins.concatStringsSep ".") (declared [ ] ours);
  # As keys of jobs.toml are called.
  keys = map (path: builtins.concatStringsSep "." (map (import ../lib).snakeCase path)) (declared [ ] ours);
  withoutExample = map (builtins.concatStringsSep ".") withoutExample;

  oldRelease = machine (evaluated [
    (borgbackup false)
    ./examples/replace.nix
  ]);

  # What must not go unnoticed.
  refused = builtins.mapAttrs (
    _: configuration:
    !(evaluates (machine (evaluated [
      (borgbackup true)
      configuration
    ])))
  ) (import ./refused.nix);

  asserted = builtins.mapAttrs (
    _: configuration:
    (machine (evaluated [
      (borgbackup true)
      configuration
    ])).failed
  ) (import ./asserted.nix);

  flake = {
    packages = builtins.mapAttrs (_: packages: builtins.mapAttrs (_: package: package.name) packages) flake.packages;
    overlay = builtins.mapAttrs (_: package: package.name) (flake.overlays.default final { });
    modules = builtins.mapAttrs (
      _: module:
      builtins.isAttrs
        (lib.evalModules {
          modules = [
            module
            ./nixos.nix
          ];
          specialArgs = { inherit pkgs; };
        }).config.services.ironborg
    ) flake.nixosModules;
    checks = builtins.mapAttrs (_: checks: builtins.mapAttrs (_: check: check.name) checks) flake.checks;
  };

  # The client of the test that needs virtual machines: at least that is a configuration.
  vm = machine (evaluated [
    (borgbackup true)
    { networking.hostName = "client"; }
    flake.checks.x86_64-linux.vm.passthru.nodes.client
  ]);

  toml = (import ../lib).toTOML (import ./toml.nix);
}
