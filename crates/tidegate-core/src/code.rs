//! Everything that can be refused, in one table.
//!
//! From it come the HTTP status, the WebSocket close code (44xx: do not come back as you are;
//! 45xx: come back), the pages behind a problem's `type`, and the reference in `protocol/`.

use schemars::JsonSchema;
use serde::Serialize;

/// A stable code; the words are law on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// No channel has this address.
    ChannelNotFound,
    /// The key has no value.
    KeyNotFound,
    /// No watch has this id.
    WatchNotFound,
    /// Something in the request makes no sense.
    Invalid,
    /// An option that does not exist.
    UnknownOption,
    /// A capability of the protocol that this release does not have.
    NotBuilt,
    /// No cursor of this channel.
    CursorInvalid,
    /// The state at a past time cannot be told.
    OutOfReach,
    /// The caller must say who it is.
    Unauthenticated,
    /// The token ended.
    TokenExpired,
    /// The credentials were revoked.
    TokenRevoked,
    /// A ticket was shown again.
    TicketUsed,
    /// The caller may not.
    Forbidden,
    /// The caller must sign in more strongly.
    StepUpRequired,
    /// Who decides cannot be asked.
    GateUnavailable,
    /// The method does not fit the channel.
    MethodNotAllowed,
    /// No representation that the client accepts.
    NotAcceptable,
    /// The body contradicts the request.
    Conflict,
    /// An `If-…` condition does not hold.
    PreconditionFailed,
    /// A body or frame over its limit.
    TooLarge,
    /// A body of a type that is not read.
    UnsupportedType,
    /// The request reached a host name that is not ours.
    WrongHost,
    /// Well-formed, but not for this channel.
    Unprocessable,
    /// Too much at once.
    RateLimited,
    /// The server is about to stop.
    Draining,
    /// The first snapshot of the source is still being read.
    Loading,
    /// The disk of the log is full.
    LogFull,
    /// The disk of the log failed to keep what it was given.
    LogPoisoned,
    /// A watcher has been behind for too long.
    TooFarBehind,
    /// A connection has become as old as it may.
    AgeLimit,
    /// A fault of ours.
    Internal,
}

/// One row of the table.
struct Entry {
    name: &'static str,
    status: u16,
    close: u16,
    retry_ms: Option<u64>,
    title: &'static str,
    cause: &'static str,
    cure: &'static str,
}

impl ErrorCode {
    /// All codes, in the order of the reference page.
    pub const ALL: [ErrorCode; 31] = [
        ErrorCode::ChannelNotFound,
        ErrorCode::KeyNotFound,
        ErrorCode::WatchNotFound,
        ErrorCode::Invalid,
        ErrorCode::UnknownOption,
        ErrorCode::NotBuilt,
        ErrorCode::CursorInvalid,
        ErrorCode::OutOfReach,
        ErrorCode::Unauthenticated,
        ErrorCode::TokenExpired,
        ErrorCode::TokenRevoked,
        ErrorCode::TicketUsed,
        ErrorCode::Forbidden,
        ErrorCode::StepUpRequired,
        ErrorCode::GateUnavailable,
        ErrorCode::MethodNotAllowed,
        ErrorCode::NotAcceptable,
        ErrorCode::Conflict,
        ErrorCode::PreconditionFailed,
        ErrorCode::TooLarge,
        ErrorCode::UnsupportedType,
        ErrorCode::WrongHost,
        ErrorCode::Unprocessable,
        ErrorCode::RateLimited,
        ErrorCode::Draining,
        ErrorCode::Loading,
        ErrorCode::LogFull,
        ErrorCode::LogPoisoned,
        ErrorCode::TooFarBehind,
        ErrorCode::AgeLimit,
        ErrorCode::Internal,
    ];

