//! A value for each thing that is hard to read or to write, as SQL.

/// Types that someone made.
pub(super) const SCHEMA: &str = r#"
CREATE TYPE mood AS ENUM ('sad', 'o"k', 'a,b', 'h\x');
CREATE DOMAIN price AS numeric(12,4);
CREATE DOMAIN prices AS price[];
CREATE DOMAIN names AS text[];
CREATE DOMAIN names2 AS names;
CREATE TYPE inner_t AS (n int8, t text, b bool, ts timestamptz);
CREATE TYPE "Outer T" AS ("a ""q""" text[], i inner_t, l inner_t[], gone int, j jsonb, p prices, raw bytea);
ALTER TYPE "Outer T" DROP ATTRIBUTE gone;
CREATE DOMAIN outer_d AS "Outer T";
CREATE TYPE empty_t AS ();
CREATE TYPE spans AS RANGE (subtype = float8);
CREATE TABLE pairs (x int, y text);
"#;

/// Columns with values that were chosen.
pub(super) const COLUMNS: &[(&str, &[&str])] = &[
    ("bool", &["true", "false"]),
    ("int2", &["0", "-32768", "32767"]),
    ("int4", &["-2147483648", "2147483647"]),
    ("int8", &["-9223372036854775808", "9223372036854775807", "9007199254740993"]),
    ("float4", &["0", "'-0'", "1.1", "1e10", "3.4e38", "1e-45", "'NaN'", "'Infinity'", "'-Infinity'", "123456.789"]),
    (
        "float8",
        &[
            "0",
            "'-0'",
            "0.1",
            "1e15",
            "1e16",
            "1.7976931348623157e308",
            "5e-324",
            "1e-5",
            "1e-4",
            "'NaN'",
            "'-Infinity'",
            "0.30000000000000004",
        ],
    ),
    (
        "numeric",
        &[
            "0",
            "'0.00'",
            "'-0'",
            "'1.10'",
            "'NaN'",
            "'Infinity'",
            "'-Infinity'",
            "'1e100'",
            "'1e-100'",
            "'123456789012345678901234567890.123456789012345678901234567890'",
            "repeat('9', 3000)::numeric",
            "('0.' || repeat('0', 2000) || '1')::numeric",
        ],
    ),
    ("numeric(10,2)", &["1", "'99999999.99'", "-1.5"]),
    (
        "text",
        &[
            "''",
            "' '",
            "'\"'",
            "'\\'",
            "'\\N'",
            "'NULL'",
            "E'\\t\\n\\r\\b\\f\\v'",
            "E'\\x01\\x1f\\x7f'",
            "'é😀'",
            "E'\\u2028\\u2029'",
            "'{a,b}'",
            "'(a,b)'",
            "repeat('x\"', 5000)",
            "'\\.'",
        ],
    ),
    ("varchar(10)", &["''", "'a b'"]),
    ("char(5)", &["''", "'ab'", "'é'"]),
    ("name", &["'n'", "'a\"b'"]),
    ("\"char\"", &["'a'", "'\"'", "'\\'", "''"]),
    (
        "json",
        &[
            "'1'",
            "'null'",
            "'\"a\"'",
            "E'{\\n \"b\" : 1.0 ,\\r\\n\"a\":[ ]}'",
            "'{\"a\":1,\"a\":2}'",
            "'[1e5,-0,0.10,1E-3]'",
            "'\"\\ud83d\\ude00\\u00e9\\\"\\\\\"'",
        ],
    ),
    (
        "jsonb",
        &[
            "'{}'",
            "'[]'",
            "'null'",
            "'{\"bb\":1,\"a\":{\"c\":[1.10,\"x\\ny\"]}}'",
            "'12345678901234567890.10'",
            "'\"\\t\\\\n\"'",
        ],
    ),
    ("bytea", &["''", "'\\x00'", "'\\xdeadbeef'", "decode(repeat('00ff10', 700), 'hex')", "'\\\\000'"]),
    (
        "date",
        &[
            "'2026-11-22'",
            "'infinity'",
            "'-infinity'",
            "'0044-03-15 BC'",
            "'4714-11-24 BC'",
            "'5874897-12-31'",
            "'10000-01-01'",
            "'0001-01-01'",
        ],
    ),
    (
        "timestamp",
        &[
            "'2026-11-22 01:02:03'",
            "'2026-11-22 01:02:03.000001'",
            "'2026-01-01 00:00:00.5'",
            "'infinity'",
            "'-infinity'",
            "'0044-03-15 12:00 BC'",
            "'294276-12-31 23:59:59.999999'",
            "'4714-11-24 00:00:00 BC'",
        ],
    ),
    (
        "timestamptz",
        &[
            "'2026-11-22 01:02:03+05:30'",
            "'2026-11-22 01:02:03.1-11'",
            "'infinity'",
            "'-infinity'",
            "'0044-03-15 12:00:00.123456+00 BC'",
            "'294276-12-31 23:59:59.999999+00'",
            "'1883-11-18 12:00 America/New_York'",
        ],
    ),
    ("timestamptz(0)", &["'2026-11-22 01:02:03.9+00'"]),
    ("time", &["'00:00'", "'24:00'", "'01:02:03.04'"]),
    ("timetz", &["'01:02:03+05:30'", "'24:00-11'", "'00:00:00.000001+15:59:59'"]),
    ("interval", &["'0'", "'1 year 2 mons -3 days 04:05:06.7'", "'-1 mon'", "'-00:00:01'", "'1000000 hours'"]),
    ("uuid", &["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"]),
    ("inet", &["'10.0.0.1'", "'10.0.0.1/8'", "'::1'", "'fe80::/10'"]),
    ("cidr", &["'10.0.0.0/8'", "'2001:db8::/32'"]),
    ("macaddr", &["'08:00:2b:01:02:03'"]),
    ("macaddr8", &["'08:00:2b:01:02:03:04:05'"]),
    ("money", &["'1.5'", "'-1234567.89'"]),
    ("bit(3)", &["B'101'"]),
    ("varbit", &["B''", "B'0101'"]),
    ("xml", &["'<a b=\"c\">é<!-- \\ --></a>'", "'<?xml version=\"1.0\"?><a/>'"]),
    ("tsvector", &["'a:1A fat:2,3 ''it''''s'' b\\\\c'"]),
    ("tsquery", &["'fat & (rat | !''a b'')'"]),
    ("oid", &["0", "4294967295"]),
    ("xid", &["'7'"]),
    ("pg_lsn", &["'16/B374D848'"]),
    ("regclass", &["'pg_class'", "'public.pairs'"]),
    ("int2vector", &["'1 2 3'", "''", "'-5'"]),
    ("oidvector", &["'1 2'", "''"]),
    ("point", &["'(1,2.5)'", "'(NaN,-Infinity)'"]),
    ("box", &["'(2,2),(0,0)'"]),
    ("polygon", &["'((0,0),(1,1),(2,0))'"]),
    ("circle", &["'<(0,0),1e100>'"]),
    ("mood", &["'sad'", "'o\"k'", "'a,b'", "'h\\x'"]),
    ("price", &["1", "'NaN'"]),
    ("prices", &["'{1,NULL,2.5}'", "'{}'"]),
    ("names2", &["'{\"a b\",NULL}'"]),
    ("prices[]", &["'{\"{1,2}\",\"{}\",NULL}'"]),
    ("int4range", &["'[1,5)'", "'empty'", "'(,)'"]),
    ("numrange", &["'[1.10,NaN)'"]),
    ("tstzrange", &["'[2026-01-01 00:00+02,infinity]'"]),
    ("spans", &["'(1e100,)'"]),
    ("int4multirange", &["'{[1,2),[5,6)}'", "'{}'"]),
    ("tsmultirange", &["'{[2026-01-01,2026-01-02)}'"]),
    (
        "int4[]",
        &[
            "'{}'",
            "'{1,NULL,3}'",
            "'{{1,2},{3,4}}'",
            "'[0:1]={1,2}'",
            "'[-1:0][2:3]={{1,2},{3,NULL}}'",
            "'{{{{{{1}}}}}}'",
        ],
    ),
    ("int8[]", &["'{9223372036854775807,NULL}'"]),
    ("float8[]", &["'{NaN,-Infinity,1e100,-0}'"]),
    (
        "text[]",
        &[
            "'{}'",
            "array['', 'NULL', NULL, 'null', 'a,b', '\"', '\\', '{', '}', ' ', E'\\n\\t', 'é', '\\\"{}']",
            "array[['a', 'b c'], [NULL, '']]",
            "'[5:5]={x}'",
        ],
    ),
    ("bool[]", &["'{t,f,NULL}'"]),
    ("bytea[]", &["array['\\x00'::bytea, '', NULL, '\\xdead']"]),
    ("json[]", &["array['{\"a\": [1, \"x,\\\"y\\\"\"]}'::json, 'null', NULL, E'[1,\\n2]']"]),
    ("jsonb[]", &["array['{\"a\": \"\\\\\"}'::jsonb, '1']"]),
    ("date[]", &["'{2026-01-01,infinity,\"0044-03-15 BC\"}'"]),
    ("timestamptz[]", &["'{2026-01-01 00:00+01,-infinity,NULL}'"]),
    ("timestamp[]", &["'{\"2026-01-01 00:00:00.5\",infinity}'"]),
    ("box[]", &["'{(1,1),(0,0);(3,3),(2,2)}'", "'{}'"]),
    ("mood[]", &["array['sad','o\"k','a,b','h\\x',NULL]::mood[]"]),
    ("\"char\"[]", &["array['a','\"','\\','',' ']::\"char\"[]"]),
    ("char(3)[]", &["array['a','','\"']::char(3)[]"]),
    ("int4range[]", &["array['[1,5)'::int4range, 'empty']"]),
    (
        "inner_t",
        &[
            "ROW(NULL,NULL,NULL,NULL)::inner_t",
            "ROW(1,'',true,'2026-01-01 00:00+00')::inner_t",
            "ROW(-1,'\"\\(,) ',false,'infinity')::inner_t",
            "ROW(1,'NULL',NULL,'0044-03-15 BC')::inner_t",
        ],
    ),
    (
        "inner_t[]",
        &[
            "array[ROW(1,'a \"q\" \\ ,{}',true,now())::inner_t, NULL, ROW(NULL,'','f',NULL)::inner_t]",
            "'{}'",
            "array[[ROW(1,'x','t',NULL)::inner_t],[NULL::inner_t]]",
        ],
    ),
    (
        "outer_d",
        &[
            "ROW(array['a\"b','c\\d',NULL,''], ROW(1,'(\"\\',true,'2026-01-01 00:00+00')::inner_t, array[ROW(2,'{\"x\\y\"}',NULL,NULL)::inner_t,NULL::inner_t], '{\"k\": \"v\\\"\"}', '{1.5}', '\\x00ff')::\"Outer T\"",
            "ROW(NULL,NULL,NULL,NULL,NULL,NULL)::\"Outer T\"",
        ],
    ),
    (
        "outer_d[]",
        &[
            "array[ROW(array['a\"b\\'], ROW(1,'\"\"\\\\',true,NULL)::inner_t, array[ROW(2,'\"',NULL,NULL)::inner_t], '[\"\\\\\"]', NULL, '')::\"Outer T\"]::outer_d[]",
        ],
    ),
    ("empty_t", &["ROW()::empty_t"]),
    ("pairs", &["ROW(1,'a b')::pairs", "ROW(NULL,NULL)::pairs"]),
    ("pairs[]", &["array[ROW(1,'a,b')::pairs]"]),
];

/// An extension, whose type has a cast to jsonb.
pub(super) const HSTORE: (&str, &[&str]) = ("hstore", &["''", "'a=>1, \"b \\\"\\\\\"=>NULL, \"\"=>\"x,y\"'"]);
