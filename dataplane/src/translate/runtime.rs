//! Runtime values: the keys of the static layers that mean something here.

use std::collections::BTreeMap;

use penstock_core::config::route::Fraction;
use penstock_proto::envoy::config::bootstrap::v3::LayeredRuntime;
use penstock_proto::envoy::config::bootstrap::v3::runtime_layer::LayerSpecifier;
use penstock_proto::prost_types::value::Kind;
use penstock_proto::prost_types::{Struct, Value};

/// Values by key, dots between levels; later layers have won.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Runtime {
    values: BTreeMap<String, Value>,
}

impl Runtime {
    pub(super) fn new(layers: Option<&LayeredRuntime>) -> Self {
        let mut runtime = Self::default();
        for layer in layers.map_or(&[][..], |layers| &layers.layers) {
            if let Some(LayerSpecifier::StaticLayer(values)) = &layer.layer_specifier {
                runtime.add("", values);
            }
        }
        runtime
    }

    /// Adds a level; a key holds both as a whole and by its parts, since a fraction is a map too.
    fn add(&mut self, above: &str, values: &Struct) {
        for (name, value) in &values.fields {
            let key = if above.is_empty() {
                name.clone()
            } else {
                format!("{above}.{name}")
            };
            if let Some(Kind::StructValue(below)) = &value.kind {
                self.add(&key, below);
            }
            self.values.insert(key, value.clone());
        }
    }

    /// A whole number.
    pub(super) fn number(&self, key: &str) -> Option<u32> {
        match &self.values.get(key)?.kind {
            Some(Kind::NumberValue(value)) => whole(*value),
            Some(Kind::StringValue(text)) => text.parse().ok(),
            _ => None,
        }
    }

    /// A share: a number is percent, a map has numerator and denominator.
    pub(super) fn fraction(&self, key: &str) -> Option<Fraction> {
        if let Some(numerator) = self.number(key) {
            return Some(Fraction {
                numerator: numerator.min(100),
                denominator: 100,
            });
        }
        let Some(Kind::StructValue(parts)) = &self.values.get(key)?.kind else {
            return None;
        };
        let numerator = match parts
            .fields
            .get("numerator")
            .and_then(|part| part.kind.as_ref())
        {
            Some(Kind::NumberValue(value)) => whole(*value)?,
            None => 0,
            _ => return None,
        };
        let denominator = match parts
            .fields
            .get("denominator")
            .and_then(|part| part.kind.as_ref())
        {
            Some(Kind::StringValue(name)) => match name.as_str() {
                "HUNDRED" => 100,
                "TEN_THOUSAND" => 10_000,
                "MILLION" => 1_000_000,
                _ => return None,
            },
            None => 100,
            _ => return None,
        };
        Some(Fraction {
            numerator: numerator.min(denominator),
            denominator,
        })
    }
}

fn whole(value: f64) -> Option<u32> {
    (value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&value)).then_some(value as u32)
}
