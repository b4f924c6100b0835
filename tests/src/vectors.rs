//! The vectors of the acceptance list: values of every type, keys of every type, names, by the ids of their cases. Data
//! alone; tests of capture and tests of whole replications go through the same lists.

/// A case's id, a column's type, from which version of PostgreSQL on, and values as SQL.
pub type Vector = (&'static str, &'static str, u32, &'static [&'static str]);

/// Values of every type.
pub const VALUES: &[Vector] = &[
    ("TY-01", "int2", 10, &["-32768", "32767"]),
    ("TY-01", "int4", 10, &["-2147483648", "2147483647"]),
    (
        "TY-01",
        "int8",
        10,
        &["-9223372036854775808", "9223372036854775807"],
    ),
    (
        "TY-01",
        "numeric",
        10,
        &[
            "'NaN'",
            "1.0",
            "1.00",
            "1e-16383",
            "-0.0",
            "repeat('9', 131072)::numeric",
            "0.1",
        ],
    ),
    ("TY-01", "numeric", 14, &["'Infinity'", "'-Infinity'"]),
    (
        "TY-01",
        "float8",
        10,
        &[
            "'NaN'",
            "'Infinity'",
            "'-Infinity'",
            "'-0'",
            "5e-324",
            "1.7976931348623157e308",
            "0.1",
            "0.30000000000000004",
        ],
    ),
    (
        "TY-01",
        "float4",
        10,
        &["'NaN'", "1e-45", "3.4028235e38", "100100.666", "'-0'"],
    ),
    (
        "TY-02",
        "date",
        10,
        &[
            "'infinity'",
            "'-infinity'",
            "'4713-01-01 BC'",
            "'5874897-12-31'",
        ],
    ),
    (
        "TY-02",
        "timestamp",
        10,
        &[
            "'infinity'",
            "'-infinity'",
            "'4713-01-01 00:00:00 BC'",
            "'294276-12-31 23:59:59.999999'",
        ],
    ),
    (
        "TY-02",
        "timestamptz",
        10,
        &[
            "'infinity'",
            "'-infinity'",
            "'4713-01-01 00:00:00+00 BC'",
            "'294276-12-31 23:59:59.999999+00'",
            "'2024-03-31 03:30:00 Europe/Helsinki'",
            "'2024-10-27 03:30:00+02'",
            "'2024-10-27 03:30:00+03'",
            "'1900-01-01 00:00:00+01:39:49'",
        ],
    ),
    (
        "TY-02",
        "time",
        10,
        &["'24:00:00'", "'23:59:60'", "'00:00:00.000001'"],
    ),
    (
        "TY-02",
        "timetz",
        10,
        &["'00:00:00+15:59'", "'24:00:00-15:59'"],
    ),
    (
        "TY-02",
        "interval",
        10,
        &[
            "'178000000 years'",
            "'-1 mon +1 day -00:00:00.000001'",
            "'-178000000 years'",
        ],
    ),
    ("TY-02", "interval", 17, &["'infinity'", "'-infinity'"]),
    (
        "TY-03",
        "text",
        10,
        &[
            "''",
            "null",
            r"E'\\N'",
            r"E'\\.'",
            r"E'a\n\\.\nb'",
            r"E'\\\\'",
            r"E'\t'",
            r"E'\r'",
            r"E'\n'",
            r"E'\r\n'",
            "'NULL'",
            "''''",
            "'\"'",
            "'$$'",
            "'&=+%00'",
            "'😀'",
            "(select string_agg(chr(i), '') from generate_series(1, 31) i)",
            r"E'\x7f'",
            "U&'\\00E4'",
            "U&'a\\0308'",
            "' '",
            "E'\\x0b'",
            "'(1,2)'",
            "'a,b'",
            "repeat('é\\\"', 5000)",
        ],
    ),
    ("TY-03", "char(5)", 10, &["'ab '", "''", "'abcde'"]),
    (
        "TY-03",
        "varchar(7)",
        10,
        &["'ab '", "''", "'🐘🐘🐘🐘🐘🐘🐘'"],
    ),
    ("TY-03", "\"char\"", 10, &["'a'", "''", r"'\\'", "'\"'"]),
    // Older versions write and read such a value as a byte that no UTF-8 text holds.
    ("TY-03", "\"char\"", 15, &[r"'\200'"]),
    ("TY-03", "name", 10, &["''", "repeat('n', 63)::name"]),
    (
        "TY-04",
        "bytea",
        10,
        &[
            "''",
            "decode(repeat('00', 10), 'hex')",
            "(select string_agg(decode(lpad(to_hex(i), 2, '0'), 'hex'), '' order by i) from generate_series(0, 255) i)",
        ],
    ),
    (
        "TY-05",
        "int[]",
        10,
        &[
            "'{}'",
            "null",
            "'{1,NULL,3}'",
            "'{{{1},{2}},{{3},{4}}}'",
            "'[0:1]={1,2}'",
        ],
    ),
    (
        "TY-05",
        "text[]",
        10,
        &[
            "'[0:1]={a,b}'",
            r#"E'{NULL,"NULL",null,"","a b","q\\"q","b\\\\s","{x}"}'"#,
            "'{{a,b},{c,d}}'",
        ],
    ),
    (
        "TY-05",
        "box[]",
        10,
        &["'{(1,2),(3,4);(5,6),(7,8)}'", "'{}'"],
    ),
    (
        "TY-06",
        "ty.pair",
        10,
        &[
            "row(null, null)",
            "row(null, '')",
            "row(1.5, 'a,\"b\\')",
            "null",
        ],
    ),
    (
        "TY-06",
        "ty.nest",
        10,
        &[
            "row(row(1, 'x'), array[row(2, null)::ty.pair, null], '2024-01-02')",
            "row(null, '{}', null)",
        ],
    ),
    (
        "TY-06",
        "ty.pair[]",
        10,
        &["array[row(1, '(a,b)')::ty.pair, null, row(null, '{}')::ty.pair]"],
    ),
    (
        "TY-07",
        "ty.label",
        10,
        &["'it''s'", "'a,b'", "'ünï'", "repeat('l', 63)::ty.label"],
    ),
    (
        "TY-07",
        "ty.label[]",
        10,
        &["array['a,b', 'it''s', null]::ty.label[]"],
    ),
    ("TY-08", "ty.checked", 10, &["1", "2"]),
    ("TY-08", "ty.list", 10, &["'{}'", "'{a,\"b c\"}'"]),
    (
        "TY-09",
        "int4range",
        10,
        &["'empty'", "'(,)'", "'[1,)'", "'(,5)'"],
    ),
    (
        "TY-09",
        "tstzrange",
        10,
        &[
            "'[2024-01-01 00:00+02,infinity)'",
            "'[-infinity,)'",
            "'empty'",
        ],
    ),
    (
        "TY-09",
        "ty.floats",
        10,
        &["'[0.1,0.30000000000000004)'", "'(-Infinity,NaN]'"],
    ),
    (
        "TY-09",
        "int8range[]",
        10,
        &["array['[1,2)'::int8range, null, 'empty']"],
    ),
    (
        "TY-09",
        "datemultirange",
        14,
        &["'{}'", "'{[2024-01-01,2024-02-01),[2025-01-01,)}'"],
    ),
    (
        "TY-10",
        "json",
        10,
        &[
            r#"'{"a": 1.0,   "a": 1E400, "b":"\u00e9"}'"#,
            "'null'",
            "null",
            "E' [1 ,\\n 2]'",
        ],
    ),
    (
        "TY-10",
        "jsonb",
        10,
        &[
            "'9223372036854775808'",
            "'0.12345678901234567890'",
            "'1.00'",
            "'null'",
            "null",
            r#"'{"b": "y\n\"z\\", "a": {"k": []}}'"#,
            "(repeat('[', 1000) || repeat(']', 1000))::jsonb",
        ],
    ),
    (
        "TY-11",
        "xml",
        10,
        &[
            "'<?xml version=\"1.0\" encoding=\"latin1\"?><a>é</a>'",
            "'a<b/>'",
            "''",
            "null",
        ],
    ),
    ("TY-13", "bit(5)", 10, &["B'10101'"]),
    ("TY-13", "varbit", 10, &["B''", "B'1011101'"]),
    (
        "TY-13",
        "inet",
        10,
        &["'::1/128'", "'10.1.2.3/8'", "'::ffff:1.2.3.4'"],
    ),
    ("TY-13", "cidr", 10, &["'10.0.0.0/8'", "'2001:db8::/32'"]),
    ("TY-13", "macaddr8", 10, &["'08:00:2b:01:02:03:04:05'"]),
    (
        "TY-13",
        "uuid",
        10,
        &[
            "'00000000-0000-0000-0000-000000000000'",
            "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
        ],
    ),
    ("TY-13", "pg_lsn", 10, &["'0/0'", "'FFFFFFFF/FFFFFFFF'"]),
    ("TY-13", "xid8", 13, &["'18446744073709551615'"]),
    (
        "TY-13",
        "tsvector",
        10,
        &[r"$$'it''s':1A,2B 'b\\s':3 plain$$", "''"],
    ),
    (
        "TY-13",
        "tsquery",
        10,
        &[r"$$!'a b':AB & ('c' <2> 'd':*)$$", "''"],
    ),
    ("TY-13", "point", 10, &["'(0.1,-0)'", "'(NaN,Infinity)'"]),
    ("TY-13", "polygon", 10, &["'((0,0),(1,1e-300),(1,0))'"]),
    ("TY-13", "path", 10, &["'[(0,0),(1,1)]'", "'((0,0),(1,1))'"]),
    ("TY-13", "circle", 10, &["'<(1,2),3.3>'"]),
    (
        "TY-13",
        "money",
        10,
        &["'-92233720368547758.08'", "'1234567.89'"],
    ),
    (
        "TY-13",
        "regclass",
        10,
        &["'pg_class'", "'ty.\"Odd name\"'"],
    ),
    (
        "TY-19",
        "ty.plain",
        10,
        &["'no send and receive'", r#"E'a\\b"c,'"#],
    ),
];

/// The types that the lists are made of, in a new schema `ty`.
pub const TYPES: &str = r#"create schema ty; create type ty.pair as (x float8, y text);
    create type ty.nest as (p ty.pair, many ty.pair[], at date);
    create type ty.label as enum ('it''s', 'a,b', 'ünï', 'lllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll', 'z');
    create type ty.floats as range (subtype = float8);
    create table ty."Odd name" (id int primary key); create table ty.allowed (v int); insert into ty.allowed values (1), (2);
    create function ty.is_allowed(i int) returns bool language sql as 'select exists (select from ty.allowed a where a.v = i)';
    create domain ty.checked as int not null check (ty.is_allowed(value)); create domain ty.list as text[] check (value is not null);
    create type ty.plain; create function ty.plain_in(cstring) returns ty.plain language internal immutable strict as 'textin';
    create function ty.plain_out(ty.plain) returns cstring language internal immutable strict as 'textout';
    create type ty.plain (input = ty.plain_in, output = ty.plain_out);"#;

/// A key's case, its type, and values, each different from the others.
pub const KEYS: &[(&str, &str, [&str; 4])] = &[
    (
        "TY-01",
        "numeric",
        ["1.0", "'NaN'", "1e-100", "100000000000000000000000.5"],
    ),
    ("TY-01", "float8", ["0.1", "'NaN'", "'-Infinity'", "0"]),
    (
        "TY-02",
        "interval",
        [
            "'1 day'",
            "'-1 mon +1 day'",
            "'178000000 years'",
            "'00:00:00.000001'",
        ],
    ),
    (
        "TY-02",
        "timestamptz",
        [
            "'infinity'",
            "'2024-03-31 03:30:00 Europe/Helsinki'",
            "'4713-01-01 00:00:00+00 BC'",
            "now()",
        ],
    ),
    ("TY-03", "text", ["''", "E'a\\nb'", "'\"'", "E'\\\\N'"]),
    ("TY-03", "char(5)", ["'ab'", "''", "' a'", "'abcde'"]),
    (
        "TY-05",
        "text[]",
        ["'{}'", "'[0:1]={a,b}'", "'{NULL,\"NULL\"}'", "'{{a},{b}}'"],
    ),
    (
        "TY-05",
        "float8[]",
        ["'{0.1}'", "'{NaN,NULL}'", "'{}'", "'{{1},{2}}'"],
    ),
    (
        "TY-05",
        "interval[]",
        ["'{1 day}'", "'{24:00:00,1 mon}'", "'{}'", "'{NULL}'"],
    ),
    (
        "TY-06",
        "ty.pair",
        ["'(1,a)'", "'(,\"\")'", "'(,)'", "'(0.1,\"x,y\")'"],
    ),
    ("TY-07", "ty.label", ["'it''s'", "'a,b'", "'ünï'", "'z'"]),
    (
        "TY-09",
        "tstzrange",
        [
            "'empty'",
            "'(,)'",
            "'[2024-01-01 00:00+02,)'",
            "'(,infinity]'",
        ],
    ),
    (
        "TY-10",
        "jsonb",
        ["'1.0'", "'{\"a\": [1, null]}'", "'\"x\"'", "'null'"],
    ),
    (
        "TY-13",
        "inet",
        ["'::1'", "'10.0.0.1/8'", "'10.0.0.1'", "'0.0.0.0'"],
    ),
    (
        "TY-04",
        "bytea",
        ["''", "'\\x00'", "'\\xff5c22'", "'\\x0a'"],
    ),
];

/// Names that need every kind of quoting (NM-01), control characters among them (NM-09).
pub const NAMES: [&str; 17] = [
    "Capital Idea",
    "Jan's bad",
    "dq\"dq",
    "bs\\bs",
    "user",
    "order",
    "select",
    "%s%1$s",
    "{}",
    "$1",
    "a;b",
    "--x",
    "tab\tnl\n",
    "🐘",
    "pkey_⚕",
    "$f$",
    "\u{1b}[31mERROR forged",
];

/// A writer's session that wants every value in another form.
pub const HOSTILE: &str = "set datestyle = 'German, DMY'; set intervalstyle = 'iso_8601';
    set timezone = 'Europe/Helsinki'; set extra_float_digits = -5; set bytea_output = 'escape'; set xmloption = content;
    set quote_all_identifiers = on; set standard_conforming_strings = on; ";