    #[rustfmt::skip]
    fn entry(self) -> Entry {
        let row = |name, status, close, retry_ms, title, cause, cure| Entry { name, status, close, retry_ms, title, cause, cure };
        match self {
            ErrorCode::ChannelNotFound => row("channel-not-found", 404, 4404, None, "No channel has this address",
                "The address fits the template of no channel in the config.", "Compare it with the list at GET /v1/; the problem names the nearest template."),
            ErrorCode::KeyNotFound => row("key-not-found", 404, 4404, None, "The key has no value",
                "The address exists, and nothing is stored under this key at the cursor of the answer.", "Watch the address from that cursor to be told when the key appears."),
            ErrorCode::WatchNotFound => row("watch-not-found", 404, 4404, None, "No watch has this id",
                "It was mistyped, or the watch has ended.", "The id is in `begin` and in the head of the answer; a watch that has ended goes on by another one with its last cursor."),
            ErrorCode::Invalid => row("invalid", 400, 4400, None, "The request makes no sense",
                "An address, an option, a body or a combination of them cannot be read.", "The detail says which part; the hint shows a request that works."),
            ErrorCode::UnknownOption => row("unknown-option", 400, 4400, None, "There is no such option",
                "A query parameter is no option of a watch. Names that begin with x- are ignored.", "Use the name that the hint gives, or leave the parameter out."),
            ErrorCode::NotBuilt => row("not-built", 501, 4400, None, "Not built yet",
                "The protocol has this, and this release of the server does not.", "Leave it out, or use a later release."),
            ErrorCode::CursorInvalid => row("cursor-invalid", 400, 4400, None, "This is no cursor of this channel",
                "The text is no cursor, or one of another channel.", "Send back a cursor exactly as a frame or header gave it, to the address that gave it; without one the watch begins afresh."),
            ErrorCode::OutOfReach => row("out-of-reach", 410, 4410, None, "That time is out of reach",
                "The history that is held does not tell the state at the time of `at`, or too much has changed since.", "Ask for a later time, the hint names the earliest where it is known, or for one address or key."),
            ErrorCode::Unauthenticated => row("unauthenticated", 401, 4401, None, "Say who you are",
                "The channel is not open to anonymous callers.", "Send credentials."),
            ErrorCode::TokenExpired => row("token-expired", 401, 4501, Some(0), "The token has expired",
                "The credentials were good and their time is over.", "Come back with a fresh token and your cursor; nothing is lost."),
            ErrorCode::TokenRevoked => row("token-revoked", 401, 4401, None, "The credential was revoked",
                "The operator has revoked the token, the API key or all that its subject shows.", "Come back with another credential and your cursor, or ask the operator; with this one it is refused."),
            ErrorCode::TicketUsed => row("ticket-used", 401, 4401, None, "The ticket was used",
                "A ticket is good for one watch. It was shown for another one, or again without a cursor of its watch; or, as a close, its watch goes on elsewhere.", "Take another with POST /v1/_tickets, or come back with the last cursor of its watch."),
            ErrorCode::Forbidden => row("forbidden", 403, 4403, None, "Not allowed",
                "The channel's access rules do not allow this, or a page of another origin tried it. What is not allowed is denied.", "Ask the operator to allow it in the channel's `access`, or list the page's origin under `origins`."),
            ErrorCode::StepUpRequired => row("step-up-required", 401, 4401, None, "A stronger sign-in is needed",
                "The channel asks for a stronger or fresher authentication.", "Sign in again as the challenge says."),
            ErrorCode::GateUnavailable => row("gate-unavailable", 503, 4503, Some(2_000), "Who decides cannot be asked",
                "The issuer of the token, or the application that is asked about this, cannot be reached or gives no answer.", "Come back after the time given, as you are; the operator finds in the log what is down."),
            ErrorCode::MethodNotAllowed => row("method-not-allowed", 405, 4400, None, "The method does not fit the channel",
                "PUT and DELETE need a keyed channel; a channel with a source is written by its source alone.", "Use a method of the Allow header."),
            ErrorCode::NotAcceptable => row("not-acceptable", 406, 4400, None, "No such representation",
                "The Accept header names nothing that the server can write.", "Ask for application/json, text/event-stream, application/x-ndjson or text/html, or use ?as=."),
            ErrorCode::Conflict => row("conflict", 409, 4400, None, "The request contradicts itself",
                "The body names another key or address parameter than the URL, or repeats something that is still going on.", "Make both say the same; nothing was accepted."),
            ErrorCode::PreconditionFailed => row("precondition-failed", 412, 4400, None, "The condition of the write does not hold",
                "What the If-Match or If-None-Match of a write expects is not so: it has changed since, or is there already.", "Read what is there and decide anew; the ETag that holds now is in the answer. Nothing was accepted."),
            ErrorCode::TooLarge => row("too-large", 413, 4413, None, "Too large",
                "A body, an event or a WebSocket message is over its limit.", "Send less at once; the detail names the limit. Nothing was accepted."),
            ErrorCode::UnsupportedType => row("unsupported-type", 415, 4400, None, "The body's type is not read",
                "The Content-Type names no format of a publish.", "Send application/json, application/x-ndjson, or the envelope types application/vnd.tidegate+json and +x-ndjson."),
            ErrorCode::WrongHost => row("wrong-host", 421, 4400, None, "This host name is not ours",
                "The Host header names none of the server's names. Without this check a web page could reach a local server through a name that it controls.", "Use the address that the server printed, or list the name under `hosts` in the config."),
            ErrorCode::Unprocessable => row("unprocessable", 422, 4400, None, "Not an event for this channel",
                "The body is JSON, and lacks the key or has one that is no string, number or list of these; or an Idempotency-Key came back with another body.", "The detail names the line and what is missing; nothing was accepted."),
            ErrorCode::RateLimited => row("rate-limited", 429, 4529, Some(1_000), "Too much at once",
                "A limit was reached.", "Come back after the time given."),
            ErrorCode::Draining => row("draining", 503, 4503, Some(1_000), "The server is about to stop",
                "It was told to stop, or is being replaced.", "Come back after the time given, with your cursor; nothing is lost."),
            ErrorCode::Loading => row("loading", 503, 4503, Some(1_000), "The first snapshot is still being read",
                "The channel's source has not delivered its first state.", "Come back after the time given; a stream waits by itself."),
            ErrorCode::LogFull => row("log-full", 507, 4507, Some(2_000), "The disk of the log is full",
                "The log cannot grow, so nothing can be accepted. Watches go on.", "Free space on the log's disk; the server recovers by itself. Publishers may retry with the same Idempotency-Key."),
            ErrorCode::LogPoisoned => row("log-poisoned", 503, 4508, Some(10_000), "The disk of the log failed",
                "A sync of the log failed. What the disk kept cannot be known, so nothing more is accepted until a restart reads it afresh.", "Check the disk, then restart the server. What was acknowledged is there."),
            ErrorCode::TooFarBehind => row("too-far-behind", 503, 4510, Some(1_000), "The watcher was behind for too long",
                "Its connection took no byte for longer than the server waits.", "Come back with your cursor; nothing is lost that retention keeps."),
            ErrorCode::AgeLimit => row("age-limit", 503, 4511, Some(0), "The connection is as old as it may become",
                "Connections are closed after some hours, each at another time, so that their clients spread over the servers that are there.", "Come back at once, with your cursor; nothing is lost."),
            ErrorCode::Internal => row("internal", 500, 4500, Some(1_000), "A fault of the server",
                "Something that should not happen did; the server's log has it.", "Try again; report it with the time and the address."),
        }
    }

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        self.entry().name
    }

    /// The code of a word.
    pub fn parse(word: &str) -> Option<ErrorCode> {
        Self::ALL.into_iter().find(|code| code.as_str() == word)
    }

    /// HTTP status.
    pub fn status(self) -> u16 {
        self.entry().status
    }

    /// WebSocket close code.
    pub fn close_code(self) -> u16 {
        self.entry().close
    }

    /// When to come back by default; `None`: not as you are.
    pub fn retry_ms(self) -> Option<u64> {
        self.entry().retry_ms
    }

    /// One line for people.
    pub fn title(self) -> &'static str {
        self.entry().title
    }

    /// What leads to it.
    pub fn cause(self) -> &'static str {
        self.entry().cause
    }

    /// What to do about it.
    pub fn cure(self) -> &'static str {
        self.entry().cure
    }
}

