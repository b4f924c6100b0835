//! The formats are for ever: what is written today must be read by every later version, and what an earlier version has
//! written is never written otherwise.

use proptest::{collection::vec, prelude::*};
use serde_json::value::RawValue;

use super::{
    body::{Counts, Frames, Pieces},
    frame::{Header, SequenceEntry, TickEntry},
    place::{Number, Place, Time},
    record::{self, Kind},
    segment::{BadLine, FORMAT, Hole, Line, Name, sha},
};

fn place(tick: i64) -> Place {
    Place(Number(7), Number(tick), Number(tick * 10))
}

fn time(text: &str) -> Time {
    Time::try_from(text.to_owned()).unwrap()
}

fn line() -> Line {
    Line {
        trunkline: FORMAT.into(),
        archive: "a1".into(),
        seq: 43,
        prev: "p1".into(),
        from: place(48_212),
        to: place(48_220),
        from_time: Some(time("2026-11-28T02:07:11.500000Z")),
        to_time: Some(time("2026-11-28T02:07:21.000000Z")),
        frames: 9,
        parts: 10,
        events: 312,
        raw_bytes: 4_000,
        body_bytes: 500,
        body_sha: "b1".into(),
        sealed: Vec::new(),
        writer: "w1".into(),
        node: Some("5".into()),
        hole: None,
        hop: None,
    }
}

const GOLDEN_LINE: &str = concat!(
    r#"{"trunkline":"segment/1","archive":"a1","seq":43,"prev":"p1","from":["7","48212","482120"],"#,
    r#""to":["7","48220","482200"],"from_time":"2026-11-28T02:07:11.500000Z","#,
    r#""to_time":"2026-11-28T02:07:21.000000Z","frames":9,"parts":10,"events":312,"raw_bytes":4000,"#,
    r#""body_bytes":500,"body_sha":"b1","sealed":[],"writer":"w1","node":"5","hole":null,"hop":null}"#,
);

#[test]
fn the_line_of_a_segment_is_what_it_always_was() {
    let written = line().written().unwrap();
    let sha = sha(GOLDEN_LINE.as_bytes());
    assert_eq!(written.text, format!("{GOLDEN_LINE} {sha}\n"));
    assert_eq!(
        sha,
        "87c582058f90247e6f635a42e31ce8d5b18fe649bee304bde24a04fb3fbe75c7"
    );
    let (read, found, length) = Line::read(&[written.text.as_bytes(), b"body"].concat()).unwrap();
    assert_eq!((read, found, length), (line(), sha, written.text.len()));
}

#[test]
fn a_hole_says_after_what_and_why() {
    let mut hole = line();
    hole.hole = Some(Hole {
        after: place(48_212),
        why: "given away".into(),
    });
    let text = hole.written().unwrap().text;
    assert!(
        text.contains(r#""hole":{"after":["7","48212","482120"],"why":"given away"},"hop":null}"#),
        "{text}"
    );
    assert_eq!(Line::read(text.as_bytes()).unwrap().0, hole);
}

#[test]
fn a_line_that_was_changed_or_cut_or_is_of_another_version_is_refused() {
    let text = line().written().unwrap().text;
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        assert!(Line::read(&bytes).is_err(), "byte {at}");
        assert!(Line::read(&text.as_bytes()[..at]).is_err(), "cut at {at}");
    }
    let mut newer = line();
    newer.trunkline = "segment/2".into();
    let newer = newer.written().unwrap().text;
    assert!(matches!(
        Line::read(newer.as_bytes()),
        Err(BadLine::Format(_))
    ));
}

