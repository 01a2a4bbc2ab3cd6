# A stand-in for the parts of nixpkgs' `lib` that our modules use, so that they can be evaluated where there is no
# nixpkgs: options with types, defaults and priorities, conditions, orders, submodules.
#
# It is stricter than it is complete: what it does not know fails. The tests that use it pass with the real one too
# (docs/nixos.md says how to run them with that).
let
  inherit (builtins)
    all
    attrNames
    attrValues
    concatMap
    concatStringsSep
    elem
    filter
    foldl'
    functionArgs
    head
    intersectAttrs
    isAttrs
    isBool
    isFunction
    isInt
    isList
    isString
    length
    listToAttrs
    map
    mapAttrs
    match
    replaceStrings
    sort
    substring
    tail
    toJSON
    ;

  # ---- values that say more than themselves -----------------------------------------------------------------------

  mkOption = option: option // { _type = "option"; };
  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  mkMerge = contents: {
    _type = "merge";
    inherit contents;
  };
  mkOverride = priority: content: {
    _type = "override";
    inherit priority content;
  };
  mkOrder = priority: content: {
    _type = "order";
    inherit priority content;
  };
  mkForce = mkOverride 50;
  mkDefault = mkOverride 1000;
  mkOptionDefault = mkOverride 1500;
  mkBefore = mkOrder 500;
  mkAfter = mkOrder 1500;

  is = kind: value: isAttrs value && (value._type or null) == kind;

  # One definition → those that count, each with its priority and order.
  discharge =
    value:
    if is "if" value then
      (if value.condition then discharge value.content else [ ])
    else if is "merge" value then
      concatMap discharge value.contents
    else if is "override" value then
      map (inner: inner // { inherit (value) priority; }) (discharge value.content)
    else if is "order" value then
      map (inner: inner // { order = value.priority; }) (discharge value.content)
    else
      [
        {
          inherit value;
          priority = 100;
          order = 1000;
        }
      ];

  # The values of the definitions that win, in order.
  winners =
    definitions:
    let
      discharged = concatMap discharge definitions;
      best = foldl' (least: d: if d.priority < least then d.priority else least) 9999 discharged;
    in
    map (d: d.value) (sort (a: b: a.order < b.order) (filter (d: d.priority == best) discharged));

  showPath = concatStringsSep ".";

  # Definitions of one thing → its value.
  mergeValues =
    where: type: definitions:
    let
      values = winners definitions;
      wrong = filter (value: !(type.check value)) values;
    in
    if values == [ ] then
      throw "The option `${showPath where}' was accessed but has no value defined. Try setting the option."
    else if wrong != [ ] then
      throw "A definition for option `${showPath where}' is not of type `${type.description}'."
    else
      type.merge where values;

  # ---- types ------------------------------------------------------------------------------------------------------

  mkType =
    given:
    {
      check = _: true;
      getSubOptions = _: { };
    }
    // given;

  single =
    where: values:
    if length values == 1 || all (value: value == head values) (tail values) then
      head values
    else
      throw "The option `${showPath where}' has conflicting definition values.";

  plain =
    description: check:
    mkType {
      inherit description check;
      merge = single;
    };

  isPathLike = value: builtins.isPath value || (isAttrs value && value ? outPath) || (isString value && substring 0 1 value == "/");

  # Attribute sets are merged name by name, each value by `element`.
  mergeAttrs =
    where: element: values:
    let
      names = attrNames (foldl' (sum: value: sum // value) { } values);
      of = name: concatMap (value: if value ? ${name} then [ value.${name} ] else [ ]) values;
      # A name whose only definitions do not count is not there.
      counts = filter (name: concatMap discharge (of name) != [ ]) names;
    in
    listToAttrs (
      map (name: {
        inherit name;
        value = mergeValues (where ++ [ name ]) element (of name);
      }) counts
    );

  types = rec {
    bool = plain "boolean" isBool;
    int = plain "signed integer" isInt;
    str = plain "string" isString;
    path = plain "path" isPathLike;
    package = plain "package" (value: isAttrs value && (value.type or null) == "derivation");
    raw = plain "raw value" (_: true);
    ints = {
      between = low: high: plain "integer between ${toString low} and ${toString high}" (value: isInt value && value >= low && value <= high);
      unsigned = plain "unsigned integer" (value: isInt value && value >= 0);
      positive = plain "positive integer" (value: isInt value && value > 0);
    };
    port = ints.between 0 65535;
    enum = choices: plain "one of ${toJSON choices}" (value: elem value choices);
    strMatching = pattern: plain "string matching the pattern ${pattern}" (value: isString value && match pattern value != null);
    lines = mkType {
      description = "strings concatenated with \"\\n\"";
      check = isString;
      merge = _: concatStringsSep "\n";
    };
    anything = mkType {
      description = "anything";
      merge =
        where: values:
        if all isAttrs values && !(head values ? outPath) then
          mergeAttrs where anything values
        else
          single where values;
    };
    listOf =
      element:
      mkType {
        description = "list of ${element.description}";
        check = isList;
        merge = where: values: concatMap (map (item: mergeValues (where ++ [ "*" ]) element [ item ])) values;
        getSubOptions = prefix: element.getSubOptions (prefix ++ [ "*" ]);
        nestedTypes.elemType = element;
      };
    attrsOf =
      element:
      mkType {
        description = "attribute set of ${element.description}";
        check = isAttrs;
        merge = where: values: mergeAttrs where element values;
        getSubOptions = prefix: element.getSubOptions (prefix ++ [ "<name>" ]);
      };
    nullOr =
      element:
      mkType {
        description = "null or ${element.description}";
        check = value: value == null || element.check value;
        merge =
          where: values:
          if all (value: value == null) values then
            null
          else if elem null values then
            throw "The option `${showPath where}' is defined both null and not null."
          else
            element.merge where values;
        inherit (element) getSubOptions;
      };
    either =
      first: second:
      mkType {
        description = "${first.description} or ${second.description}";
        check = value: first.check value || second.check value;
        merge =
          where: values: if all first.check values then first.merge where values else second.merge where values;
        nestedTypes = {
          left = first;
          right = second;
        };
      };
    coercedTo =
      from: convert: to:
      mkType {
        inherit (to) description getSubOptions;
        check = value: to.check value || (from.check value && to.check (convert value));
        merge = where: values: to.merge where (map (value: if from.check value then convert value else value) values);
      };
    submodule =
      module:
      let
        evaluated =
          where: definitions:
          evalModules {
            modules = [ module ] ++ definitions;
            prefix = where;
          };
      in
      mkType {
        description = "submodule";
        check = value: isAttrs value || isFunction value;
        merge =
          where: values:
          (evaluated where (map (value: if isFunction value then value else { config = value; }) values)).config;
        getSubOptions = prefix: (evaluated prefix [ ]).options;
      };
  };

  # ---- modules ----------------------------------------------------------------------------------------------------

  called =
    args: module:
    if isFunction module then
      module (if functionArgs module == { } then args else intersectAttrs (functionArgs module) args)
    else
      module;

  # A module as it may be written → its three parts.
  parts =
    module:
    if module ? config || module ? options then
      {
        imports = module.imports or [ ];
        options = module.options or { };
        config = module.config or { };
      }
    else
      {
        imports = module.imports or [ ];
        options = { };
        config = removeAttrs module [
          "imports"
          "key"
          "_file"
          "meta"
        ];
      };

  # A module and what it imports; what is imported by its path from two places counts once.
  collected =
    args: found: module:
    if builtins.isPath module && elem (toString module) found.paths then
      found
    else
      let
        content = parts (called args (if builtins.isPath module then import module else module));
        with' = {
          paths = found.paths ++ (if builtins.isPath module then [ (toString module) ] else [ ]);
          modules = found.modules ++ [ content ];
        };
      in
      foldl' (collected args) with' content.imports;

  mergeOptions =
    where: trees:
    let
      names = attrNames (foldl' (sum: tree: sum // tree) { } trees);
      of = name: concatMap (tree: if tree ? ${name} then [ tree.${name} ] else [ ]) trees;
    in
    listToAttrs (
      map (name: {
        inherit name;
        value =
          if is "option" (head (of name)) then
            (if length (of name) == 1 then head (of name) else throw "The option `${showPath (where ++ [ name ])}' is already declared.")
          else
            mergeOptions (where ++ [ name ]) (of name);
      }) names
    );

  # Conditions and priorities of a whole attribute set → of each of its values.
  pushedDown =
    value:
    if is "if" value then
      map (mapAttrs (_: mkIf value.condition)) (pushedDown value.content)
    else if is "merge" value then
      concatMap pushedDown value.contents
    else if is "override" value then
      map (mapAttrs (_: mkOverride value.priority)) (pushedDown value.content)
    else
      [ value ];

  # The definitions of each name.
  definitionsOf = definitions: name: concatMap (set: if set ? ${name} then [ set.${name} ] else [ ]) (concatMap pushedDown definitions);

  # What is defined though nobody declared it.
  undeclared =
    where: tree: definitions:
    concatMap (
      name:
      if !(tree ? ${name}) then
        [ (showPath (where ++ [ name ])) ]
      else if is "option" tree.${name} then
        [ ]
      else
        undeclared (where ++ [ name ]) tree.${name} (definitionsOf definitions name)
    ) (attrNames (foldl' (sum: set: sum // set) { } (concatMap pushedDown definitions)));

  settle =
    where: tree: definitions:
    let
      settledOption =
        name: option:
        let
          own = definitionsOf definitions name;
          fallback = if option ? default then [ (mkOptionDefault option.default) ] else [ ];
          at = where ++ [ name ];
          type = option.type or types.raw;
        in
        option
        // {
          inherit type;
          loc = at;
          isDefined = concatMap discharge (own ++ fallback) != [ ];
          value = (option.apply or (value: value)) (mergeValues at type (own ++ fallback));
        };
    in
    mapAttrs (
      name: node:
      if is "option" node then
        settledOption name node
      else
        settle (where ++ [ name ]) node (definitionsOf definitions name)
    ) tree;

  valuesOf = mapAttrs (_: node: if is "option" node then node.value else valuesOf node);

  evalModules =
    {
      modules,
      prefix ? [ ],
      specialArgs ? { },
    }:
    let
      args = {
        inherit lib options config;
        name = if prefix == [ ] then "‹name›" else head (reverse prefix);
      }
      // specialArgs;
      found = foldl' (collected args) {
        paths = [ ];
        modules = [ ];
      } modules;
      declared = mergeOptions prefix (map (m: m.options) found.modules);
      defined = map (m: m.config) found.modules;
      # What is declared does not depend on what is defined: modules can ask whether there is an option.
      options = settle prefix declared defined;
      unknown = undeclared prefix declared defined;
      # What modules see: whether all of it is declared may depend on it.
      config = valuesOf options;
    in
    {
      inherit options;
      config = if unknown == [ ] then config else throw "The option `${head unknown}' does not exist.";
    };

  reverse = list: if list == [ ] then [ ] else reverse (tail list) ++ [ (head list) ];

  nameValuePair = name: value: { inherit name value; };

  lib = {
    inherit
      evalModules
      mkAfter
      mkBefore
      mkDefault
      mkForce
      mkIf
      mkMerge
      mkOption
      nameValuePair
      types
      ;
    mkEnableOption =
      what:
      mkOption {
        default = false;
        description = "Whether to enable ${what}.";
        type = types.bool;
      };
    literalExpression = text: {
      _type = "literalExpression";
      inherit text;
    };
    concatMapStrings = f: list: concatStringsSep "" (map f list);
    concatMapStringsSep = separator: f: list: concatStringsSep separator (map f list);
    escapeShellArg =
      word: if match "[[:alnum:],._+:@%/-]+" word != null then word else "'${replaceStrings [ "'" ] [ "'\\''" ] word}'";
    escapeShellArgs = words: concatStringsSep " " (map lib.escapeShellArg words);
    filterAttrs = keep: attrs: listToAttrs (concatMap (name: if keep name attrs.${name} then [ (nameValuePair name attrs.${name}) ] else [ ]) (attrNames attrs));
    flatten = value: if isList value then concatMap lib.flatten value else [ value ];
    getExe = package: "${package}/bin/${package.meta.mainProgram}";
    hasPrefix = prefix: text: substring 0 (builtins.stringLength prefix) text == prefix;
    isOption = is "option";
    mapAttrs' = f: attrs: listToAttrs (map (name: f name attrs.${name}) (attrNames attrs));
    mapAttrsToList = f: attrs: map (name: f name attrs.${name}) (attrNames attrs);
    optional = condition: value: if condition then [ value ] else [ ];
    optionalAttrs = condition: attrs: if condition then attrs else { };
    optionalString = condition: text: if condition then text else "";
    optionals = condition: list: if condition then list else [ ];
    singleton = value: [ value ];
    inherit
      attrNames
      attrValues
      concatMap
      concatStringsSep
      elem
      filter
      mapAttrs
      ;
  };
in
lib
