//! The shapes of a queue, by the texts that the provider wrote: keys that this version does not know reach the archive,
//! too.

use std::collections::HashMap;

use serde_json::value::RawValue;
use sql::event::{shape::Shape, tuple::Tuple};

use crate::{
    frames::{
        body::{Named, shape_of},
        frame::column,
    },
    trouble::Trouble,
};

/// The type of an event that brings a shape.
const SHAPE: &[u8] = b"trunkline.1.shape";

/// The shapes that are known, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Shapes(HashMap<i64, Box<RawValue>>);

impl Shapes {
    /// The shapes of these definitions.
    pub(super) fn new(definitions: Vec<String>) -> Result<Shapes, Trouble> {
        let mut shapes = Shapes::default();
        for definition in definitions {
            shapes.learn(definition)?;
        }
        Ok(shapes)
    }

    fn learn(&mut self, definition: String) -> Result<(), Trouble> {
        let number = Shape::from_json(&definition).map_err(unreadable)?.shape.0;
        let text = RawValue::from_string(definition).map_err(unreadable)?;
        self.0.insert(number, text);
        Ok(())
    }

    /// The shape that an event names, with its number; none: the event is not one of capture. A shape that the event
    /// itself brings is known from here on.
    pub(super) fn of<const N: usize>(
        &mut self,
        event: &Tuple<N>,
    ) -> Result<Option<(i64, &RawValue)>, Trouble> {
        if event.field(column::TYPE) == Some(SHAPE) {
            let text = event.field(column::DATA).unwrap_or_default();
            self.learn(String::from_utf8_lossy(text).into_owned())?;
        }
        let number = match shape_of(event) {
            Named::Nothing | Named::Script => return Ok(None),
            Named::Shape(shape) => shape.0,
            Named::Unreadable => return Err(unreadable(anyhow::anyhow!("an event names none"))),
        };
        let shape = self.0.get(&number).ok_or_else(|| {
            unreadable(anyhow::anyhow!(
                "an event names shape {number}, which the provider has not given"
            ))
        })?;
        Ok(Some((number, shape)))
    }
}

fn unreadable(error: impl Into<anyhow::Error>) -> Trouble {
    Trouble::Operator {
        doing: "could not read the shapes of events".into(),
        advice: "capture on the provider and replay are of different versions".into(),
        source: error.into(),
    }
}