/// An RFC 9457 problem: a code, and what is particular about this occurrence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", code.as_str())]
pub struct Problem {
    /// Which.
    pub code: ErrorCode,
    /// What happened here.
    pub detail: String,
    /// What to do here; the code's cure where nothing better is known.
    pub hint: String,
    /// When to come back, in milliseconds.
    pub retry_ms: Option<u64>,
    /// Line of the body, from 1.
    pub line: Option<u32>,
    /// Place in an expression, in characters from 1.
    pub column: Option<u32>,
    /// What a condition that does not hold would have to name, as in the header: with its quotes.
    pub etag: Option<Box<str>>,
    /// `WWW-Authenticate` of the answer: what the caller has to show. In no body.
    pub challenge: Option<Box<str>>,
}

impl Problem {
    /// A problem with the code's own hint and retry.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Problem {
        let (hint, retry_ms) = (code.cure().to_owned(), code.retry_ms());
        Problem { code, detail: detail.into(), hint, retry_ms, line: None, column: None, etag: None, challenge: None }
    }

    /// Says what to do here.
    pub fn hint(self, hint: impl Into<String>) -> Problem {
        Problem { hint: hint.into(), ..self }
    }

    /// Names the line of the body.
    pub fn line(self, line: usize) -> Problem {
        Problem { line: u32::try_from(line).ok(), ..self }
    }

    /// Names the place in an expression.
    pub fn column(self, column: usize) -> Problem {
        Problem { column: u32::try_from(column).ok(), ..self }
    }

    /// Tells the ETag that holds now.
    pub fn etag(self, etag: impl Into<Box<str>>) -> Problem {
        Problem { etag: Some(etag.into()), ..self }
    }

    /// Says what the caller has to show.
    pub fn challenge(self, challenge: impl Into<Box<str>>) -> Problem {
        Problem { challenge: Some(challenge.into()), ..self }
    }

    /// The JSON object of RFC 9457; `type` is a path on this server.
    pub fn to_json(&self) -> serde_json::Value {
        let mut object = serde_json::json!({
            "type": format!("/v1/_problems/{}", self.code.as_str()),
            "title": self.code.title(),
            "status": self.code.status(),
            "code": self.code.as_str(),
            "detail": self.detail,
            "hint": self.hint,
            "retry_ms": self.retry_ms,
        });
        for (name, place) in [("line", self.line), ("column", self.column)] {
            if let Some(place) = place {
                object[name] = place.into();
            }
        }
        if let Some(etag) = &self.etag {
            object["etag"] = (**etag).into();
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unique_and_serde_says_the_same() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::parse(code.as_str()), Some(code));
            assert_eq!(serde_json::to_value(code).expect("serialize"), code.as_str());
        }
    }

    #[test]
    fn close_codes_say_whether_to_come_back() {
        for code in ErrorCode::ALL {
            assert_eq!(code.close_code() >= 4500, code.retry_ms().is_some(), "{}", code.as_str());
        }
    }
}
