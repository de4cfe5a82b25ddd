//! Which functions a call could mean: PostgreSQL's overload resolution (`FuncnameGetCandidates` in `namespace.c`,
//! `func_select_candidate` in `parse_func.c`), made to answer with several where a type is not known.

use super::Resolver;
use crate::catalog::footprint::Oid;
use crate::catalog::snapshot::{FIRST_USER_OID, Function, Snapshot};
use crate::catalog::types::{Type, UNKNOWN};

/// One function or operator that a call could mean.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    /// The function.
    pub oid: Oid,
    /// The declared type of each argument that is passed, variadic ones spread out.
    pub declared: Vec<Oid>,
    pub returns: Oid,
    /// Fewer arguments are passed than are declared, or a variadic one is spread: such a candidate hides no other.
    pub adapted: bool,
}

/// How a call passes its arguments.
pub(super) struct Passing<'c> {
    pub count: usize,
    pub names: &'c [Option<String>],
    /// `VARIADIC array` was written.
    pub variadic: bool,
    pub procedure: bool,
}

impl Resolver<'_> {
    /// Every function that bears the name and can take that many arguments; of several with the same argument types, the
    /// one that comes first in the search path.
    pub(super) fn function_candidates(&self, parts: &[&str], passing: &Passing<'_>) -> Vec<Candidate> {
        let snapshot = self.snapshot;
        let Some((schema, name)) = snapshot.split(parts) else { return Vec::new() };
        let schemas: Vec<Oid> = match schema {
            Some(schema) => snapshot.schemas.get(schema).copied().into_iter().collect(),
            None => snapshot.path.clone(),
        };
        let named: Vec<&Function> = snapshot
            .code
            .function_names
            .get(name)
            .into_iter()
            .flatten()
            .filter_map(|oid| snapshot.code.functions.get(oid))
            .filter(|function| (function.kind == 'p') == passing.procedure)
            .collect();
        let mut found: Vec<Candidate> = Vec::new();
        for schema in schemas {
            for function in named.iter().filter(|function| function.schema == schema) {
                let Some(candidate) = adapt(function, passing) else { continue };
                let hidden = found
                    .iter()
                    .any(|earlier| !earlier.adapted && !candidate.adapted && earlier.declared == candidate.declared);
                if !hidden {
                    found.push(candidate);
                }
            }
        }
        found
    }
}

/// The candidate that `function` makes for a call, if it takes its arguments.
fn adapt(function: &Function, passing: &Passing<'_>) -> Option<Candidate> {
    let declared_count = function.arguments.len();
    let spread = function.variadic != 0 && !passing.variadic && passing.count >= declared_count;
    let defaulted = passing.count < declared_count && passing.count + function.defaults >= declared_count;
    if !(spread || defaulted || passing.count == declared_count) {
        return None;
    }
    let mut declared = function.arguments.clone();
    if spread {
        declared.pop();
        declared.resize(passing.count, function.variadic);
    }
    let mut taken = Vec::with_capacity(passing.count);
    for index in 0..passing.count {
        let position = match passing.names.get(index) {
            Some(Some(name)) => function.names.iter().position(|known| **known == *name.as_str())?,
            Some(None) | None => index,
        };
        taken.push(*declared.get(position)?);
    }
    let named = passing.names.iter().any(Option::is_some);
    let adapted = spread || defaulted || named;
    Some(Candidate { oid: function.oid, declared: taken, returns: function.returns, adapted })
}

/// Of `candidates`, the one that PostgreSQL picks; several where pgward cannot tell, none where none fits.
pub(super) fn choose(snapshot: &Snapshot, candidates: &[Candidate], actual: &[Type]) -> Vec<Candidate> {
    let known: Option<Vec<Oid>> = actual.iter().map(Type::oid).collect();
    let fits = |candidate: &&Candidate| {
        candidate
            .declared
            .iter()
            .zip(actual)
            .all(|(to, from)| from.oid().is_none_or(|from| snapshot.coercible(from, *to)))
    };
    let Some(known) = known else { return candidates.iter().filter(fits).cloned().collect() };
    if let Some(exact) = candidates.iter().find(|candidate| candidate.declared == known) {
        return vec![exact.clone()];
    }
    let fitting: Vec<&Candidate> = candidates.iter().filter(fits).collect();
    match select(snapshot, &fitting, &known) {
        Some(best) => vec![best.clone()],
        None => fitting.into_iter().cloned().collect(),
    }
}