#[test]
fn a_line_with_a_key_of_a_later_version_is_read() {
    let json = GOLDEN_LINE.replacen('{', r#"{"later":{"x":1},"#, 1);
    let text = format!("{json} {}\n", sha(json.as_bytes()));
    assert_eq!(Line::read(text.as_bytes()).unwrap().0, line());
}

#[test]
fn a_segment_has_one_name_and_no_other() {
    let name = line().name();
    assert_eq!(name.path(), "frames/0000/00000043-7-48212.seg");
    assert_eq!(Name::parse("00000043-7-48212.seg"), Some(name));
    assert_eq!(
        Name::of(20_001, place(1)).path(),
        "frames/0002/00020001-7-1.seg"
    );
    for bad in [
        "43-7-48212.seg",
        "00000043-7-48212",
        "00000043-07-1.seg",
        "x",
        "-1-7-1.seg",
    ] {
        assert_eq!(Name::parse(bad), None, "{bad}");
    }
}

fn header(from: i64, to: i64, part: u32, last: bool) -> Header {
    let tick = |tick: i64| {
        let snapshot = format!("{0}:{0}:", tick * 100);
        TickEntry(
            Number(tick),
            Number(tick * 10),
            time("2026-11-28T02:07:11.000000Z"),
            snapshot,
        )
    };
    Header {
        from: place(from),
        to: place(to),
        part,
        last,
        ticks: match part {
            0 => (from + 1..=to).map(tick).collect(),
            _ => Vec::new(),
        },
        sequences: Vec::new(),
        shapes: Vec::new(),
        later: Vec::new(),
        path: Vec::new(),
        origins: None,
    }
}

#[test]
fn the_begin_of_a_frame_is_what_it_always_was() {
    let mut header = header(1, 2, 0, true);
    header.sequences.push(SequenceEntry(
        "public".into(),
        "s".into(),
        Number(-5),
        true,
        Number(-1),
    ));
    header
        .shapes
        .push(RawValue::from_string(r#"{"shape": 3, "unknown": 1}"#.into()).unwrap());
    let text = serde_json::to_string(&header).unwrap();
    assert_eq!(
        text,
        concat!(
            r#"{"from":["7","1","10"],"to":["7","2","20"],"part":0,"last":true,"#,
            r#""ticks":[["2","20","2026-11-28T02:07:11.000000Z","200:200:"]],"#,
            r#""sequences":[["public","s","-5",true,"-1"]],"shapes":[{"shape": 3, "unknown": 1}]}"#,
        )
    );
    header.later.push((Number(9), "1 2".into()));
    let text = serde_json::to_string(&header).unwrap();
    assert!(text.ends_with(r#","later":[["9","1 2"]]}"#), "{text}");
    header.path.push(Number(-3));
    header.origins = Some("[[1, 2, 3]]".into());
    let text = serde_json::to_string(&header).unwrap();
    let end = r#","later":[["9","1 2"]],"path":["-3"],"origins":"[[1, 2, 3]]"}"#;
    assert!(text.ends_with(end), "{text}");
    let read: Header = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
}

#[test]
fn a_record_is_a_kind_a_length_and_bytes() {
    let mut bytes = Vec::new();
    assert_eq!(record::write(&mut bytes, Kind::Events, b"ab").unwrap(), 7);
    assert_eq!(bytes, b"E\0\0\0\x02ab");
    assert_eq!(
        record::read(&mut &bytes[..]).unwrap(),
        Some((Kind::Events, b"ab".to_vec()))
    );
    for end in 1..bytes.len() {
        assert!(record::read(&mut &bytes[..end]).is_err());
    }
    assert!(record::read(&mut &b"X\0\0\0\0"[..]).is_err());
}

/// An event of another program: number, transaction, and null in all other columns.
pub(crate) fn event(id: i64, txid: i64) -> Vec<u8> {
    let mut row = 9_i16.to_be_bytes().to_vec();
    for number in [id, txid] {
        row.extend(8_i32.to_be_bytes());
        row.extend(number.to_be_bytes());
    }
    row.extend([0xff; 4 * 7]);
    row
}

fn body(pieces: &[(Header, &[(i64, i64)])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (header, events) in pieces {
        let header = serde_json::to_vec(header).unwrap();
        record::write(&mut body, Kind::Frame, &header).unwrap();
        let rows: Vec<u8> = events
            .iter()
            .flat_map(|(id, txid)| event(*id, *txid))
            .collect();
        record::write(&mut body, Kind::Events, &rows).unwrap();
    }
    body
}

fn follow(body: &[u8]) -> Result<(Counts, Option<Place>), String> {
    let mut frames = Frames::default();
    frames.go_on_at(place(1));
    let counts = frames.follow(body).map_err(|bad| bad.to_string())?;
    Ok((counts, frames.at()))
}

#[test]
fn a_frame_whose_last_part_does_not_follow_is_as_if_it_were_not_there() {
    let body = body(&[
        (header(1, 2, 0, true), &[(5, 150)]),
        (header(2, 3, 0, false), &[(6, 250)]),
        (header(2, 3, 0, false), &[(6, 250)]),
        (header(2, 3, 1, true), &[(7, 251)]),
        (header(3, 5, 0, false), &[(8, 300)]),
    ]);
    let (counts, at) = follow(&body).unwrap();
    assert_eq!((counts.frames, counts.parts, counts.events), (2, 5, 5));
    assert_eq!(counts.raw_bytes, body.len() as u64);
    assert_eq!(at, Some(place(3)));
}

#[test]
fn what_no_writer_writes_is_told() {
    let refused = |pieces: &[(Header, &[(i64, i64)])], why: &str| {
        let found = follow(&body(pieces)).unwrap_err();
        assert!(found.contains(why), "{found} for {why}");
    };
    let first = || (header(1, 2, 0, true), &[(5, 150)][..]);
    refused(&[(header(2, 3, 0, true), &[])], "does not begin where");
    refused(
        &[first(), (header(1, 2, 0, true), &[])],
        "does not begin where",
    );
    refused(&[(header(1, 2, 1, true), &[])], "follows nothing");
    refused(&[first(), (header(1, 2, 1, true), &[])], "follows nothing");
    refused(
        &[(header(1, 2, 0, true), &[(6, 150), (5, 151)])],
        "does not come after",
    );
    refused(
        &[(header(1, 2, 0, true), &[(6, 200)])],
        "is not shown by the tick",
    );
    refused(
        &[first(), (header(2, 3, 0, true), &[(7, 199)])],
        "is shown by the tick",
    );
    let mut none = header(1, 2, 0, true);
    none.ticks.clear();
    refused(&[(none, &[])], "has no tick");
    let mut other = header(1, 2, 0, true);
    other.to = place(3);
    refused(&[(other, &[])], "is not the one");
    assert!(follow(&body(&[])[..]).is_ok());
    let mut events = Vec::new();
    record::write(&mut events, Kind::Events, &event(5, 150)).unwrap();
    assert!(follow(&events).unwrap_err().contains("events of no frame"));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..300)) {
        let _ = follow(&bytes);
        let _ = Line::read(&bytes);
        let _ = Name::parse(&String::from_utf8_lossy(&bytes));
        let mut pieces = Pieces::new(&bytes[..]);
        while let Ok(Some(_)) = pieces.read() {}
    }

    #[test]
    fn a_body_that_was_changed_is_read_or_refused(at in 0_usize..400, bit in 0_u8..8) {
        let mut body = body(&[
            (header(1, 2, 0, true), &[(5, 150)]),
            (header(2, 4, 0, false), &[(6, 250)]),
            (header(2, 4, 1, true), &[(7, 251)]),
        ]);
        let at = at % body.len();
        body[at] ^= 1_u8 << bit;
        let _ = follow(&body);
    }
}

#[test]
fn a_time_is_written_in_one_way() {
    let read = |text: &str| Time::try_from(text.to_owned());
    assert!(read("2026-11-28T02:07:11.500000Z").is_ok());
    for other in [
        "2026-11-28T02:07:11.5Z",
        "2026-11-28T02:07:11.50000004Z",
        "2026-11-28T03:07:11.500000+01:00",
        "yesterday",
    ] {
        assert!(read(other).is_err(), "{other}");
    }
}
