def empty: {}[] as $x | .;
def not: if . then false else true end;
def select(f): if f then . else empty end;
def recurse: ..;
def map(f): [.[] | f];
def map_values(f): .[] |= f;
def del(f): delpaths([path(f)]);
def to_entries: [keys_unsorted[] as $k | {key: $k, value: .[$k]}];
def from_entries: reduce .[] as $e ({}; . + {
  ($e | (if type != "object" then error("from_entries takes objects") else . end)
      | (if has("key") then .key elif has("k") then .k elif has("name") then .name else null end)
      | if type == "string" then . elif . == null then "null" else tojson end):
  ($e | if has("value") then .value elif has("v") then .v else null end)});
def with_entries(f): to_entries | map(f) | from_entries;
def paths: path(..) | select(length > 0);
def paths(f): . as $in | paths | select(. as $p | $in | getpath($p) | f);
def add(f): reduce f as $x (null; . + $x);
def add: add(.[]);
def range($n): range(0; $n; 1);
def range($from; $upto): range($from; $upto; 1);
def first: .[0];
def last: .[-1];
def nth($n): .[$n];
def nth($n; f): first(skip($n; f));
def isempty(f): first((f | false), true);
def any(g; c): isempty(g | c | select(.)) | not;
def all(g; c): isempty(g | c | select(not));
def any(c): any(.[]; c);
def all(c): all(.[]; c);
def any: any(.[]; .);
def all: all(.[]; .);
def in($o): . as $k | $o | has($k);
def inside($o): . as $v | $o | contains($v);
def values: select(. != null);
def nulls: select(. == null);
def booleans: select(type == "boolean");
def numbers: select(type == "number");
def strings: select(type == "string");
def arrays: select(type == "array");
def objects: select(type == "object");
def iterables: select(type == "array" or type == "object");
def scalars: select(type != "array" and type != "object");
def sort: sort_by(.);
def unique: unique_by(.);
def min: min_by(.);
def max: max_by(.);
def flatten: flatten(1000);
def pick(f): . as $in | reduce path(f) as $p (null; setpath($p; $in | getpath($p)));
def until(cond; update): last(recurse(if cond then empty else update end));
def while(cond; update): select(cond) | recurse(update | select(cond));
def repeat(f): recurse(f);
def toarray: if type == "array" then . else [.] end;
.