/// Whether any of the candidates did not come with the server.
pub(super) fn has_foreign(candidates: &[Candidate]) -> bool {
    candidates.iter().any(|candidate| candidate.oid >= FIRST_USER_OID)
}

/// `func_select_candidate`: exact matches first, then preferred types, then a guess at what unknown literals are.
fn select<'c>(snapshot: &Snapshot, candidates: &[&'c Candidate], actual: &[Oid]) -> Option<&'c Candidate> {
    let base: Vec<Oid> =
        actual.iter().map(|oid| if *oid == UNKNOWN { UNKNOWN } else { snapshot.base_type(*oid) }).collect();
    let slots: Vec<char> = base.iter().map(|oid| snapshot.category(*oid).0).collect();
    let exact = |candidate: &Candidate| {
        let matches = candidate.declared.iter().zip(&base).filter(|(to, from)| **from != UNKNOWN && to == from);
        matches.count()
    };
    let left = most(candidates, exact);
    if let [only] = left.as_slice() {
        return Some(only);
    }
    let preferred = |candidate: &Candidate| {
        let slots = candidate.declared.iter().zip(base.iter().zip(&slots));
        slots
            .filter(|(to, (from, slot))| **from != UNKNOWN && (to == from || snapshot.category(**to) == (**slot, true)))
            .count()
    };
    let left = most(&left, preferred);
    if let [only] = left.as_slice() {
        return Some(only);
    }
    if !base.contains(&UNKNOWN) {
        return None;
    }
    let left = match by_category(snapshot, &left, &base) {
        Some(narrowed) => narrowed,
        None => left,
    };
    if let [only] = left.as_slice() {
        return Some(only);
    }
    by_known_type(snapshot, &left, &base)
}

/// The candidates that reach the highest count.
fn most<'c>(candidates: &[&'c Candidate], count: impl Fn(&Candidate) -> usize) -> Vec<&'c Candidate> {
    let best = candidates.iter().map(|candidate| count(candidate)).max().unwrap_or(0);
    candidates.iter().copied().filter(|candidate| count(candidate) == best).collect()
}

/// Decides what kind of value each unknown literal is: a string where any candidate takes one, else the kind that all
/// candidates agree on. `None` where they do not.
fn by_category<'c>(snapshot: &Snapshot, candidates: &[&'c Candidate], base: &[Oid]) -> Option<Vec<&'c Candidate>> {
    let mut wanted: Vec<Option<(char, bool)>> = vec![None; base.len()];
    for (index, slot) in wanted.iter_mut().enumerate() {
        if base.get(index) != Some(&UNKNOWN) {
            continue;
        }
        let mut resolved: Option<(char, bool)> = None;
        let mut conflict = false;
        for candidate in candidates {
            let (category, preferred) = snapshot.category(*candidate.declared.get(index)?);
            resolved = Some(match resolved {
                None => (category, preferred),
                Some((known, any_preferred)) if known == category => (known, any_preferred || preferred),
                Some(_) if category == 'S' => ('S', preferred),
                Some(known) => {
                    conflict = conflict || known.0 != 'S';
                    known
                }
            });
        }
        let (category, preferred) = resolved?;
        if conflict && category != 'S' {
            return None;
        }
        *slot = Some((category, preferred));
    }
    let keeps = |candidate: &&&Candidate| {
        candidate.declared.iter().zip(&wanted).all(|(to, slot)| match slot {
            None => true,
            Some((category, preferred)) => {
                let (own, own_preferred) = snapshot.category(*to);
                own == *category && (!preferred || own_preferred)
            }
        })
    };
    let kept: Vec<&Candidate> = candidates.iter().filter(keeps).copied().collect();
    (!kept.is_empty()).then_some(kept)
}

/// If all known arguments are of one type, takes the unknown ones to be of it too.
fn by_known_type<'c>(snapshot: &Snapshot, candidates: &[&'c Candidate], base: &[Oid]) -> Option<&'c Candidate> {
    let mut known = base.iter().filter(|oid| **oid != UNKNOWN);
    let first = known.next()?;
    if known.any(|oid| oid != first) {
        return None;
    }
    let mut fitting =
        candidates.iter().filter(|candidate| candidate.declared.iter().all(|to| snapshot.coercible(*first, *to)));
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Some(only),
        (Some(_) | None, _) => None,
    }
}
