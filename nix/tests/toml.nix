# Everything TOML has to be able to say.
{
  text = "plain";
  quotes = "\" ' \\ \n \t \r ${builtins.fromJSON ''"\u0001\u007f\u00e4\ud83d\ude00"''}";
  number = -7;
  fraction = 1.5;
  yes = true;
  list = [ "a" [ 1 2 ] { b = "c"; "d e" = [ ]; } ];
  empty = { };
  nested.deeper.deepest = "x";
  nested.beside = 1;
  "a key" = 1;
  "" = 2;
  table."with.dot"."with \"quotes\"" = "y";
}
