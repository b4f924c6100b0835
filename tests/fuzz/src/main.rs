//! The fuzz targets. The environment says which one: `TRUNKLINE_FUZZ=block`. Each parses what the fuzzer made up, and
//! asserts what must hold of whatever was understood.

#![no_main]

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use replay::frames::{body::Frames, manifest::{Manifest, Name as BaseName}, segment::{self as segments, Line, Name}};
use sql::{connect::ConnectInfo, event::{Event, RawEvent, row, shape::Shape, tuple::{BadTuple, Tuples}}, name::{TableName, quote_ident}};

fuzz_target!(|input: &[u8]| target()(input));

fn target() -> fn(&[u8]) {
    static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();
    *TARGET.get_or_init(|| match std::env::var("TRUNKLINE_FUZZ").as_deref() {
        Ok("block") => block,
        Ok("event") => event,
        Ok("tuple") => tuple,
        Ok("shape") => shape,
        Ok("name") => name,
        Ok("conninfo") => conninfo,
        Ok("service") => service,
        Ok("config") => config,
        Ok("segment") => segment,
        Ok("frames") => frames,
        Ok("manifest") => manifest,
        other => panic!(
            "TRUNKLINE_FUZZ is {other:?}, not block, event, tuple, shape, name, conninfo, service, config, segment, frames or manifest"
        ),
    })
}

/// The first byte is the number of columns. Of a block that is understood, each row has that many fields, and what is
/// written as COPY text reads back as the same values.
fn block(input: &[u8]) {
    let Some((&columns, block)) = input.split_first() else {
        return;
    };
    let columns = usize::from(columns % 12) + 1;
    for row in row::rows(block, columns) {
        let Ok(row) = row else { return };
        let values: Vec<Option<Vec<u8>>> = row::fields(row)
            .map(|field| field.map(|field| field.unescape().into_owned()))
            .collect();
        assert_eq!(values.len(), columns);
        for places in [
            (0..columns).collect::<Vec<_>>(),
            (0..columns).rev().collect(),
        ] {
            let mut line = BytesMut::new();
            row::to_copy_text(row, &places, &mut line);
            let wanted: Vec<_> = places.iter().map(|&place| values[place].clone()).collect();
            assert_eq!(read_copy(&line), wanted);
            let projected = row::project(row, &places);
            let again: Vec<_> = row::fields(&projected)
                .map(|field| field.map(|field| field.unescape().into_owned()))
                .collect();
            assert_eq!(again, wanted);
        }
    }
}

/// The first byte is where a chunk ends. The rest is read as rows of three fields of binary COPY: in one chunk and in
/// chunks, and the rows are the same.
fn tuple(input: &[u8]) {
    let Some((&chunk, stream)) = input.split_first() else {
        return;
    };
    let chunk = usize::from(chunk) + 1;
    assert_eq!(tuples(stream, chunk), tuples(stream, stream.len().max(1)));
}

type Fields = Vec<Option<Vec<u8>>>;

fn tuples(stream: &[u8], chunk: usize) -> (Vec<Fields>, Result<(), BadTuple>) {
    let (mut tuples, mut rows) = (Tuples::<3>::default(), Vec::new());
    for chunk in stream.chunks(chunk) {
        tuples.push(Bytes::copy_from_slice(chunk));
        loop {
            match tuples.pop() {
                Ok(Some(row)) => rows.push((0..3).map(|place| row.field(place).map(<[u8]>::to_vec)).collect()),
                Ok(None) => break,
                Err(bad) => return (rows, Err(bad)),
            }
        }
    }
    (rows, tuples.finish())
}

/// A line of COPY's text format, read as the server does.
fn read_copy(line: &[u8]) -> Vec<Option<Vec<u8>>> {
    let line = line.strip_suffix(b"\n").expect("a line ends");
    line.split(|&byte| byte == b'\t')
        .map(|field| {
            if field == b"\\N" {
                return None;
            }
            let mut value = Vec::new();
            let mut bytes = field.iter();
            while let Some(&byte) = bytes.next() {
                assert!(!matches!(byte, b'\n' | b'\r'), "a line in a line");
                value.push(match byte {
                    b'\\' => match bytes.next() {
                        Some(b't') => b'\t',
                        Some(b'n') => b'\n',
                        Some(b'r') => b'\r',
                        Some(&other) => other,
                        None => panic!("a backslash alone"),
                    },
                    other => other,
                });
            }
            Some(value)
        })
        .collect()
}

