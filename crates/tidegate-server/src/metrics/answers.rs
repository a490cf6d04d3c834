//! Metrics of answers that end: reads and long-polls.

use tidegate_transports::AnswerFigures;

use super::figures::{Figure, Kind, Read, Sample};

pub(super) const FIGURES: &[Figure] = &[
    Figure {
        name: "tidegate_answers",
        kind: Kind::Counter,
        help: "Answers in JSON to long-polls that had something, and to reads that are no history: `kept` ones of an earlier read, `shared` with another request's read, and those for which the log was `read`.",
        labels: &["from"],
        read: Read::Each(|state| {
            let AnswerFigures { kept, shared, read, .. } = state.answers;
            Sample::each([("kept", kept), ("read", read), ("shared", shared)])
        }),
    },
    Figure {
        name: "tidegate_polls",
        kind: Kind::Counter,
        help: "Long-polls and catch-up pages answered: by `frames`, or by `nothing` when their wait was over. Behind a cache that collapses requests they are far fewer than its clients'.",
        labels: &["outcome"],
        read: Read::Each(|state| {
            let AnswerFigures { polls, polls_empty, .. } = state.answers;
            Sample::each([("frames", polls), ("nothing", polls_empty)])
        }),
    },
    Figure::gauge("tidegate_answers_held", "Answers that are kept now, for who asks the same.", |state| {
        state.answers.entries
    }),
];
