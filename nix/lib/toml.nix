# Nix values → TOML text, with the builtins only.
#
# Tables come after plain values, in the order of their names; a list that holds nothing but attribute sets is written
# as tables in line, so that one rule does for all lists.
let
  inherit (builtins)
    attrNames
    concatStringsSep
    filter
    fromJSON
    isAttrs
    isBool
    isFloat
    isInt
    isList
    isPath
    isString
    map
    match
    replaceStrings
    toJSON
    typeOf
    ;

  # JSON leaves this one as it is, TOML does not allow it.
  delete = fromJSON ''"\u007f"'';

  # What JSON escapes, TOML escapes in the same way.
  quoted = text: replaceStrings [ delete ] [ "\\u007f" ] (toJSON text);

  key = name: if match "[A-Za-z0-9_-]+" name != null then name else quoted name;

  path = names: concatStringsSep "." (map key names);

  isTable = value: isAttrs value && !(value ? outPath);

  inline =
    where: value:
    if isString value || isPath value || (isAttrs value && value ? outPath) then
      quoted "${value}"
    else if isBool value then
      (if value then "true" else "false")
    else if isInt value then
      toString value
    else if isFloat value then
      toJSON value
    else if isList value then
      "[${concatStringsSep ", " (map (inline where) value)}]"
    else if isAttrs value then
      "{ ${
        concatStringsSep ", " (map (name: "${key name} = ${inline (where ++ [ name ]) value.${name}}") (attrNames value))
      } }"
    else
      throw "${path where}: TOML has nothing for a value of type ${typeOf value}";

  table =
    where: attrs:
    let
      names = attrNames attrs;
      plain = filter (name: !(isTable attrs.${name})) names;
      tables = filter (name: isTable attrs.${name}) names;
      lines = map (name: "${key name} = ${inline (where ++ [ name ]) attrs.${name}}\n") plain;
      # A table of tables needs no line of its own.
      heading = if where == [ ] || (plain == [ ] && tables != [ ]) then [ ] else [ "[${path where}]\n" ];
      own = concatStringsSep "" (heading ++ lines);
    in
    (if own == "" then [ ] else [ own ]) ++ builtins.concatMap (name: table (where ++ [ name ]) attrs.${name}) tables;
in
attrs: concatStringsSep "\n" (table [ ] attrs)