/// Five columns with a byte 0 between them; one that is empty is NULL.
fn event(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let mut columns = text.split('\0').map(|text| (!text.is_empty()).then_some(text));
    let mut next = || columns.next().flatten();
    let raw = RawEvent {
        ev_id: 1,
        ev_type: next(),
        ev_data: next().map(str::as_bytes),
        ev_extra1: next(),
        ev_extra2: next(),
        ev_extra3: next(),
    };
    if let (Ok(Event::Other), Some(kind)) = (raw.parse(), raw.ev_type) {
        assert!(!kind.starts_with(sql::event::PREFIX), "{kind} is ours");
    }
}

/// A shape's keys are among its columns.
fn shape(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(shape) = Shape::from_json(text)
    {
        let fields = shape.key_fields();
        assert_eq!(shape.has_key(), !fields.is_empty());
        assert!(fields.iter().all(|&field| field < shape.columns.len()));
        let _ = shape.key_text_is_equality();
    }
}

/// A name that is understood, quoted, is understood as the same name.
fn name(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(name) = TableName::from_str(text) {
        for written in [name.quoted(), name.to_string()] {
            assert_eq!(TableName::from_str(&written).expect("what we wrote"), name);
        }
    }
    if let Ok(names) = sql::name::columns(text) {
        let quoted: Vec<String> = names.iter().map(|name| quote_ident(name)).collect();
        assert_eq!(
            sql::name::columns(&quoted.join(",")).expect("what we wrote"),
            names
        );
    }
}

/// No message repeats the password.
fn conninfo(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    match ConnectInfo::from_str(text) {
        Ok(info) => drop(info.with_dbname("other")),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let _ = ConnectInfo::names_password(text);
}

/// A service file, asked for a service of the name a. The environment names the file; nobody else writes it.
fn service(input: &[u8]) {
    let file = std::env::var("PGSERVICEFILE").expect("run.sh sets PGSERVICEFILE");
    std::fs::write(&file, input).expect("write the service file");
    let _ = ConnectInfo::from_str("service=a");
}

/// A config file of either kind.
fn config(input: &[u8]) {
    let file = scratch("toml");
    std::fs::write(&file, input).expect("write the config file");
    if let Err(errors) = admin::config::load_any(&file) {
        assert!(!errors.to_string().is_empty());
    }
}

/// The JSON of a segment's first line, and a segment's name. What is understood and written is understood as the same.
fn segment(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Some(name) = Name::parse(text) {
        assert_eq!(name.to_string(), text);
    }
    let line = format!("{text} {}\n", segments::sha(input));
    if let Ok((line, _, length)) = Line::read(line.as_bytes()) {
        assert_eq!(length, input.len() + 66);
        let written = line.written().expect("a line is JSON").text;
        assert_eq!(Line::read(written.as_bytes()).expect("what we wrote").0, line);
    }
    let _ = Line::read(input);
}

/// The body of a segment. One that is understood was read to its end.
fn frames(input: &[u8]) {
    let mut frames = Frames::default();
    if let Ok(counts) = frames.follow(input) {
        assert_eq!(counts.raw_bytes, input.len() as u64);
        assert!(counts.frames <= counts.parts);
        assert_eq!(frames.at().is_some(), counts.frames > 0);
    }
}

/// The JSON of a base's manifest, without its hash, and a base's name. What is understood and written is understood as
/// the same, and names no file beside the base.
fn manifest(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(name) = BaseName::try_from(text.to_owned()) {
        assert!(!name.directory().contains(".."));
    }
    let hashed = format!("{text},\"sha\":\"{}\"}}\n", segments::sha(input));
    if let Ok(manifest) = Manifest::read(hashed.as_bytes()) {
        assert!(manifest.objects().all(|object| !object.path.contains("..") && !object.path.starts_with('/')));
        let written = manifest.written().expect("a manifest is JSON");
        assert_eq!(Manifest::read(written.as_bytes()).expect("what we wrote"), manifest);
    }
    let _ = Manifest::read(input);
}

/// A file of this process.
fn scratch(extension: &str) -> PathBuf {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(std::env::temp_dir)
        .join(format!("trunkline-fuzz-{}.{extension}", std::process::id()))
}
