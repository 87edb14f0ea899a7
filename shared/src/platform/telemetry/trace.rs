//! The trace that runs from a request through the ledger to a job.

use uuid::Uuid;

tokio::task_local! {
    static TRACE: String;
}

/// Runs `work` as part of a trace; jobs that it enqueues carry the id.
pub async fn in_trace<F: Future>(trace: String, work: F) -> F::Output {
    TRACE.scope(trace, work).await
}

/// The trace of the current task.
#[must_use]
pub fn trace_id() -> Option<String> {
    TRACE.try_with(Clone::clone).ok()
}

/// The id of a new trace, as in [W3C Trace Context](https://www.w3.org/TR/trace-context/): 32 hexadecimal digits.
#[must_use]
pub fn new_trace_id() -> String {
    Uuid::new_v4().simple().to_string()
}

/// The trace id in a `traceparent` header, if the header is well formed.
///
/// Future versions may append fields after the flags; the version `ff` and ids of only zeros are forbidden.
#[must_use]
pub fn parse_traceparent(traceparent: &str) -> Option<&str> {
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |text: &str, length| is_hex(text, length) && text.bytes().any(|byte| byte != b'0');
    let mut parts = traceparent.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let has_known_length = version != "00" || parts.next().is_none();
    let is_valid = is_hex(version, 2) && version != "ff" && is_id(trace, 32) && is_id(parent, 16);
    (is_valid && is_hex(flags, 2) && has_known_length).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn only_well_formed_traceparents_are_accepted() {
        let good = format!("00-{TRACE}-00f067aa0ba902b7-01");
        assert_eq!(parse_traceparent(&good), Some(TRACE));
        assert_eq!(
            parse_traceparent(&format!("01-{TRACE}-00f067aa0ba902b7-01-more")),
            Some(TRACE),
            "a future version"
        );
        let bad = [
            String::new(),
            format!("{good}-more"),
            good.to_uppercase(),
            good.replacen("00-", "ff-", 1),
            good.replace(TRACE, &"0".repeat(32)),
            good.replace("00f067aa0ba902b7", "0000000000000000"),
            good.replace("-01", ""),
            good.replace("-01", "-1"),
            good.replace('4', "g"),
            good.replace("4bf9", "4bf"),
        ];
        for text in bad {
            assert_eq!(parse_traceparent(&text), None, "{text:?}");
        }
        assert_eq!(
            parse_traceparent(&format!("00-{}-00f067aa0ba902b7-00", new_trace_id())).map(str::len),
            Some(32)
        );
    }
}
